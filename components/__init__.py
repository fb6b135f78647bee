"""Pulumi components, which make the resources. They know nothing of VPAI."""
