"""A deployment: what it would do, what it is refused for, applied, taken back, and recovered after a killed run."""
