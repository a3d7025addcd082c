"""One training stage: what it is, what it starts from, and what completes its model: denoiser and threshold."""

from dataclasses import dataclass, replace
from pathlib import Path

from gan3d.dataset import VoxelDataset
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.sampling.sampler import Sampler
from gan3d.training.denoising import Report, ignore, train_denoiser
from gan3d.training.growth import grow
from gan3d.training.recipe import Recipe
from gan3d.training.threshold import calibrate_threshold

CALIBRATED = "calibrated"  # in place of a threshold: fit it to the validation shapes


@dataclass(frozen=True)
class StageSpec:
    """One stage to train, as plain values.

    Attributes:
        name: such as r16.
        prev: the stage it grows from; None for a stage that starts from scratch.
        architecture: of both networks.
        recipe: how they are trained.
        seed: of the initial weights.
        threshold: occupancy above which a voxel is occupied, or CALIBRATED.
        denoise: real shapes that the denoiser sees after that training; 0: no denoiser.
    """

    name: str
    prev: str | None
    architecture: Architecture
    recipe: Recipe
    seed: int
    threshold: float | str = CALIBRATED
    denoise: int = 0

    @property
    def resolution(self) -> int:
        return self.architecture.resolution

    @property
    def settings(self) -> dict[str, object]:
        """What to log of a stage: the fields of its recipe and of its architecture."""
        return {
            "stage": self.name,
            "prev": self.prev or "scratch",
            "denoise": self.denoise,
            **vars(self.recipe),
            **vars(self.architecture),
        }


def build_stage(spec: StageSpec, parent: TrainedModel | None) -> tuple[Generator, Discriminator, TrainedModel]:
    """Networks and initial weights of a stage; a threshold that is a number applies from the first sample on.

    Args:
        parent: the model it grows from, None for a stage that starts from scratch.
    """
    generator, discriminator, first = grow(parent, spec.architecture, spec.seed)
    return (
        generator,
        discriminator,
        first if isinstance(spec.threshold, str) else replace(first, threshold=spec.threshold),
    )


def add_denoiser(
    spec: StageSpec, trained: TrainedModel, data: VoxelDataset, checkpoints: Path, report: Report = ignore
) -> TrainedModel:
    """The trained model with a denoiser, if the stage has one; a model that has its denoiser keeps it.

    Args:
        checkpoints: the stage's folder, where a trained denoiser is kept.
        report: see `gan3d.training.denoising.train_denoiser`.
    """
    if not spec.denoise or trained.architecture.denoiser:
        return trained
    weights = train_denoiser(data, spec.architecture, spec.recipe, spec.denoise, checkpoints, report)
    return replace(trained, architecture=replace(trained.architecture, denoiser=True), ema=trained.ema | weights)


def finish_stage(
    spec: StageSpec, trained: TrainedModel, data: VoxelDataset, checkpoints: Path, report: Report = ignore
) -> TrainedModel:
    """The trained model with its denoiser, the data's up axis and the stage's threshold, calibrated if so specified.

    Args:
        checkpoints: see `add_denoiser`.
        report: see `add_denoiser`.
    """
    trained = add_denoiser(spec, trained, data, checkpoints, report)
    threshold = calibrate_threshold(Sampler(trained), data) if isinstance(spec.threshold, str) else spec.threshold
    return replace(trained, up=data.up, threshold=threshold)
