"""Stage `evaluate`: scores, floors and pictures of every trained resolution, on shapes never trained on."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import Params, resolution_of
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics import protocol
from gan3d.metrics.intervals import WIDE
from gan3d.metrics.protocol import EXCESS, Assessment
from gan3d.metrics.reference import reference_rows
from gan3d.model_file import TrainedModel
from gan3d.monitoring.diagnostics import metric_name
from gan3d.monitoring.progress import progress_bar
from gan3d.rendering.sheets import comparison, save_png, sheet
from gan3d.rendering.voxels import class_color
from gan3d.reports import evaluation_report
from gan3d.reports.evaluation_report import Findings
from gan3d.sampling.latents import draw_latents, slerp
from gan3d.sampling.sampler import Sampler
from gan3d.tracking.provenance import provenance_tags
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
REAL = {name: name.replace("generated", "reference") for name in COLUMNS if "generated" in name}
LEGEND = (
    "real: training shapes against the same test shapes, the floor; from the largest piece on, the test shapes."
    " ±: half of a 95 % interval."
)


def run(params: Params, project: Project) -> Scores:
    """Score all stages; write all scores, their summary, pictures and the page, also into MLflow; returns the scores.

    The scores are by stage, then by class or "mean", then by name; those of real training shapes against the same
    test shapes (the floor) stand below the key "floor".
    """
    data = VoxelDataset(project.voxels, params.gan.conditional)
    scores: Scores = {}
    assessed: list[Assessment] = []
    walks: dict[str, np.ndarray] = {}
    sheets: dict[str, np.ndarray] = {}
    pictures = project.scores.parent / "pictures"
    for stage in params.train.stages:
        model = Sampler(loaded(project.model(stage), data))
        with progress_bar(f"evaluate {stage}", "part") as progress:
            found = protocol.assess(
                model.shapes,
                data,
                resolution_of(stage),
                params.evaluate.count,
                params.evaluate.draws,
                seed=SEED,
                progress=progress,
            )
        rows = [row for assessment in found for row in assessment.rows]
        scores[stage] = nested([*rows, *protocol.mean_over_classes(rows)])
        sheets[stage] = beside_real(model, data, resolution_of(stage))
        save_png(pictures / f"{stage}.png", sheets[stage])
        save_png(pictures / f"{stage}-interpolation.png", picture_of(interpolations(model), model))
        if stage == params.final:
            assessed, walks = found, interpolations(model)
    write_json(project.table, scores)
    write_json(project.scores, summary(scores[params.final]))
    findings = Findings(params.name, scores, params.final, assessed, walks, sheets)
    page = evaluation_report.write(project.scores.parent / "report.html", findings, data)
    track(params, project, scores, [pictures, page, project.scores, project.table])
    return scores


def loaded(folder: Path, data: VoxelDataset) -> TrainedModel:
    """A model that is to be scored on a data set.

    Raises:
        UserError: when it was trained on other classes, whose numbers would mean others here.
    """
    model = model_file.load(folder)
    own, there = model.architecture.classes, tuple(data.classes)
    if own != there:
        raise UserError(
            f"{folder} was trained on {', '.join(own)}, but {data.folder} has {', '.join(there)}: train it again, with"
            " `dvc repro`, or prepare the data as they were."
        )
    return model


def write_json(path: Path, tree: Any) -> None:
    """The same tree gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def summary(classes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The few numbers that DVC shows and compares: means over classes, each followed by what real shapes reach."""
    own = classes[protocol.MEAN]
    found: dict[str, Any] = {}
    for name in ("one_nna_cd", "cov_cd", "mmd_cd_x1e3", "jsd"):
        found |= {name: own.get(name), f"{name}_real": own["floor"].get(name)}
    for name in ("largest_piece", "copied"):
        found |= {name: own.get(f"{name}_generated"), f"{name}_real": own.get(f"{name}_reference")}
    return {name: None if value is None else float(f"{value:.4g}") for name, value in found.items()}


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
    """Undo `nested` for all stages: rows as `gan3d.metrics.protocol.evaluate` gives them."""
    return [
        {"kind": kind, "class": name, "resolution": resolution_of(stage)} | row
        for stage, classes in scores.items()
        for name, own in classes.items()
        if name != protocol.MEAN
        for kind, row in (("generated", {k: v for k, v in own.items() if k != "floor"}), ("floor", own["floor"]))
    ]


def rounded(value: Any) -> Any:
    """Six digits tell all that a hundred shapes can, and keep the file's history readable."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table(scores: Scores) -> str:
    """All scores with their floors as text, a row a class and resolution, and half the width of 95 % intervals."""
    lines = ["".join([f"{'':22}", *(f"{title:>15}" for title in COLUMNS.values())])]
    notes = []
    for stage, classes in scores.items():
        for name, own in classes.items():
            real = own["floor"] | {score: own.get(other) for score, other in REAL.items()}
            real |= {f"{score}_se": own.get(f"{other}_se") for score, other in REAL.items()}
            for kind, row in (("generated", own), ("real", real)):
                cells = [number(row.get(column), row.get(f"{column}_se")) for column in COLUMNS]
                lines.append("".join([f"{stage} {name} {kind}"[:22].ljust(22), *(f"{cell:>15}" for cell in cells)]))
            if "note" in own and own["note"] not in notes:
                notes.append(own["note"])
    return "\n".join([*lines, LEGEND, *notes])


def number(value: float | None, error: float | None) -> str:
    """A score and half the width of its 95 % interval."""
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ±{WIDE * error:.3f}" if error is not None else "")


def beside_real(model: Sampler, data: VoxelDataset, at: int) -> np.ndarray:
    """Random generated shapes above random held-out ones, class by class; none of them chosen."""
    rows: dict[str, list[np.ndarray]] = {}
    colors = []
    for label, name in enumerate(data.classes):
        test = reference_rows(data, name, SHOWN)
        rows[f"{name}, generated"] = list(model.shapes(label, SHOWN, seed=1))
        rows[f"{name}, real"] = list(data.voxels(at, test))
        colors += [class_color(label)] * 2
    return comparison(rows, up=data.up, colors=colors)


def interpolations(model: Sampler) -> dict[str, np.ndarray]:
    """A walk between two latents, booleans (SHOWN, R, R, R) a class."""
    start, end = draw_latents(1, 2, model.model.architecture.latent)
    path = slerp(start, end, SHOWN)
    return {
        name: model.binary(model.occupancy(path, np.full(SHOWN, label))) for label, name in enumerate(model.classes)
    }


def picture_of(walks: dict[str, np.ndarray], model: Sampler) -> np.ndarray:
    """The walks, one row a class."""
    shapes = [shape for walk in walks.values() for shape in walk]
    colors = [class_color(label) for label in range(len(walks)) for _ in range(SHOWN)]
    return sheet(shapes, SHOWN, titles=list(walks), up=model.model.up, colors=colors)


def metrics(classes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """One stage's scores as flat MLflow metrics, `test/chair/one_nna_cd`, with the floor of 1-NNA-CD and its excess."""
    found: dict[str, float] = {}
    for name, own in classes.items():
        row = {score: own.get(score) for score in (*COLUMNS, EXCESS)} | {"one_nna_cd_floor": own["floor"]["one_nna_cd"]}
        found |= {f"test/{metric_name(name)}/{score}": value for score, value in row.items() if value is not None}
    return found


def track(params: Params, project: Project, scores: Scores, files: list[Path]) -> None:
    """Metrics to the run of each stage, where it is still known, and a run of their own with all files."""
    client = connect(project.mlruns)
    tags = provenance_tags(project.work) | {"stage": "evaluate", "name": params.name}
    with mlflow.start_run(run_name=f"{params.name} evaluate", tags=tags):
        mlflow.log_params({"count": params.evaluate.count, "draws": params.evaluate.draws})
        mlflow.log_metrics(metrics(scores[params.final]))
        for path in files:
            if path.is_dir():
                mlflow.log_artifacts(str(path), path.name)
            else:
                mlflow.log_artifact(str(path))
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
