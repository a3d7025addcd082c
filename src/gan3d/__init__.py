"""gan3d: progressive 3D voxel GANs, reproducible, tracked and served."""

import os

__version__ = "0.1.0"

# Before TensorFlow is imported: without AVX-512 it leaves oneDNN off, and then a transposed 3D convolution of two or
# more shapes took 140 times as long (measured: 7.3 s for 32 shapes, 8³ to 16³, against 51 ms).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
