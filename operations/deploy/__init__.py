"""Deployment: preview, guards, apply, rollback, recovery after a killed run."""
