"""The trained generators that come with the repository draw shapes that look like some."""

import numpy as np
import pytest
from paths import REPOSITORY

from gan3d import model_file
from gan3d.sampling.sampler import Sampler

FOLDERS = sorted(path.parent for path in REPOSITORY.glob("pretrained/*/config.json"))


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_class_has_varied_shapes_that_are_neither_empty_nor_full(folder):
    sampler = Sampler(model_file.load(folder))
    assert f"r{sampler.model.architecture.resolution}" == folder.name.rpartition("-")[2]
    for label in range(len(sampler.classes)):
        shapes = sampler.shapes(label, 16, seed=1)
        share = shapes.mean((1, 2, 3))
        # a seventh of ModelNet10's own tables are shells of which the grid keeps less than 0.005
        assert ((share > 0.001) & (share < 0.6)).sum() >= 12, sampler.classes[label]
        assert np.median(share) > 0.01, sampler.classes[label]
        assert len(np.unique(shapes.reshape(16, -1), axis=0)) >= 12


def test_there_are_some():
    assert FOLDERS
