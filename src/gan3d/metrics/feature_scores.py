"""Scores of two sets in the features of `gan3d.metrics.shape_features`.

Precision and recall follow Kynkäänniemi et al. 2019 (arXiv:1904.06991), density and coverage Naeem et al. 2020
(arXiv:2002.09797), the Fréchet distance Heusel et al. 2017 (arXiv:1706.08500), the kernel distance Bińkowski et al.
2018 (arXiv:1801.01401).
"""

import numpy as np
from scipy.spatial.distance import cdist

NEIGHBOURS = 5  # whose distance is the radius of a shape's ball


def manifold_scores(union: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Precision, recall, density and coverage, (...).

    Args:
        union: distances between all shapes of both sets, (..., N + M, N + M), infinite on the diagonal; the first
            `count` are the generated ones.
    """
    between = union[..., :count, count:]
    near = min(NEIGHBOURS, count - 1, between.shape[-1] - 1)
    within = union[..., :count, :count], union[..., count:, count:]
    radius, real_radius = (np.partition(own, near - 1, axis=-1)[..., near - 1] for own in within)
    inside = between < real_radius[..., None, :]  # generated shapes in the balls of real ones
    return {
        "precision": inside.any(-1).mean(-1),
        "recall": (between < radius[..., None]).any(-2).mean(-1),
        "density": inside.sum(-1).mean(-1) / near,
        "coverage": (between.min(-2) < real_radius).mean(-1),
    }


def feature_distances(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distances between all features of both sets, (N, d) and (M, d): (N + M, N + M), infinite on the diagonal."""
    union = np.concatenate([generated, reference])
    distances = cdist(union, union)
    np.fill_diagonal(distances, np.inf)
    return distances


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance between the normal distributions that fit two sets of features, (N, d) and (M, d)."""
    apart = np.square(a.mean(0) - b.mean(0)).sum()
    if len(a) + len(b) <= a.shape[1]:  # the same from the smaller matrix (N, M), which is also exact in its null space
        a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
        shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
        return float(apart + np.square(a).sum() + np.square(b).sum() - 2 * shared)
    of_a, of_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(of_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ of_b @ root), 0)).sum()
    return float(apart + np.trace(of_a) + np.trace(of_b) - 2 * shared)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of two sets of features with the kernel (x·y / d + 1)³."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        own = kernel(x, x)
        return float((own.sum() - np.trace(own)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())
