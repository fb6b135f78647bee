"""What tests share: fleets to build, waiting, ports, a browser, a terminal, the timing of a run."""
