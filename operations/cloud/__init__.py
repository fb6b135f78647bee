"""What a cloud project holds and what it costs."""
