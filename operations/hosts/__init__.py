"""A machine in the place of another."""
