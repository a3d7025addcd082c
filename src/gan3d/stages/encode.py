"""The encoder of a generator, from which inversions start. Not part of dvc.yaml, since it takes minutes."""

from collections.abc import Callable
from pathlib import Path

from gan3d.inversion.encoder_file import save_encoder
from gan3d.inversion.encoder_training import train_encoder
from gan3d.sampling.sampler import Sampler


def run(
    sampler: Sampler, path: Path, shapes: int | None = None, progress: Callable[[int, int, str], None] | None = None
) -> Path:
    """Train the encoder of a generator on its own shapes, and write it.

    Args:
        sampler: of the generator.
        path: of the file.
        shapes: to learn from; None: by resolution.
        progress: as of `gan3d.inversion.encoder_training.train_encoder`.
    """
    encoder = train_encoder(sampler, shapes, progress=progress or (lambda done, total, note: None))
    save_encoder(path, encoder, sampler.model)
    return path
