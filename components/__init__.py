"""How things are made: Pulumi components. They know nothing of VPAI."""
