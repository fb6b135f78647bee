"""What is tested of model/ without an engine."""
