"""The resources in a cloud project, and their cost."""
