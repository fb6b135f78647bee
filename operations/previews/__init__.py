"""Previews without access to the fleet: no passphrase, no SSH, no secret, and still the real difference."""
