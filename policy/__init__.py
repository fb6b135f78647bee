"""The policy pack: `pulumi preview --policy-pack policy`. Imports the model at most."""

NAME, VERSION = "vpai", "1.0.0"
