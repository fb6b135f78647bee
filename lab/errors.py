"""Errors that the user can fix."""


class LabError(Exception):
    """Its text says what is wrong, why it matters and how to fix it, with an example."""
