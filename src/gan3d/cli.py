"""The command line. Each command reads its arguments and calls one function; the work is elsewhere.

Heavy packages are imported inside the commands, so that `gan3d --help` answers at once and a wrong parameter is
named before TensorFlow loads.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from gan3d import __version__
from gan3d.errors import UserError

CHAMPION = "models:/gan3d@champion"

path_option = click.Path(path_type=Path)
model_option = click.option(
    "--model", default=CHAMPION, show_default=True, help="A model's folder, as models/r16, or a registry URI."
)
class_option = click.option("--class", "class_name", help="Class of the shapes; needed where the model has several.")
style_option = click.option(
    "--style", type=click.Choice(["marching_cubes", "blocks"]), default="marching_cubes", help="Surface of meshes."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gan3d")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Progressive 3D voxel GANs: from a folder of meshes to a registered generator.

    The whole pipeline is `dvc repro`; these are its stages, and what can be done with a trained model.
    """


@cli.command()
@click.option("--source", help="Instead of data.source: synthetic, a folder, a zip or an .npz.")
@click.option("--out", type=path_option, help="Where to write, instead of data/voxels.")
@click.option("--resolution", type=int, help="Instead of data.resolution.")
@click.option("--up", help="Instead of data.up: x, y or z.")
def prepare(source: str | None, out: Path | None, resolution: int | None, up: str | None) -> None:
    """Voxelise a source of shapes into a data set.

    Outside a project it takes defaults and needs --source and --out.
    """
    from gan3d import params, project
    from gan3d.stages import prepare as stage

    given = {"source": source, "resolution": resolution, "up": up}
    given = {name: value for name, value in given.items() if value is not None}
    if source is not None and out is not None and not project.inside():
        data, seed, home = params.section(params.Data(), given), 0, Path.cwd()
    else:
        here = project.find()
        all_params = params.load(here.params)
        data, seed, home = params.section(all_params.data, given), all_params.seed, here.work
        out = out or here.voxels
    click.echo(stage.describe(stage.run(data, seed, out, home), out))


@cli.command()
@click.argument("stages", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and the estimate, then stop.")
def train(stages: tuple[str, ...], dry_run: bool) -> None:
    """Train STAGES (as r16), or all in order; a stage that was killed continues."""
    params, here = _project()
    from gan3d.stages import train as stage

    for name in stages or params.train.stages:
        stage.run(params, name, here, dry_run)


@cli.command()
def evaluate() -> None:
    """Score every trained resolution on shapes never trained on."""
    params, here = _project()
    from gan3d.stages import evaluate as stage

    click.echo(stage.table(stage.run(params, here)))


@cli.command()
def register() -> None:
    """Put the final generator into the registry, and make it champion if it is better."""
    params, here = _project()
    from gan3d.stages import register as stage

    click.echo(stage.run(params, here))


@cli.command()
@model_option
@class_option
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="How many shapes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same shapes.")
@click.option(
    "--out",
    "outs",
    type=path_option,
    multiple=True,
    required=True,
    help="A file by extension: .npy .npz .binvox .stl .obj .ply .glb .png .html; may be repeated.",
)
@style_option
def sample(model: str, class_name: str | None, count: int, seed: int, outs: tuple[Path, ...], style: Any) -> None:
    """Write shapes of a class by seed."""
    from gan3d import shapefiles

    for out in outs:
        shapefiles.check(out)
    sampler = _sampler(model)
    from gan3d.sampling import latents

    label = sampler.label(class_name)
    settings = sampler.snapshot
    occupancy = sampler.occupancy(latents(seed, count, settings.architecture.latent), [label] * count)
    voxels, names = sampler.binary(occupancy), [sampler.classes[label]] * count
    for out in outs:
        for path in shapefiles.write(out, voxels, names, settings.up, occupancy, settings.threshold, style):
            click.echo(path)


@cli.command()
@model_option
@class_option
@click.option("--from", "start", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first shape.")
@click.option("--to", "end", type=click.IntRange(0), default=1, show_default=True, help="Seed of the last shape.")
@click.option("--steps", type=click.IntRange(2), default=9, show_default=True, help="Shapes, ends included.")
@click.option(
    "--out", type=path_option, default=Path("interpolation.png"), show_default=True, help="Picture of a strip."
)
def interpolate(model: str, class_name: str | None, start: int, end: int, steps: int, out: Path) -> None:
    """Walk between two seeds: a strip, and an animation (.gif) beside it."""
    if out.suffix.lower() != ".png":
        raise UserError(
            f"{out} cannot hold the strip: give it the extension .png; the animation stands beside it as .gif."
        )
    sampler = _sampler(model)
    from gan3d.drawing.voxels import class_color
    from gan3d.sampling import latents, slerp
    from gan3d.shapefiles import walk

    label = sampler.label(class_name)
    size = sampler.snapshot.architecture.latent
    path = slerp(latents(start, 1, size)[0], latents(end, 1, size)[0], steps)
    voxels = sampler.binary(sampler.occupancy(path, [label] * steps))
    for written in walk(out, voxels, sampler.snapshot.up, class_color(label)):
        click.echo(written)


@cli.command()
@click.argument("file", type=path_option)
@click.option("--out", type=path_option, help="A .png or .html; FILE with .png, when it is not given.")
@click.option(
    "--resolution", type=click.IntRange(4, 256), default=64, show_default=True, help="At which to draw a mesh."
)
@click.option(
    "--count", type=click.IntRange(1), default=32, show_default=True, help="Of a file of many, the first so many."
)
@click.option(
    "--up", type=click.Choice(["x", "y", "z"]), default="y", show_default=True, help="The axis that points up."
)
def show(file: Path, out: Path | None, resolution: int, count: int, up: str) -> None:
    """Draw any voxel or mesh FILE."""
    from gan3d import shapefiles

    out = out or file.with_name(file.name + ".png")
    if out.suffix.lower() not in shapefiles.PICTURES:
        raise UserError(f"{out} is no picture: give it the extension .png or .html.")
    voxels = shapefiles.load(file, resolution)[:count]
    for path in shapefiles.write(out, voxels, [""] * len(voxels), up):
        click.echo(path)


@cli.group()
def data() -> None:
    """The prepared data set, and the embedded furniture."""


@data.command()
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--class", "class_name", help="All classes, when it is not given.")
@click.option("--resolution", type=int, required=True, help="Voxels along an edge.")
@click.option("--out", type=path_option, required=True, help="An .npz with one array, voxels (n, R, R, R).")
@click.option("--data", "folder", type=path_option, help="The data set, instead of data/voxels.")
def export(split: str, class_name: str | None, resolution: int, out: Path, folder: Path | None) -> None:
    """Write a split as an .npz, for scoring by others."""
    from gan3d import project
    from gan3d.data.export import export as write
    from gan3d.dataset import VoxelDataset

    count = write(VoxelDataset(folder or project.find().voxels), split, class_name, resolution, out)
    click.echo(f"{out}: {count} shapes")


@data.command()
@click.option("--out", type=path_option, help="Where to write, instead of synthetic/.")
def synthetic(out: Path | None) -> None:
    """Write the embedded furniture as meshes in class folders."""
    from gan3d import project
    from gan3d.data import furniture

    folder = out or project.find().work / "synthetic"
    furniture.ensure(folder)
    click.echo(folder)


def _project() -> tuple[Any, Any]:
    """Checked parameters and the project, with the Keras backend chosen before Keras is imported."""
    from gan3d import params, project

    here = project.find()
    loaded = params.load(here.params)
    _choose_backend(loaded.train.backend)
    return loaded, here


def _choose_backend(wanted: str) -> None:
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


def _sampler(model: str) -> Any:
    """A sampler from a folder or a registry URI."""
    from gan3d import project

    _choose_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    from gan3d import snapshot
    from gan3d.registry.fetch import resolve
    from gan3d.sampling import Sampler

    folder = Path(model)
    if not folder.is_dir():
        folder = resolve(model, project.find().mlruns)
    return Sampler(snapshot.load(folder))


def main() -> None:
    """Run the command line; an error of the user's is one line and exit code 1."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted; the same command continues", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
