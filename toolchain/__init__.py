"""The Pulumi engine, its plugins and what the lab runs besides: installed, released, or from package registries alone."""
