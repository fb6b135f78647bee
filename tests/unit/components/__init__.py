"""What is tested of components/ without an engine."""
