"""Members of the mesh, and what the machine that deploys needs of it."""
