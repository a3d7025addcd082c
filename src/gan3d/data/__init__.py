"""From a source of meshes or grids to a prepared voxel data set (`gan3d.dataset`)."""
