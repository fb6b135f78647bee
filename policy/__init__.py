"""The policy pack: `pulumi preview --policy-pack policy`. It imports nothing of the project but the model."""

NAME, VERSION = "vpai", "1.0.0"
