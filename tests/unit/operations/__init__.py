"""What is tested of operations/ without an engine."""
