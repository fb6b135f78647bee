"""The recovery kit, and values for copies."""
