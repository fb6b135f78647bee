"""What stands where: the only place that places services on hosts."""
