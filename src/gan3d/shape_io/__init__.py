"""Voxels to meshes and files, and back."""
