"""What is measured, and the numbers of the last run: `make bench`."""
