"""What goes wrong in a way that the person at the keyboard can mend."""


class LabError(Exception):
    """Says what is wrong, why it matters and how to mend it, with an example."""
