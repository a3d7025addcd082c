"""One generator of a comparison: whatever is known of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gan3d.metrics.rows import ClassScores, class_scores
from gan3d.sampling.sampler import Sampler
from gan3d.serving.onnx_engine import OnnxSampler

Curve = tuple[Sequence[float], Sequence[float]]  # images and values
CURVES = {  # what is drawn of each stage: what the training calls it -> title
    "validation/score": "1-NNA-CD on validation shapes",
    "loss_g": "loss of the generator",
    "loss_d": "loss of the discriminator",
    "score_real": "discriminator's score of real shapes",
    "score_fake": "discriminator's score of generated shapes",
    "samples/diversity": "diversity of samples",
}


@dataclass(frozen=True)
class Subject:
    """One generator.

    Attributes:
        name: for people; unique within a comparison.
        params: by name, as text; empty if nothing is known.
        facts: commit, data and the like, by what people call them.
        rows: of its evaluation, see `gan3d.metrics.protocol`; empty if it was not scored.
        curves: by stage and what the training calls the value.
        pictures: of the same latents during training, by key and images; each call reads one, as bytes of a PNG.
        model: opens its generator's folder; None if it is gone.
    """

    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    curves: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    pictures: Mapping[tuple[str, int], Callable[[], bytes | None]] = field(default_factory=dict)
    model: Callable[[], Path] | None = None

    @cached_property
    def scores(self) -> list[ClassScores]:
        """Scores of each class, and their mean, at the highest resolution."""
        finest = max((row["resolution"] for row in self.rows), default=0)
        return class_scores(self.rows, finest) if self.rows else []

    @cached_property
    def resolution(self) -> int | None:
        """That of its scores."""
        return self.scores[0].resolution if self.scores else None

    def open(self) -> Sampler | None:
        """Its generator; None if it is gone."""
        return None if self.model is None else OnnxSampler.load(self.model())  # TensorFlow takes seconds to import
