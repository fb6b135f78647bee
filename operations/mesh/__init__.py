"""The mesh's members, and the DNS zone's records."""
