"""The model for others: `gan3d serve` over HTTP, `gan3d export` as files that need no Python."""

import os
from pathlib import Path

import click

from gan3d.cli.setup import choose_backend, model_option, open_sampler, path_option


@click.command()
@model_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; 0.0.0.0 lets other machines in.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option(
    "--queue", "places", type=click.IntRange(1), default=64, show_default=True, help="Requests that may wait."
)
@click.option(
    "--max-body", type=click.IntRange(1), default=1024, show_default=True, help="KiB that a request's body may have."
)
@click.option(
    "--poll",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds between two looks whether the alias has moved.",
)
def serve(model: str, host: str, port: int, places: int, max_body: int, poll: float) -> None:
    """Serve shapes over HTTP, and follow the model's alias when it moves."""
    from gan3d.config.project import find_project
    from gan3d.serving.address import listen

    mlruns = Path() if Path(model).is_dir() else find_project().mlruns
    listening = listen(host, port)
    choose_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    from gan3d.serving.model import Holder
    from gan3d.serving.run import serve as run

    run(Holder(model, mlruns), listening, places, max_body * 1024, poll, click.echo)


@click.command()
@model_option
@click.option(
    "--out",
    "outs",
    type=path_option,
    multiple=True,
    required=True,
    help="A file NAME.onnx, or else a folder for a SavedModel; may be repeated.",
)
def export(model: str, outs: tuple[Path, ...]) -> None:
    """Write the generator as ONNX, compared with Keras, or as TensorFlow SavedModel."""
    sampler = open_sampler(model)
    from gan3d.registry import export as exporting

    for out in outs:
        difference = exporting.write(sampler, out)
        found = "" if difference is None else f"; ONNX Runtime differs from Keras by at most {difference:.1g}"
        click.echo(f"{out}{found}")
