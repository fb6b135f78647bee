"""The catalogue: every service, declared once."""
