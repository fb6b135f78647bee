"""What goes wrong in a way that the person at the keyboard can fix."""


class LabError(Exception):
    """Says what is wrong, why it matters and how to fix it, with an example."""
