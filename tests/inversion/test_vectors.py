"""Variations and arithmetic on the sphere of latents."""

import numpy as np
import pytest

from gan3d.errors import UserError
from gan3d.inversion.vectors import combine, normalise, vary
from gan3d.sampling.latents import draw_latents

A, B, C = draw_latents(0, 3, 64)


def cosine(a, b):
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_strength_is_the_angle():
    for strength in (0.0, 0.3, 1.0):
        varied = vary(A, strength, 5, seed=1)
        assert varied.shape == (5, 64)
        for vector in varied:
            assert cosine(A, vector) == pytest.approx(np.cos(strength * np.pi / 2), abs=1e-5)
            assert np.mean(np.square(vector)) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(vary(A, 0.3, 5, 1)[:2], vary(A, 0.3, 2, 1))
    with pytest.raises(UserError, match=r"strength 1\.5 is out of range"):
        vary(A, 1.5, 1, 0)


def test_sums_and_differences():
    np.testing.assert_allclose(combine([A, B], [A]), normalise(B), atol=1e-5)
    np.testing.assert_allclose(combine([A, C], [B]), normalise(normalise(A) - normalise(B) + normalise(C)), atol=1e-5)
    with pytest.raises(UserError, match="cancel each other out"):
        combine([A], [A])
