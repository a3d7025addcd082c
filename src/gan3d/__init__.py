"""gan3d: progressive 3D voxel GANs, reproducible, tracked and served."""

import os

__version__ = "0.2.0"

# Before TensorFlow is imported: without AVX-512 it leaves oneDNN off, and then a transposed 3D convolution of two or
# more shapes took 140 times as long (measured: 7.3 s for 32 shapes, 8³ to 16³, against 51 ms).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Before JAX asks for its devices: XLA computes 3D convolutions channels first unless told otherwise, and then spends a
# fifth of a step's time in turning arrays for cuDNN, which knows them channels last alone on tensor cores.
if "xla_gpu_force_conv" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_force_conv_nhwc=true".strip()
