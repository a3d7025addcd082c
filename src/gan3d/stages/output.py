"""Stage `output`: plots, models and samples of each resolution for people, in `output/<name>/{loss,model,vis}`.

A training writes them while it runs, with samples from its beginning on. This stage writes anew what belongs to another
model, as where DVC took a training from its cache; as outputs of DVC they come and go with `dvc checkout`.
"""

import csv
import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import Params
from gan3d.model_file import TrainedModel
from gan3d.monitoring.fixed_samples import FixedSamples
from gan3d.outputs import copy_folder, new_folder
from gan3d.rendering.sheets import samples_sheet, save_png
from gan3d.rendering.training_plots import training_curves
from gan3d.rendering.viewer import write_page

PARTS = ("loss", "model", "vis")

Frames = Sequence[tuple[int, np.ndarray]]


def run(params: Params, project: Project) -> list[str]:
    """Write what is missing or belongs to another model; returns the stages that were written."""
    output, written = project.output(params.name), []
    for stage in params.train.stages:
        if not belongs(output, stage, project.model(stage)):
            write_samples(output, stage, project, params.logging.samples_per_class)
            written.append(stage)
    for part in PARTS:
        for other in (output / part).iterdir():
            if other.name not in params.train.stages:
                shutil.rmtree(other)
    return written


def belongs(output: Path, stage: str, model: Path) -> bool:
    """Whether a stage's output is whole and of this model."""
    kept = output / "model" / stage
    wanted = (output / "loss" / stage / "loss.png", output / "vis" / stage / "shapes.html", kept / "generator.keras")
    return all(path.is_file() for path in wanted) and not any(
        filecmp.cmpfiles(kept, model, model_file.FILES, shallow=False)[1:]
    )


def write_samples(output: Path, stage: str, project: Project, count: int) -> None:
    """Write a stage's output from its model and curves: samples of the same latents as in training, at its end."""
    trained = model_file.load(project.model(stage))
    with project.curves(stage).open(newline="", encoding="utf-8") as lines:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(lines)]
    fixed = FixedSamples(trained, count)
    shapes, images = fixed.draw(list(trained.ema.values()), 1.0), int(rows[-1]["images"])
    with new_folder(output / "vis" / stage) as folder:
        sheet = samples_sheet(shapes, fixed.labels, trained.architecture.classes, trained.up)
        save_png(folder / f"{images:09d}.png", sheet)
    write_stage(output, stage, project.model(stage), trained, rows, [(images, shapes)], fixed.labels)


def write_stage(
    output: Path,
    stage: str,
    source: Path,
    trained: TrainedModel,
    rows: Sequence[dict[str, Any]],
    frames: Frames,
    labels: np.ndarray,
) -> tuple[Path, Path]:
    """Write a stage's plots, model and page.

    Args:
        output: `output/<name>`.
        source: folder of the model.
        rows: logged ones.
        frames: samples of the same latents by images seen, the last ones at the end.
        labels: of the samples.

    Returns:
        The folder of plots, and the page.
    """
    title, (images, shapes) = f"{output.name} at {trained.architecture.resolution}³", frames[-1]
    plots = output / "loss" / stage
    training_curves(rows, plots, title)
    page = write_page(
        output / "vis" / stage / "shapes.html",
        shapes,
        [trained.architecture.classes[label] for label in labels],
        title,
        note=f"After {images:,} images.",
        up=trained.up,
        frames=frames[:-1],
    )
    with new_folder(output / "model" / stage) as model:
        copy_folder(source, model)
        trained.build_generator().save(model / "generator.keras")
    return plots, page
