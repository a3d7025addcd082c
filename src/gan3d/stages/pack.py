"""`gan3d pack`: write what a bare machine needs to train stages of this project; see `gan3d.monitoring.remote`."""

from pathlib import Path

from gan3d.config.project import Project
from gan3d.config.schema import SCRATCH, Params, resolution_of
from gan3d.dataset import VoxelDataset, resolution_key
from gan3d.errors import UserError
from gan3d.monitoring import remote
from gan3d.outputs import copy_file, copy_folder, new_folder
from gan3d.stages.spec import logging_schedule, stage_spec


def run(params: Params, stages: tuple[str, ...], project: Project, out: Path) -> int:
    """Write the folder; returns its size in bytes.

    Args:
        stages: names; empty: all. They are trained in the order of params.yaml.

    Raises:
        UserError: if a stage does not exist, the folder is not empty, or the model to grow from is missing.
    """
    for name in stages:
        params.recipe(name)  # raises UserError
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not an empty folder: choose another.")
    chosen = [name for name in params.train.stages if not stages or name in stages]
    data = VoxelDataset(project.voxels, params.gan.conditional)
    specs = []
    with new_folder(out) as packed:
        for name in chosen:
            prev = params.train.stages[name].prev
            if prev != SCRATCH and prev not in chosen:
                copy_folder(_model(project, prev), packed / "models" / prev)
            specs.append(stage_spec(params, name, data))
        grids = (f"{resolution_key(resolution_of(name))}*.npy" for name in chosen)
        for pattern in ("manifest.csv", "summary.json", *grids):
            for file in data.folder.glob(pattern):
                copy_file(file, packed / "data" / file.name)
        for name in chosen:
            for folder in (project.checkpoints / name).glob("*"):
                for newest in sorted(folder.glob("*.npz"))[-1:]:
                    copy_file(newest, packed / "checkpoints" / name / folder.name / newest.name)
        remote.write(packed / "stages.json", specs, logging_schedule(params), params.train.backend)
        return sum(path.stat().st_size for path in packed.rglob("*") if path.is_file())


def _model(project: Project, stage: str) -> Path:
    folder = project.model(stage)
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: train {stage} first, or pack it as well.")
    return folder
