"""gan3d: progressive 3D voxel GANs, reproducible, tracked and served."""

__version__ = "0.1.0"
