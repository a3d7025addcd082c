"""A trained model's evaluation: scores, samples and interpolations; and which models it takes."""

import numpy as np
import pytest

from gan3d import model_file
from gan3d.errors import UserError
from gan3d.metrics.evaluation import PICTURED, SAMPLE_SEED, evaluate_model, load_sampler
from gan3d.training.growth import grow


@pytest.fixture(scope="module")
def folder(tmp_path_factory, architecture):
    path = tmp_path_factory.mktemp("models") / "r08"
    model_file.save(path, grow(None, architecture(8), seed=1)[2])
    return path


def test_an_evaluation_has_scores_samples_and_interpolations(folder, dataset):
    sampler = load_sampler(folder, dataset)
    drawn = []
    occupancy = sampler.occupancy

    def record(vectors, *args, **options):
        drawn.append(vectors)
        return occupancy(vectors, *args, **options)

    sampler.occupancy = record
    evaluation = evaluate_model(sampler, dataset, count=6, draws=2)
    assert evaluation.resolution == 8
    assert [(row["class"], row["kind"]) for row in evaluation.rows] == [
        (name, kind) for name in ("column", "slab", "mean") for kind in ("generated", "floor")
    ]
    assert {row["seed"] for row in evaluation.rows} == {SAMPLE_SEED}
    assert len(drawn) == 2 * (2 + 1 + 1)  # per class: the draws, samples, and one interpolation
    for shapes in (evaluation.samples, evaluation.interpolations):
        assert list(shapes) == ["column", "slab"]
        assert all(each.shape == (PICTURED, 8, 8, 8) and each.dtype == bool for each in shapes.values())
    assert np.array_equal(evaluation.samples["slab"], sampler.shapes(1, PICTURED, SAMPLE_SEED))


def test_a_model_of_other_classes_is_refused(folder, columns):
    with pytest.raises(UserError, match=r"r08 was trained on column, slab, but .* has column: train it again"):
        load_sampler(folder, columns)
