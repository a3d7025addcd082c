"""Servers, and a model for others: `gan3d ui`, `gan3d serve` over HTTP, `gan3d export` as files without Python."""

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from gan3d.cli.setup import champion_address, choose_backend, model_option, open_sampler, outs_option, path_option
from gan3d.errors import UserError


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    show_default="the project's champion",
    help="A folder, a pretrained model's name, a registry URI, or NAME@ALIAS or NAME@VERSION of the registry; may be"
    " repeated, and named as NAME=MODEL.",
)
@click.option(
    "--engine",
    type=click.Choice(["keras", "onnx"]),
    help="What computes the shapes; by default Keras, and ONNX Runtime where TensorFlow is not installed.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; 0.0.0.0 accepts other machines.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any free port.")
@click.option("--keys", type=path_option, help="File of API keys, made by `gan3d key`.")
@click.option("--no-auth", is_flag=True, help="Let other machines ask without a key.")
@click.option("--allow-host", "hosts", multiple=True, help="A name of the server, besides localhost; * for any.")
@click.option("--rate", help="Limit of requests per key or address, such as 100/minute.")
@click.option(
    "--queue", type=click.IntRange(1), default=64, show_default=True, help="Work in the queue, in units of 2²⁰ voxels."
)
@click.option("--connections", type=click.IntRange(1), default=1000, show_default=True, help="At once.")
@click.option("--max-body", type=click.IntRange(1), default=1024, show_default=True, help="KiB of a request's body.")
@click.option("--max-upload", type=click.IntRange(1), default=16, show_default=True, help="MiB of a shape to invert.")
@click.option(
    "--data",
    type=path_option,
    help="Prepared data whose training shapes are compared with; default: the project's, if they fit the model.",
)
@click.option("--cache", type=click.IntRange(0), default=64, show_default=True, help="MiB of answers that are kept.")
@click.option(
    "--drain",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Seconds to answer accepted requests when the server stops.",
)
@click.option(
    "--poll",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds between two checks of the models' aliases and of the keys.",
)
@click.option("--ssl-certfile", type=path_option, help="Certificate chain of TLS.")
@click.option("--ssl-keyfile", type=path_option, help="Private key of TLS.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of lines on stderr."
)
def serve(models: tuple[str, ...], host: str, port: int, log_format: str, **options: Any) -> None:
    """Serve shapes over HTTP, and follow the models' aliases when they move."""
    from gan3d.serving.address import listen

    listening = listen(host, port)
    try:
        _serve(models, listening, log_format, **options)
    except KeyboardInterrupt:  # before the server runs, which handles signals itself
        click.echo("stopped before the server was ready", err=True)
        sys.exit(130)


def _serve(
    models: tuple[str, ...],
    listening: socket.socket,
    log_format: str,
    engine: str | None,
    keys: Path | None,
    no_auth: bool,
    hosts: tuple[str, ...],
    rate: str | None,
    queue: int,
    connections: int,
    max_body: int,
    max_upload: int,
    data: Path | None,
    cache: int,
    drain: float,
    poll: float,
    ssl_certfile: Path | None,
    ssl_keyfile: Path | None,
) -> None:
    from gan3d.serving.access import parse_rate
    from gan3d.serving.address import is_loopback
    from gan3d.serving.keys import Keys
    from gan3d.serving.models import ModelHolder, Models, open_keras, open_onnx, parse_models
    from gan3d.serving.run import serve as run
    from gan3d.serving.settings import MEBI, Settings

    if keys is None and not no_auth and not is_loopback(listening):
        raise UserError(
            f"--host {listening.getsockname()[0]} lets other machines ask: give --keys FILE, made by `gan3d key`, or"
            " --no-auth if something in front of the server checks who asks."
        )

    if engine is None:
        engine = "keras" if find_spec("tensorflow") or os.environ.get("KERAS_BACKEND") else "onnx"

    def open_with_keras(address: str, mlruns: Path | None) -> Any:
        choose_backend()
        return open_keras(address, mlruns)

    open_sampler = open_with_keras if engine == "keras" else open_onnx
    settings = Settings(
        queue=queue * MEBI,
        max_body=max_body * 1024,
        max_upload=max_upload * MEBI,
        data=training_data(data),
        poll=poll,
        drain=drain,
        connections=connections,
        cache=cache * MEBI,
        hosts=hosts,
        keys=None if keys is None else Keys(keys),
        rate=None if rate is None else parse_rate(rate),
        certificate=check_file("--ssl-certfile", ssl_certfile),
        private_key=check_file("--ssl-keyfile", ssl_keyfile),
    )
    holders = {
        name: ModelHolder(address, open_sampler=open_sampler, engine=engine)
        for name, address in parse_models(models or [champion_address()]).items()
    }
    run(Models(holders), listening, settings, log_format, click.echo)


def training_data(given: Path | None) -> Path | None:
    """The prepared data set of the option --data, or else of the project, if there is one.

    Raises:
        UserError: when the option names none.
    """
    from gan3d.config.project import find_project, in_project
    from gan3d.dataset import VoxelDataset

    if given is not None:
        return VoxelDataset(given).folder
    voxels = find_project().voxels if in_project() else None
    return voxels if voxels is not None and (voxels / "manifest.csv").is_file() else None


def check_file(option: str, path: Path | None) -> Path | None:
    """The path, if it is a file or not given.

    Raises:
        UserError: when there is no such file.
    """
    if path is not None and not path.is_file():
        raise UserError(f"{option} {path} is not a file: name one in PEM format.")
    return path


@click.command()
@click.argument("name")
@click.option("--keys", type=path_option, required=True, help="File that the key's hash is added to.")
def key(name: str, keys: Path) -> None:
    """Make an API key for NAME: the key is printed once, and FILE gets its hash."""
    from gan3d.serving.keys import add_key

    click.echo(add_key(keys, name))


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> None:
    """Browse experiments, comparisons and models in MLflow, on this machine only."""
    from gan3d.config.project import find_project
    from gan3d.tracking import ui as server

    project = find_project()
    raise SystemExit(server.serve(project.mlruns, project.name, port, click.echo))


@click.command()
@model_option
@outs_option("NAME.onnx, NAME.html, or a folder for a SavedModel")
def export(model: str | None, outs: tuple[Path, ...]) -> None:
    """Write the generator as ONNX, verified against Keras, as TensorFlow SavedModel, or as a studio in one page."""
    from gan3d.shape_io.formats import STUDIO, check_export

    for out in outs:
        check_export(out)
    pages = [out for out in outs if out.suffix.lower() == STUDIO]
    for out in pages:
        _export_studio(model or champion_address(), out)
    others = [out for out in outs if out not in pages]
    if not others:
        return
    sampler = open_sampler(model)
    from gan3d.registry import export as exporting

    for out in others:
        difference = exporting.write(sampler, out)
        note = "" if difference is None else f"; ONNX Runtime differs from Keras by at most {difference:.1g}"
        click.echo(f"{out}{note}")


def _export_studio(model: str, out: Path) -> None:
    from gan3d import model_file
    from gan3d.registry.models import model_folder
    from gan3d.registry.offline import write_studio

    name = model.removeprefix("models:/") if model.startswith("models:/") else Path(model).name
    write_studio(model_file.load(model_folder(model)), name, out)
    click.echo(f"{out}; {out.stat().st_size / 1e6:.1f} MB")
