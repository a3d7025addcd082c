"""What can be done with a trained model and with any shape: sample, interpolate, show."""

from pathlib import Path
from typing import Any

import click

from gan3d.commands.setup import class_option, model_option, open_sampler, path_option
from gan3d.errors import UserError

style_option = click.option(
    "--style", type=click.Choice(["marching_cubes", "blocks"]), default="marching_cubes", help="Surface of meshes."
)


@click.command()
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
    sampler = open_sampler(model)
    from gan3d.sampling import latents

    label = sampler.label(class_name)
    settings = sampler.snapshot
    occupancy = sampler.occupancy(latents(seed, count, settings.architecture.latent), [label] * count)
    voxels, names = sampler.binary(occupancy), [sampler.classes[label]] * count
    for out in outs:
        for path in shapefiles.write(out, voxels, names, settings.up, occupancy, settings.threshold, style):
            click.echo(path)


@click.command()
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
    sampler = open_sampler(model)
    from gan3d.drawing.voxels import class_color
    from gan3d.sampling import latents, slerp
    from gan3d.shapefiles import walk

    label = sampler.label(class_name)
    size = sampler.snapshot.architecture.latent
    path = slerp(latents(start, 1, size)[0], latents(end, 1, size)[0], steps)
    voxels = sampler.binary(sampler.occupancy(path, [label] * steps))
    for written in walk(out, voxels, sampler.snapshot.up, class_color(label)):
        click.echo(written)


@click.command()
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
