"""Where the checkpoints of a stage lie: ROOT/<stage>/<fingerprint>, so that only equal trainings resume each other."""

from pathlib import Path

from gan3d.dataset import VoxelDataset
from gan3d.model_file import TrainedModel
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.training.fingerprint import training_fingerprint
from gan3d.training.recipe import Recipe


def checkpoint_folder(
    root: Path,
    stage: str,
    data: VoxelDataset,
    start: tuple[Generator, Discriminator, TrainedModel],
    recipe: Recipe,
) -> Path:
    """The folder of a training's checkpoints, whose name is the training's fingerprint.

    Args:
        root: such as `checkpoints`.
        stage: such as r16.
        start: of `gan3d.training.stage.build_stage`.
    """
    return root / stage / training_fingerprint(data, start[2], recipe)
