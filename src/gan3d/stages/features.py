"""`gan3d evaluate --features`: the linear probe of the final stage's discriminator."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import mlflow

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import Params, resolution_of
from gan3d.dataset import VoxelDataset
from gan3d.metrics.linear_probe import probe_discriminator
from gan3d.metrics.rows import rounded, write_json
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import connect


def run(params: Params, project: Project) -> dict[str, Any]:
    """Probe the discriminator of the final stage; write `evaluation/features.json` and an MLflow run.

    Raises:
        UserError: if the data set has one class only, or too few shapes of a class.
    """
    data = VoxelDataset(project.voxels)  # with its labels, also for a model trained without them
    discriminator = model_file.load(project.model(params.final)).build_discriminator()
    of_features, of_voxels = probe_discriminator(discriminator, data, resolution_of(params.final))
    result = {
        "stage": params.final,
        "conditional": params.gan.conditional,
        "classes": data.classes,
        "shapes": {"learned": int((data.splits != "test").sum()), "tested": len(data.select("test"))},
        "discriminator": rounded(asdict(of_features)),
        "voxels": rounded(asdict(of_voxels)),
    }
    write_json(project.features, result)
    track(params, project, result)
    return result


def track(params: Params, project: Project, result: Mapping[str, Any]) -> None:
    """Log the accuracies as metrics and the whole result as a file, in a run of its own."""
    connect(project.mlruns)
    tags = provenance_tags(project.work) | {"stage": "features", "name": params.name}
    with mlflow.start_run(run_name=f"{params.name} features", tags=tags):
        mlflow.log_params({"stage": result["stage"], "conditional": result["conditional"]})
        for name in ("discriminator", "voxels"):
            mlflow.log_param(f"C.{name}", result[name]["strength"])
            values = {f"features/{name}/{split}": result[name][split] for split in ("validated", "tested")}
            mlflow.log_metrics({metric: value for metric, value in values.items() if value is not None})
        mlflow.log_artifact(str(project.features))
