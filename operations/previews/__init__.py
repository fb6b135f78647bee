"""Previews in which nothing of the fleet is in reach: no passphrase, no SSH, no secret, and yet the real difference."""
