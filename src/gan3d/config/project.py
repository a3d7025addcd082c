"""Every path of a project, found from wherever a command runs."""

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from gan3d.errors import UserError


@dataclass(frozen=True)
class Project:
    """The folders of one checkout.

    Attributes:
        work: where parameters are read and outputs written; in `dvc exp run --temp`, the temporary copy.
        home: the repository itself, with the tracking store and the checkpoints.
    """

    work: Path
    home: Path

    @property
    def params(self) -> Path:
        return self.work / "params.yaml"

    @property
    def name(self) -> str:
        """`name` in params.yaml: of the registered model, and of the folder in output/.

        Raises:
            UserError: if it cannot be read.
        """
        try:
            return str(yaml.safe_load(self.params.read_text(encoding="utf-8"))["name"])
        except (OSError, UnicodeError, yaml.YAMLError, KeyError, TypeError) as error:
            raise UserError(f"name cannot be read from {self.params}: run `gan3d check`.") from error

    @property
    def recipes(self) -> Path:
        """What differs from the default parameters, one file per recipe."""
        return self.work / "recipes"

    @property
    def notebooks(self) -> Path:
        """Notebooks as text, with the .ipynb beside each."""
        return self.work / "notebooks"

    @property
    def pretrained(self) -> Path:
        """Pretrained generators, with their index."""
        return self.home / "pretrained"

    @property
    def voxels(self) -> Path:
        """The prepared data set."""
        return self.work / "data" / "voxels"

    @property
    def source(self) -> Path:
        """What the data source held when it was last looked at, without secrets."""
        return self.work / "data" / "source.json"

    def model(self, stage: str) -> Path:
        """A stage's model, as `models/r16`."""
        return self.work / "models" / stage

    def encoder(self, stage: str) -> Path:
        """The encoder of a stage's model: beside models/, whose content the scores depend on."""
        return self.work / "encoders" / f"{stage}.npz"

    def run_file(self, stage: str) -> Path:
        """The id of the MLflow run that made a stage's model; nothing in the pipeline depends on it."""
        return self.work / "runs" / f"{stage}.json"

    def curves(self, stage: str) -> Path:
        """A stage's logged rows."""
        return self.work / "evaluation" / "curves" / f"{stage}.csv"

    def health(self, stage: str) -> Path:
        """A stage's diagnostics."""
        return self.work / "evaluation" / "health" / f"{stage}.csv"

    @property
    def plots(self) -> Path:
        """Scores and losses over the images of all stages, which DVC plots."""
        return self.work / "evaluation" / "plots"

    @property
    def scores(self) -> Path:
        """The final stage's main scores, a DVC metric."""
        return self.work / "evaluation" / "scores.json"

    @property
    def table(self) -> Path:
        """All scores, as rows."""
        return self.work / "evaluation" / "table.json"

    @property
    def features(self) -> Path:
        """Accuracy of a linear probe on D's features, of `gan3d evaluate --features`."""
        return self.work / "evaluation" / "features.json"

    def output(self, model_name: str) -> Path:
        """Plots, model and samples for people: `output/<name>/{loss,model,vis}`."""
        return self.work / "output" / model_name

    @property
    def checkpoints(self) -> Path:
        return self.home / "checkpoints"

    @property
    def mlruns(self) -> Path:
        return self.home / "mlruns"


def find_project(start: Path | None = None) -> Project:
    """The project that holds `start` (the current folder): the nearest folder upwards with params.yaml and dvc.yaml.

    DVC sets DVC_ROOT to the repository, also while it runs a stage in a temporary copy.

    Raises:
        UserError: outside a project.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return Project(folder, Path(os.environ.get("DVC_ROOT", folder)).resolve())
    raise UserError(
        f"{start} is not inside a gan3d project (no params.yaml and dvc.yaml in it or above it): change into one."
    )


def in_project() -> bool:
    """Whether the current folder belongs to a project."""
    try:
        find_project()
    except UserError:
        return False
    return True


def expand_home(path: Path) -> Path:
    """A path with ~ expanded, where that user exists."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path
