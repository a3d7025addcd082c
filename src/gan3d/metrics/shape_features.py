"""Features of shapes: the last layer but one of a small frozen network, which ships with the project.

Four convolutions of 4³ with stride 2 and a dense layer, in whose features sets of shapes are compared as sets of images
are in those of Inception. `benchmarks/feature_network.py` trained it to name kinds of objects and kinds of faults; its
features have unit variance on those objects. NumPy computes them, so that no backend matters.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gan3d.voxels import max_pool

SIDE = 32  # of the grids that the network sees
CHANNELS = (16, 32, 64, 64)
FEATURES = 64
LEAK = 0.2
PATH = Path(str(files("gan3d.metrics"))) / "shape_features.npz"
BATCH = 8  # shapes whose patches fit into the cache


@cache
def weights() -> dict[str, np.ndarray]:
    """The network's weights, float32."""
    with np.load(PATH, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def shape_features(voxels: np.ndarray) -> np.ndarray:
    """Features of booleans (n, R, R, R), float64 (n, FEATURES)."""
    if not len(voxels):
        return np.zeros((0, FEATURES))
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy releases the GIL
        parts = threads.map(_features, (voxels[start : start + BATCH] for start in range(0, len(voxels), BATCH)))
        return np.concatenate(list(parts)).astype(np.float64)


def _features(voxels: np.ndarray) -> np.ndarray:
    layers = weights()
    x = resized(voxels)[..., None]
    for i in range(len(CHANNELS)):
        x = _convolve(x, layers[f"conv{i}.kernel"]) + layers[f"conv{i}.bias"]
        x = np.maximum(x, LEAK * x)
    return x.reshape(len(x), -1) @ layers["dense.kernel"] + layers["dense.bias"]


def resized(voxels: np.ndarray) -> np.ndarray:
    """Grids of SIDE³, float32: coarser ones repeat their voxels, finer ones are reduced by max pooling."""
    while voxels.shape[1] > SIDE:
        voxels = max_pool(voxels)
    times = SIDE // voxels.shape[1]
    for axis in (1, 2, 3):
        voxels = voxels.repeat(times, axis)
    return voxels.astype(np.float32)


def _convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve (n, S, S, S, a) by (4, 4, 4, a, b) with stride 2, padded by 1: (n, S/2, S/2, S/2, b)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)))
    windows = sliding_window_view(padded, (4, 4, 4), (1, 2, 3))[:, ::2, ::2, ::2]  # (n, S/2, S/2, S/2, a, 4, 4, 4)
    patches = np.moveaxis(windows, 4, -1).reshape(-1, 64 * x.shape[4])
    return (patches @ kernel.reshape(64 * x.shape[4], -1)).reshape(*windows.shape[:4], -1)
