"""Pages for readers: README's pictures, the index of decisions, the documentation site."""
