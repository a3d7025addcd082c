"""Setup shared by the commands: common options, the project, the backend, a model."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from gan3d.errors import UserError

CHAMPION = "models:/gan3d@champion"
BACKENDS = ("tensorflow", "jax")  # as in gan3d.backend, which imports Keras


class PathOption(click.Path):
    """A path whose leading ~ is the home folder, also where the shell left it, as in --out=~/shapes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return expand_home(Path(os.fsdecode(super().convert(value, param, ctx))))


def expand_home(path: Path) -> Path:
    """A path with ~ expanded, where that user exists."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


path_option = PathOption()
model_option = click.option(
    "--model",
    default=CHAMPION,
    show_default=True,
    help="A folder such as models/r16, a pretrained model's name, or a registry URI.",
)
class_option = click.option("--class", "class_name", help="Class of the shapes; required where the model has several.")


def project_and_params() -> tuple[Any, Any]:
    """Validated parameters and the project, with the Keras backend chosen before Keras is imported."""
    from gan3d.config.loading import load_params
    from gan3d.config.project import find_project

    project = find_project()
    params = load_params(project.params)
    choose_backend(params.train.backend)
    return params, project


def choose_backend(wanted: str | None = None) -> None:
    """Import Keras with a backend; by default that of KERAS_BACKEND, or else TensorFlow.

    Raises:
        UserError: when KERAS_BACKEND names another one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    chosen = os.environ.setdefault("KERAS_BACKEND", wanted or "tensorflow")
    if chosen not in BACKENDS:
        raise UserError(f"KERAS_BACKEND={chosen} is not supported: set it to {' or '.join(BACKENDS)}, or unset it.")
    if wanted and chosen != wanted:
        raise UserError(
            f"KERAS_BACKEND is {chosen}, but train.backend in params.yaml is {wanted}: unset the one or edit the other."
        )
    try:
        _import_keras()
    except ModuleNotFoundError as error:
        raise UserError(
            f"the backend {chosen} needs the package {error.name}: install it, or choose another."
        ) from error


def _import_keras() -> None:
    """Import Keras and its backend with stderr captured; it is shown only if the import fails."""
    with tempfile.TemporaryFile() as captured:
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            import keras  # noqa: F401
        except ModuleNotFoundError:
            raise
        except BaseException:
            captured.seek(0)
            os.write(terminal, captured.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def open_sampler(address: str) -> Any:
    """Choose the backend and open a model, as `gan3d.registry.models.open_sampler` does."""
    choose_backend()
    from gan3d.registry import models

    return models.open_sampler(address)
