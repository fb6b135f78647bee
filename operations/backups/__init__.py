"""Backups: make, list, restore, copy, prune, rescue."""
