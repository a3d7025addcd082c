"""Readers of single files: bytes in, a triangle mesh or a voxel grid out."""
