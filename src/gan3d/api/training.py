"""`gan3d.train`: one stage of the progressive training, without DVC, MLflow or a params.yaml."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, nullcontext
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan3d import dataset
from gan3d.api.models import Model
from gan3d.backend_choice import choose_backend
from gan3d.errors import UserError

if TYPE_CHECKING:
    from gan3d.config.schema import Params
    from gan3d.training.callback import Callback

FINEST = 4  # channels of the narrowest layer that is chosen for a stage beyond the default ones


def train(
    data: dataset.VoxelDataset | str | Path,
    stage: str = "r04",
    previous: Model | None = None,
    *,
    checkpoints: str | Path | None = None,
    callback: Callback | None = None,
    progress: bool = True,
    **settings: Any,
) -> Model:
    """Train one stage as the pipeline does, to the same weights, and return its model.

    >>> coarse = gan3d.train("data/voxels", "r04", stabilise=2000)  # doctest: +SKIP
    >>> model = gan3d.train("data/voxels", "r08", coarse, batch=32)  # doctest: +SKIP
    >>> model.sample("chair", 16)  # doctest: +SKIP

    Args:
        data: a prepared data set, or its folder.
        stage: its name, the resolution: r04, r08, …
        previous: the model that it grows from, of a smaller resolution; None: from scratch.
        checkpoints: folder for checkpoints, in which an interrupted training resumes; None: it cannot resume.
        callback: told about rows, samples and warnings (`gan3d.training.callback.Callback`).
        progress: whether to show a progress bar.
        **settings: instead of the defaults of params.yaml: `seed`, and the keys of `gan`, `logging` and
            `train.stages.*`, such as batch, lr_g, stabilise, width (a list of one per resolution from scratch) or loss.

    Returns:
        The model; `history` holds the logged rows.

    Raises:
        gan3d.errors.UserError: for an unknown stage or key, or data that stop below the resolution.
    """
    choose_backend()
    from gan3d.dataset import UNCONDITIONAL
    from gan3d.monitoring.callbacks import CallbackList
    from gan3d.monitoring.checkpoint_folder import checkpoint_folder
    from gan3d.monitoring.monitor import TrainingMonitor
    from gan3d.monitoring.progress import progress_bar
    from gan3d.monitoring.validation import validation
    from gan3d.stages.spec import check_training_shapes, logging_schedule, stage_spec
    from gan3d.training import loop
    from gan3d.training.stage import build_stage, finish_stage

    if isinstance(data, str | Path):
        one = settings.get("conditional") is False or (previous is not None and previous.classes == (UNCONDITIONAL,))
        data = dataset.VoxelDataset(data, conditional=not one)
    params = stage_params(stage, previous, settings)
    spec = stage_spec(params, stage, data)
    check_training_shapes(data)
    if previous is not None and not previous.trained.discriminator:
        raise UserError(
            f"{previous!r} has no training weights, since it is only served: grow from a folder in models/, or from the"
            " result of gan3d.train."
        )
    start = build_stage(spec, previous.trained if previous else None)
    schedule = logging_schedule(params)
    with ExitStack() as stack:
        folder = Path(checkpoints) if checkpoints else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bar = progress_bar(f"{stage} training", "images") if progress else nullcontext(lambda *_: None)
        update = stack.enter_context(bar)
        stage_folder = checkpoint_folder(folder, stage, data, start, spec.recipe)
        trained, rows = loop.train(
            data,
            start,
            spec.recipe,
            stage_folder,
            schedule,
            CallbackList(_progress(update, spec.recipe.images), *([callback] if callback else [])),
            TrainingMonitor(data, start, schedule.samples_per_class),
            validation(data, start[2]),
        )
        return Model(finish_stage(spec, trained, data, stage_folder), stage, rows)


def stage_params(stage: str, previous: Model | None, settings: dict[str, Any]) -> Params:
    """The default parameters with the settings of one stage, in which nothing else matters.

    Raises:
        UserError: for an unknown stage or key, or an invalid value.
    """
    import keras
    import yaml
    from pydantic import ValidationError

    from gan3d.config.loading import explain
    from gan3d.config.schema import SCRATCH, Gan, Logging, Params, Stage
    from gan3d.dataset import resolution_key
    from gan3d.voxels import RESOLUTIONS

    tree = yaml.safe_load(files("gan3d.config").joinpath("defaults.yaml").read_text(encoding="utf-8"))
    names = [resolution_key(resolution) for resolution in RESOLUTIONS]
    if stage not in names:
        raise UserError(f"stage {stage!r} is not a resolution: choose one of {', '.join(names)}.")
    places: dict[str, dict[str, Any]] = {"seed": tree} | dict.fromkeys(Gan.model_fields, tree["gan"])
    places |= dict.fromkeys(Logging.model_fields, tree["logging"])
    defaults = tree["train"]["stages"]
    last = max(defaults)
    widths: list[int] = []
    for name in names[: names.index(stage) + 1]:
        widths.append(defaults[name]["width"] if name in defaults else max(FINEST, widths[-1] // 2))
    own = dict(defaults.get(stage, defaults[last]))
    places |= dict.fromkeys(set(Stage.model_fields) - {"prev"}, own)
    unknown = sorted(set(settings) - set(places))
    if unknown:
        raise UserError(f"{unknown[0]} is not a setting of a stage: choose from {', '.join(sorted(places))}.")
    stages = {stage: own}
    if previous is None:
        own |= {"prev": SCRATCH, "width": widths, "fade_in": 0}
    else:
        before = resolution_key(previous.resolution)
        added = widths[names.index(before) + 1 :] if before in names[: names.index(stage)] else widths[-1:]
        own |= {"prev": before, "width": added}
        stages[before] = own | {"prev": SCRATCH, "width": list(previous.trained.architecture.widths)}
        tree["gan"]["latent"] = previous.latent
    for name, value in settings.items():
        places[name][name] = list(value) if isinstance(value, tuple) else value
    tree["train"] |= {"stages": stages, "backend": keras.backend.backend()}
    tree["data"]["resolution"] = RESOLUTIONS[-1]  # the data set says itself where it stops
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(explain(error, tree)) from None


def _progress(update: Any, images: int) -> Callback:
    """Tells a bar how far the training is."""
    import logging

    from gan3d.training.callback import Callback, Row

    class Progress(Callback):
        def on_train_begin(self, seen: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
            update(seen, max(images, seen), "")
            return {}

        def on_log(self, row: Row) -> None:
            seen = int(row["images"])
            note = f"loss D {row['loss_d']:.2f}, G {row['loss_g']:.2f}; {row['images_per_second']:,.0f} images/s"
            update(seen, max(images, seen), note)

        def on_warning(self, seen: int, message: str) -> None:
            logging.getLogger("gan3d").warning("at %s images: %s", f"{seen:,}", message)

    return Progress()
