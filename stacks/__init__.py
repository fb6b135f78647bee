"""The only package that places services on hosts. It registers the resources of a stack."""
