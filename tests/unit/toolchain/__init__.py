"""What is tested of toolchain/ without an engine."""
