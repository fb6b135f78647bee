"""The recovery kit, and fake values for copies."""
