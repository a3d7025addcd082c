"""The parameter file as a checked tree, and the paths of a project."""
