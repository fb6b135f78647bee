"""The toolchain: Pulumi's engine, its plugins and the lab's programs; installed, released, or built from package registries."""
