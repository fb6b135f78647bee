"""What is tested of lab/ without an engine."""
