"""Members of the mesh, and what the runner needs of the mesh."""
