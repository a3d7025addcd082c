"""What params.yaml says of one training stage, for a data set."""

from dataclasses import replace

from gan3d.config.schema import SCRATCH, Params, resolution_of
from gan3d.dataset import VoxelDataset, resolution_key
from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.training.loop import LoggingSchedule
from gan3d.training.stage import StageSpec

PICTURES = 12  # samples of fixed latents over a stage, at least


def stage_spec(params: Params, stage: str, data: VoxelDataset) -> StageSpec:
    """A stage for a data set, as the parameters say.

    Raises:
        UserError: if the stage does not exist, or the data set stops below its resolution.
    """
    recipe = params.recipe(stage)
    prev = params.train.stages[stage].prev
    data.packed(resolution_of(stage))  # raises UserError
    widths = params.widths(stage)
    occupancy = tuple(data.summary["occupancy"][resolution_key(4 * 2**i)] for i in range(len(widths)))
    architecture = Architecture(
        params.gan.latent,
        tuple(data.classes),
        widths,
        occupancy,
        params.train.precision,
        *data.symmetry(params.gan.mirror, params.gan.symmetric),
        params.gan.mapping,
        params.gan.residual,
    )
    return StageSpec(
        stage,
        None if prev == SCRATCH else prev,
        architecture,
        recipe,
        params.seed,
        params.gan.threshold,
        params.train.stages[stage].denoise,
    )


def logging_schedule(params: Params, images: int | None = None) -> LoggingSchedule:
    """The loop's schedule, from the section `logging`.

    Args:
        images: of the stage, of which at least PICTURES samples are wanted.
    """
    schedule = LoggingSchedule(**params.logging.model_dump())
    if images is None:
        return schedule
    return replace(schedule, samples_every=min(schedule.samples_every, max(1, images // PICTURES)))


def check_training_shapes(data: VoxelDataset) -> None:
    """Raise UserError if a class has no training shape."""
    for name in data.classes:
        if len(data.select("train", name)) == 0:
            raise UserError(
                f"{data.folder} has no training shape of class {name!r}: add some, or remove it from data.classes."
            )
