"""Containers on a host with its own Docker engine: networks, files, health gates."""
