"""params.yaml as one validated, frozen tree; its values for a stage become a `Recipe`."""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gan3d.dataset import resolution_key
from gan3d.errors import UserError
from gan3d.training.recipe import Recipe
from gan3d.voxels import RESOLUTIONS

SCRATCH = "scratch"  # the `prev` of a stage that grows from nothing

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
Objective = Literal["excess", "one_nna_cd", "mmd_cd_x1e3", "cov_cd", "jsd"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Section):
    """The only section with defaults: data can be prepared outside a project, without a params.yaml."""

    source: str = Field(
        default="synthetic", description="synthetic, a folder, an archive, a set of arrays, or an address."
    )
    endpoint: str | None = Field(default=None, description="URL of an S3-compatible server other than Amazon's.")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = Field(
        default=None, description="Checksum of a downloaded source."
    )
    classes: Literal["all"] | tuple[str, ...] = Field(default="all", description="all, or names joined by commas.")
    resolution: Literal[4, 8, 16, 32, 64, 128] = Field(default=32, description="Voxels along an edge.")
    up: Literal["x", "y", "z"] = Field(default="y", description="The source's axis that points up: x, y or z.")
    handedness: Literal["right", "left"] = Field(
        default="right", description="Handedness of the source's axes: right or left."
    )
    fill: Literal["solid", "surface", "winding"] = Field(
        default="solid", description="How meshes are filled: solid, surface or winding."
    )
    place: Literal["measured", "floor", "centre"] = Field(
        default="measured",
        description="Floor or centre of the grid, or as measured for each class.",
    )
    labels: str | dict[str, str | dict[str, str]] | None = Field(
        default=None, description="A CSV with the columns file, class and, optionally, split."
    )
    validation: Share = Field(default=0.1, description="Share of the shapes, unless the source states its splits.")
    test: Share = Field(default=0.1, description="Share of the shapes, unless the source states its splits.")
    timeout: Annotated[float, Field(gt=0)] = Field(
        default=60, description="Seconds per file; slower ones are rejected."
    )
    memory_limit: Annotated[int, Field(ge=64)] = Field(default=2048, description="MiB per worker process.")


class Gan(Section):
    conditional: bool
    latent: Positive
    mapping: Annotated[int, Field(ge=0, le=64)] = 0
    residual: Annotated[int, Field(ge=0, le=64)] = 0
    loss: Literal["relativistic", "non_saturating", "wgan_gp", "bce_gated"]
    gamma: Annotated[float, Field(ge=0)]
    penalty_every: Positive
    gate: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]
    beta_1: Annotated[float, Field(ge=0, lt=1)]
    beta_2: Annotated[float, Field(gt=0, lt=1)]
    ema: Annotated[float, Field(gt=0, le=1)]
    mirror: Literal["x", "y", "z", "none", "measured"]
    symmetric: Annotated[float, Field(ge=0, le=1)] | Literal["measured"]
    noise: Annotated[float, Field(ge=0)]
    augment: Annotated[float, Field(ge=0, le=0.8)]
    ada_target: Annotated[float, Field(gt=0, lt=1)] | None
    ada_images: Positive
    threshold: Share | Literal["calibrated"]


class Stage(Section):
    """One resolution. `width` is a list if the stage adds several resolutions at once, as one from scratch does.

    `gamma` overrides that of `gan`; `denoise` is the number of real shapes that the denoiser sees.
    """

    prev: str
    width: Positive | tuple[Positive, ...]
    batch: Positive
    lr_g: Rate
    lr_d: Rate
    fade_in: Annotated[int, Field(ge=0)]
    stabilise: Positive
    denoise: Annotated[int, Field(ge=0)] = 0
    gamma: Annotated[float, Field(ge=0)] | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.width,) if isinstance(self.width, int) else self.width


class Train(Section):
    backend: Literal["tensorflow", "jax"]
    precision: Literal["float32", "bfloat16"]
    stages: dict[str, Stage]

    @field_validator("stages", mode="before")
    @classmethod
    def check_names(cls, stages: Any) -> Any:
        names = [resolution_key(resolution) for resolution in RESOLUTIONS]
        for name in stages if isinstance(stages, dict) else ():
            if name not in names:
                raise ValueError(f"stage {name!r} is not a resolution: use one of {', '.join(names)}")
        if not stages:
            raise ValueError("name at least one stage, such as r04")
        return stages

    @model_validator(mode="after")
    def check_chains(self) -> "Train":
        for name in self.stages:
            self.chain(name)
        return self

    def chain(self, name: str) -> list[str]:
        """The stages that a stage grows from, itself last.

        Raises:
            ValueError: if `prev` names no smaller stage, or `width` does not match the resolutions that are added.
        """
        stage = self.stages[name]
        size = resolution_of(name)
        if stage.prev == SCRATCH:
            before: list[str] = []
            added = RESOLUTIONS.index(size) + 1
        elif stage.prev in self.stages and resolution_of(stage.prev) < size:
            before = self.chain(stage.prev)
            added = RESOLUTIONS.index(size) - RESOLUTIONS.index(resolution_of(stage.prev))
        else:
            smaller = [other for other in self.stages if resolution_of(other) < size]
            raise ValueError(f"{name}.prev is {stage.prev!r}: use one of {', '.join([SCRATCH, *smaller])}")
        if len(stage.widths) != added:
            raise ValueError(
                f"{name}.width has {len(stage.widths)} value(s), but {added} resolution(s) are added to {stage.prev}:"
                " give one for each, the coarsest first"
            )
        return [*before, name]


class Logging(Section):
    """How often, in images; it changes no result."""

    metrics_every: Positive
    samples_every: Positive
    checkpoint_every: Positive
    samples_per_class: Positive


class Evaluate(Section):
    count: Positive
    draws: Positive


class Promote(Section):
    margin: Annotated[float, Field(ge=0, lt=1)]


class Range(Section):
    """Uniform from `low` to `high`, or log-uniform."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def check_order(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}: swap or separate them")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm: make it positive, or remove log")
        return self


class Tune(Section):
    """How `gan3d tune` searches; it affects no result of the pipeline."""

    storage: str | None
    trials: Positive
    images: Positive | None
    seconds: Annotated[float, Field(gt=0)] | None
    report: Positive
    count: Positive
    draws: Positive
    objective: Objective | Annotated[tuple[Objective, ...], Field(min_length=1)]
    sampler: Literal["tpe", "random"]
    pruner: Literal["halving", "median", "none"]
    heartbeat: Positive
    space: dict[str, Range | tuple[int | float, ...]]

    @field_validator("space")
    @classmethod
    def check_space(cls, space: dict[str, Any]) -> dict[str, Any]:
        known = [name for name in Stage.model_fields if name not in ("prev", "stabilise", "denoise")]
        sound = {"prev": SCRATCH, "width": 1, "batch": 1, "lr_g": 1, "lr_d": 1, "fade_in": 0, "stabilise": 1}
        if not space:
            raise ValueError(f"name at least one parameter of a stage, from {', '.join(known)}")
        for name, values in space.items():
            if name not in known:
                raise ValueError(f"{name} cannot be searched: choose from {', '.join(known)}")
            for value in (values.low, values.high) if isinstance(values, Range) else values:
                try:
                    Stage.model_validate(sound | {name: value})
                except ValidationError as error:
                    raise ValueError(f"{name} cannot be {value:g}: {error.errors()[0]['msg']}") from None
            if not isinstance(values, Range) and len(set(values)) < 2:
                raise ValueError(f"{name} has nothing to choose from: list at least two values")
        return space

    @model_validator(mode="after")
    def check_budget(self) -> "Tune":
        if (self.images is None) == (self.seconds is None):
            raise ValueError("a trial is limited by images or by seconds: set one of them and leave the other empty")
        return self

    @property
    def objectives(self) -> tuple[str, ...]:
        return (self.objective,) if isinstance(self.objective, str) else self.objective


class Params(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    data: Data
    gan: Gan
    train: Train
    logging: Logging
    evaluate: Evaluate
    promote: Promote
    tune: Tune

    @model_validator(mode="after")
    def check_consistency(self) -> "Params":
        largest = max(resolution_of(name) for name in self.train.stages)
        if largest > self.data.resolution:
            raise ValueError(
                f"data.resolution is {self.data.resolution}, but train.stages goes up to {largest}: raise the former"
            )
        if self.data.validation + self.data.test >= 1:
            raise ValueError("data.validation and data.test leave nothing to train on: their sum must be below 1")
        return self

    @property
    def final(self) -> str:
        """The stage of the highest resolution."""
        return max(self.train.stages, key=resolution_of)

    def widths(self, stage: str) -> tuple[int, ...]:
        """Channels at 4³, 8³, … up to a stage."""
        return sum((self.train.stages[name].widths for name in self.train.chain(stage)), ())

    def with_stage(self, stage: str, values: dict[str, Any]) -> "Params":
        """A copy with some values of one stage replaced."""
        stages = self.train.stages | {stage: self.train.stages[stage].model_copy(update=values)}
        return self.model_copy(update={"train": self.train.model_copy(update={"stages": stages})})

    def recipe(self, stage: str) -> Recipe:
        """What determines how a stage is trained; raises UserError for an unknown stage."""
        if stage not in self.train.stages:
            raise UserError(f"stage {stage!r} is not in train.stages: choose one of {', '.join(self.train.stages)}.")
        own, gan = self.train.stages[stage], self.gan
        names = {field.name for field in fields(Recipe)}
        shared = {name: value for name, value in gan if name in names}
        overrides = {name: value for name, value in own if name in names and value is not None}
        return Recipe(**shared | overrides, seed=self.seed)


def resolution_of(stage: str) -> int:
    """The resolution of a stage: 16 for `r16`."""
    return int(stage[1:])
