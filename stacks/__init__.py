"""Places services on hosts, and registers the resources of a stack."""
