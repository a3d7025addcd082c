"""Servers, and a model for others: `gan3d ui`, `gan3d serve` over HTTP, `gan3d export` as files without Python."""

from pathlib import Path

import click

from gan3d.cli.setup import choose_backend, model_option, open_sampler, path_option


@click.command()
@model_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; 0.0.0.0 accepts other machines.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any free port.")
@click.option(
    "--queue", "queue_capacity", type=click.IntRange(1), default=64, show_default=True, help="Requests in the queue."
)
@click.option("--max-body", type=click.IntRange(1), default=1024, show_default=True, help="KiB of a request's body.")
@click.option(
    "--poll",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds between two checks of the model's alias.",
)
def serve(model: str, host: str, port: int, queue_capacity: int, max_body: int, poll: float) -> None:
    """Serve shapes over HTTP, and follow the model's alias when it moves."""
    from gan3d.serving.address import listen

    listening = listen(host, port)
    choose_backend()
    from gan3d.serving.model import ModelHolder
    from gan3d.serving.run import serve as run

    run(ModelHolder(model), listening, queue_capacity, max_body * 1024, poll, click.echo)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> None:
    """Browse experiments, comparisons and models in MLflow, on this machine only."""
    from gan3d.config.project import find_project
    from gan3d.tracking import ui as server

    raise SystemExit(server.serve(find_project().mlruns, port, click.echo))


@click.command()
@model_option
@click.option(
    "--out",
    "outs",
    type=path_option,
    multiple=True,
    required=True,
    help="NAME.onnx, or a folder for a SavedModel; may be repeated.",
)
def export(model: str, outs: tuple[Path, ...]) -> None:
    """Write the generator as ONNX, verified against Keras, or as TensorFlow SavedModel."""
    from gan3d.shape_io.formats import check_export

    for out in outs:
        check_export(out)
    sampler = open_sampler(model)
    from gan3d.registry import export as exporting

    for out in outs:
        difference = exporting.write(sampler, out)
        note = "" if difference is None else f"; ONNX Runtime differs from Keras by at most {difference:.1g}"
        click.echo(f"{out}{note}")
