"""Stage `evaluate`: scores, floors and pictures of every trained resolution, on shapes never trained on."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from gan3d import snapshot
from gan3d.dataset import VoxelDataset
from gan3d.drawing.sheets import comparison, save_png, sheet
from gan3d.drawing.voxels import class_color
from gan3d.evaluation import protocol
from gan3d.params import Params, resolution
from gan3d.progress import bar
from gan3d.project import Project
from gan3d.sampling import Sampler, latents, slerp
from gan3d.tracking.facts import cause
from gan3d.tracking.store import connect

Scores = dict[str, dict[str, dict[str, Any]]]

SEED = 1  # of the first draw of generated shapes
SHOWN = 8  # shapes a row of the pictures
COLUMNS = {
    "one_nna_cd": "1-NNA-CD",
    "cov_cd": "COV-CD",
    "mmd_cd_x1e3": "MMD-CD×10³",
    "jsd": "JSD",
    "largest_piece_generated": "largest piece",
    "occupancy_generated": "occupancy",
    "novelty_generated_x1e3": "novelty×10³",
    "copied_generated": "copies",
}


def run(params: Params, project: Project) -> Scores:
    """Score all stages; write `evaluation/scores.json`, pictures and MLflow metrics; returns the scores.

    The scores are by stage, then by class or "mean", then by name; those of real training shapes against the same
    test shapes (the floor) stand below the key "floor".
    """
    data = VoxelDataset(project.voxels)
    scores: Scores = {}
    pictures = project.scores.parent / "pictures"
    for stage in params.train.stages:
        model = Sampler(snapshot.load(project.model(stage)))
        with bar(f"evaluate {stage}", "part") as progress:
            rows = protocol.evaluate(
                model.shapes,
                data,
                resolution(stage),
                params.evaluate.count,
                params.evaluate.draws,
                seed=SEED,
                progress=progress,
            )
        scores[stage] = nested([*rows, *protocol.mean_over_classes(rows)])
        save_png(pictures / f"{stage}.png", beside_real(model, data, resolution(stage)))
        save_png(pictures / f"{stage}-interpolation.png", interpolations(model))
    project.scores.parent.mkdir(parents=True, exist_ok=True)
    project.scores.write_text(json.dumps(scores, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    track(params, project, scores, pictures)
    return scores


def nested(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows of the protocol as a tree of plain metrics: class, then score; the floor's below "floor"."""
    left_out = {"kind", "class", "resolution"}
    tree: dict[str, dict[str, Any]] = {}
    for row in rows:
        own = {name: rounded(value) for name, value in row.items() if name not in left_out}
        branch = tree.setdefault(row["class"], {})
        branch.update(own if row["kind"] == "generated" else {"floor": own})
    return tree


def rows_of(scores: Scores) -> list[dict[str, Any]]:
    """Undo `nested` for all stages: rows as `gan3d.evaluation.protocol.evaluate` gives them."""
    return [
        {"kind": kind, "class": name, "resolution": resolution(stage)} | row
        for stage, classes in scores.items()
        for name, own in classes.items()
        if name != protocol.MEAN
        for kind, row in (("generated", {k: v for k, v in own.items() if k != "floor"}), ("floor", own["floor"]))
    ]


def rounded(value: Any) -> Any:
    """Six digits tell all that a hundred shapes can, and keep the file's history readable."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table(scores: Scores) -> str:
    """All scores with their floors as text, a row a class and resolution."""
    lines = ["".join([f"{'':22}", *(f"{title:>15}" for title in COLUMNS.values())])]
    notes = []
    for stage, classes in scores.items():
        for name, own in classes.items():
            for kind, row in (("generated", own), ("real", own["floor"])):
                cells = [number(row.get(column), row.get(f"{column}_std")) for column in COLUMNS]
                lines.append("".join([f"{stage} {name} {kind}"[:22].ljust(22), *(f"{cell:>15}" for cell in cells)]))
            if "note" in own and own["note"] not in notes:
                notes.append(own["note"])
    return "\n".join([*lines, *notes])


def number(value: float | None, spread: float | None) -> str:
    """A score and its standard deviation over draws."""
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ±{spread:.3f}" if spread is not None else "")


def beside_real(model: Sampler, data: VoxelDataset, at: int) -> np.ndarray:
    """Random generated shapes above random held-out ones, class by class; none of them chosen."""
    rows: dict[str, list[np.ndarray]] = {}
    colors = []
    for label, name in enumerate(data.classes):
        test = protocol.reference_rows(data, name, SHOWN)
        rows[f"{name}, generated"] = list(model.shapes(label, SHOWN, seed=1))
        rows[f"{name}, real"] = list(data.voxels(at, test))
        colors += [class_color(label)] * 2
    return comparison(rows, up=data.up, colors=colors)


def interpolations(model: Sampler) -> np.ndarray:
    """A walk between two latents, one row a class."""
    architecture = model.snapshot.architecture
    start, end = latents(1, 2, architecture.latent)
    path = slerp(start, end, SHOWN)
    shapes = [
        shape
        for label in range(len(model.classes))
        for shape in model.binary(model.occupancy(path, np.full(SHOWN, label)))
    ]
    colors = [class_color(label) for label in range(len(model.classes)) for _ in range(SHOWN)]
    return sheet(shapes, SHOWN, titles=model.classes, up=model.snapshot.up, colors=colors)


def metrics(classes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """One stage's scores as flat MLflow metrics, `test/chair/one_nna_cd`, and the floor of 1-NNA-CD beside it."""
    found: dict[str, float] = {}
    for name, own in classes.items():
        row = {score: own.get(score) for score in COLUMNS} | {"one_nna_cd_floor": own["floor"]["one_nna_cd"]}
        found |= {f"test/{name}/{score}": value for score, value in row.items() if value is not None}
    return found


def track(params: Params, project: Project, scores: Scores, pictures: Path) -> None:
    """Metrics to the run of each stage, where it is still known, and a run of their own for all pictures and scores."""
    client = connect(project.mlruns)
    tags = cause(project.work) | {"stage": "evaluate", "name": params.name}
    with mlflow.start_run(run_name=f"{params.name} evaluate", tags=tags):
        mlflow.log_params({"count": params.evaluate.count, "draws": params.evaluate.draws})
        mlflow.log_metrics(metrics(scores[params.final]))
        mlflow.log_artifacts(str(pictures), "pictures")
        mlflow.log_artifact(str(project.scores))
    for stage, classes in scores.items():
        run = trained_run(project, stage)
        try:
            for name, value in metrics(classes).items() if run else ():
                client.log_metric(run, name, value)
        except mlflow.MlflowException as error:
            print(f"warning: the scores of {stage} were not added to its run {run} ({error}).")


def trained_run(project: Project, stage: str) -> str:
    """Id of the run that trained a stage, empty when its file is gone."""
    path = project.run_file(stage)
    return json.loads(path.read_text(encoding="utf-8"))["run_id"] if path.is_file() else ""
