"""The vocabulary of the fleet and its laws: frozen values, no I/O, no pulumi."""
