"""Containers on a host of its own engine: networks, files, gates."""
