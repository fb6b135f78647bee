"""Shared code of the tests: fleets, waiting, ports, a browser, a terminal, timing."""
