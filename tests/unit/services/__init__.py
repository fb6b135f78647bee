"""What is tested of services/ without an engine."""
