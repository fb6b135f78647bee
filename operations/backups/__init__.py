"""Backups: made, listed, brought back, rehearsed, pruned, rescued."""
