"""What several commands begin with: shared options, the project, the backend, a model."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from gan3d.errors import UserError

CHAMPION = "models:/gan3d@champion"

path_option = click.Path(path_type=Path)
model_option = click.option(
    "--model", default=CHAMPION, show_default=True, help="A model's folder, as models/r16, or a registry URI."
)
class_option = click.option("--class", "class_name", help="Class of the shapes; needed where the model has several.")


def project_and_params() -> tuple[Any, Any]:
    """Checked parameters and the project, with the Keras backend chosen before Keras is imported."""
    from gan3d.config.loading import load_params
    from gan3d.config.project import find_project

    here = find_project()
    loaded = load_params(here.params)
    choose_backend(loaded.train.backend)
    return loaded, here


def choose_backend(wanted: str) -> None:
    """Import Keras with a backend.

    Raises:
        UserError: when KERAS_BACKEND names another one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    given = os.environ.setdefault("KERAS_BACKEND", wanted)
    if given != wanted:
        raise UserError(
            f"KERAS_BACKEND is {given}, but train.backend in params.yaml is {wanted}: unset the one or edit the other."
        )
    _import_keras()


def _import_keras() -> None:
    """Import Keras with its backend, without TensorFlow's chatter; what it says before it fails is shown."""
    with tempfile.TemporaryFile() as said:
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            import keras  # noqa: F401
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def open_sampler(model: str) -> Any:
    """A sampler from a folder or a registry URI."""
    from gan3d.config.project import find_project

    choose_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    from gan3d import model_file
    from gan3d.registry.fetch import resolve
    from gan3d.sampling.sampler import Sampler

    folder = Path(model)
    if not folder.is_dir():
        folder = resolve(model, find_project().mlruns)
    return Sampler(model_file.load(folder))
