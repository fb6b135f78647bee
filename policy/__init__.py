"""The policy pack: `pulumi preview --policy-pack policy`. Imports the model at most."""
