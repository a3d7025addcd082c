"""The embedded furniture: parametric chairs and tables, written as meshes."""
