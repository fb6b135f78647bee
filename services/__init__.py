"""The catalogue: every system of the stack, declared once."""
