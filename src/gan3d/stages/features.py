"""`gan3d evaluate --features`: the linear probe of the final stage's discriminator."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import Params, resolution_of
from gan3d.dataset import VoxelDataset
from gan3d.metrics.linear_probe import probe_discriminator
from gan3d.metrics.rows import rounded, write_json
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.store import connect_later


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
    tags = provenance_tags(project.work) | {"stage": "features", "name": params.name}
    settings = {"stage": result["stage"], "conditional": result["conditional"]}
    values: dict[str, float] = {}
    for name in ("discriminator", "voxels"):
        settings[f"C.{name}"] = result[name]["strength"]
        found = {f"features/{name}/{split}": result[name][split] for split in ("validated", "tested")}
        values |= {metric: value for metric, value in found.items() if value is not None}
    run = TrackedRun(connect_later(project.mlruns), project.mlruns, f"{params.name} features", settings, tags)
    run.outbox.put_metrics([{"images": 0, **values}])
    run.outbox.put_files(project.features, "")
    run.end()
