"""What is tested of stacks/ without an engine."""
