"""Moves or replaces the machine of a host."""
