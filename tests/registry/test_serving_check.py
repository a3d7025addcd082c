"""A version answers its own example before it may become champion."""

from pathlib import Path

import mlflow
import pytest
from candidates import MODEL, facts

from gan3d.errors import UserError
from gan3d.registry import log
from gan3d.registry.serving_check import check_serving
from gan3d.tracking.store import experiment_id


def test_a_sound_version_passes_and_a_damaged_one_is_named(client, folder):
    number = log.log_candidate(client, MODEL, folder, facts())
    check_serving(MODEL, number)
    version = client.get_model_version(MODEL, str(number))
    (model,) = client.search_logged_models(
        [experiment_id(client)], order_by=[{"field_name": "metrics.evaluation/one_nna_cd", "ascending": True}]
    )
    assert version.source == f"models:/{model.model_id}"
    assert model.params["images"] == "1000"
    assert {metric.key: (metric.value, metric.step) for metric in model.metrics}["evaluation/one_nna_cd"][0] == 0.8
    path = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/furniture/{number}")
    for weights in Path(path).rglob("generator.npz"):
        weights.write_bytes(b"damaged")
    with pytest.raises(UserError, match=f"version {number} does not answer its own example .* not promoted"):
        check_serving(MODEL, number)
