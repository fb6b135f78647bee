"""The Pulumi engine, its provider plugins, Caddy and the mesh, from package registries alone: `python3 -m toolchain`."""
