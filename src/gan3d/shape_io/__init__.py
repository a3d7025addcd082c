"""Voxels to meshes and files and back, with one table of output formats."""
