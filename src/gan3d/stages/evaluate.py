"""Stage `evaluate`: scores, floors and pictures of every trained resolution, on held-out shapes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gan3d.comparison.compare import PAGE, compare_with_champion
from gan3d.config.project import Project
from gan3d.config.schema import Params, resolution_of
from gan3d.dataset import VoxelDataset
from gan3d.metrics.evaluation import ModelEvaluation, evaluate_model, load_sampler
from gan3d.metrics.names import metric_name
from gan3d.metrics.rows import MEAN, ClassScores, Row, class_mean, class_scores, most_telling, summary, write_json
from gan3d.metrics.tell import DIVISIONS
from gan3d.monitoring.progress import progress_bar
from gan3d.outputs import remove_others
from gan3d.rendering.sheets import save_png
from gan3d.reports import evaluation_report
from gan3d.reports.evaluation_report import Evaluation
from gan3d.reports.evaluation_sheets import beside_real, interpolation_sheet, samples_sheet
from gan3d.reports.progress import progress_section, read_progress, write_progress
from gan3d.stages.experiment import (
    experiment_run,
    images_seen,
    run_name,
    score_metrics,
    score_rows,
    trained_run,
)
from gan3d.tracking.history import TRAINING_RUN
from gan3d.tracking.metric_names import IMAGES_SEEN, SHEETS
from gan3d.tracking.metric_names import SCORES as GROUP
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.store import connect_later

LOGGED_CLASSES = 24  # whose scores become metrics in MLflow, a dozen each


def run(params: Params, project: Project) -> list[Row]:
    """Evaluate all stages; write scores, pictures, the report and a comparison with the champion, also to MLflow.

    Returns:
        The rows of `evaluation/table.json`: of every resolution, class (or "mean") and kind.
    """
    data = VoxelDataset(project.voxels, params.gan.conditional)
    stages = {stage: evaluate_stage(params, project, stage, data) for stage in params.train.stages}
    pictures = project.scores.parent / "pictures"
    sheets = {}
    for stage, scored in stages.items():
        sheets[scored.resolution] = samples_sheet(scored, data)
        save_png(pictures / f"{stage}.png", sheets[scored.resolution])
        save_png(pictures / f"{stage}-interpolation.png", interpolation_sheet(scored, data))
    remove_others(pictures, [f"{stage}{part}.png" for stage in stages for part in ("", "-interpolation")])
    rows = [row for evaluation in stages.values() for row in evaluation.rows]
    write_json(project.table, rows)
    write_json(project.scores, summary(class_mean(rows, resolution_of(params.final))))
    progress = read_progress(
        {stage: (project.curves(stage), project.health(stage)) for stage in params.train.chain(params.final)}
    )
    write_progress(project.plots, progress)
    evaluation = Evaluation(params.name, list(stages.values()), sheets)
    report = evaluation_report.write(
        project.scores.parent / "report.html", evaluation, data, progress_section(progress)
    )
    page = compare_with_champion(project, project.output(params.name) / PAGE)
    files = [pictures, report, project.scores, project.table, *([page] if page else [])]
    track(params, project, rows, files, beside_real(stages[params.final], data))
    return rows


def evaluate_stage(params: Params, project: Project, stage: str, data: VoxelDataset) -> ModelEvaluation:
    """Evaluate a stage's model, with a progress bar."""
    sampler = load_sampler(project.model(stage), data)
    with progress_bar(f"evaluate {stage}", "part") as progress:
        # half of the time is spent on telling, and only the final stage is promoted or not
        divisions = DIVISIONS if stage == params.final else 1
        return evaluate_model(sampler, data, params.evaluate.count, params.evaluate.draws, progress, divisions)


def metrics(classes: Sequence[ClassScores]) -> dict[str, float]:
    """One stage's scores as MLflow metrics: the mean as `evaluation/one_nna_cd`, a class as `evaluation/chair/…`.

    Of many classes, the LOGGED_CLASSES with the worst 1-NNA-CD; table.json has all.
    """
    values: dict[str, float] = {}
    for scores in most_telling(classes, LOGGED_CLASSES):
        values |= score_metrics(scores, GROUP if scores.name == MEAN else f"{GROUP}/{metric_name(scores.name)}")
    return values


def track(
    params: Params, project: Project, rows: Sequence[Row], files: Sequence[Path], sheets: Mapping[str, np.ndarray]
) -> None:
    """Log the scores to the run that trained each stage, if it is known, and all files to a run of their own.

    Args:
        sheets: generated shapes above real ones, by class.
    """
    tags = provenance_tags(project.work) | {"stage": "evaluate", "name": params.name}
    settings = {"count": params.evaluate.count, "draws": params.evaluate.draws}
    by_stage = {stage: metrics(class_scores(rows, resolution_of(stage))) for stage in params.train.stages}
    trained = {stage: found for stage in params.train.stages if (found := trained_run(project, stage))}
    if params.final in trained:
        tags[TRAINING_RUN] = trained[params.final]
    experiment = experiment_run(params, project, "evaluate")
    if experiment is not None:
        experiment.tell_stages(trained)
        experiment.tell(scores=score_rows(class_mean(rows, resolution_of(params.final))))
    name = run_name(params, "evaluate", experiment)
    run = TrackedRun(connect_later(project.mlruns), project.mlruns, name, settings, tags, experiment=experiment)
    run.outbox.put_metrics([{"images": 0, **by_stage[params.final]}])
    for path in files:
        run.outbox.put_files(path, path.name if path.is_dir() else "")
    for label, pixels in sheets.items():
        key = f"{SHEETS}/{metric_name(label)} beside real"
        run.outbox.put_image(key, 0, pixels)
        if experiment is not None:
            experiment.put_image(key, 0, pixels)
    if experiment is not None:
        seen = {IMAGES_SEEN: images_seen(project, params.train.chain(params.final))}
        mean = score_metrics(class_mean(rows, resolution_of(params.final)), main=True)
        experiment.put_metrics([{"images": 0, **seen, **mean}])
    for stage, trained_by in trained.items():
        run.other(trained_by).put_metrics([{"images": 0, **by_stage[stage]}])
    run.end()
