"""Choose the backend of Keras before Keras is imported, and import both without a word on the terminal."""

import logging
import os
import sys
import tempfile

from gan3d.errors import UserError

BACKENDS = ("tensorflow", "jax")  # as in gan3d.backend, which imports Keras


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
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on retracing is for us


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
