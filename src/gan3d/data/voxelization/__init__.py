"""Triangle meshes to voxel grids."""
