"""What a host of the fleet must look like, as pure values: files, packages, users; and what a host says it looks like."""
