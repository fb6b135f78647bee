"""The one exception that the user is meant to read."""


class ToolchainError(Exception):
    """Says what is wrong, why it matters and how to fix it."""
