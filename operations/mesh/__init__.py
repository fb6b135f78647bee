"""The mesh's members, and the zone's records."""
