"""Your own shapes in a generator's latent space: invert, complete, directions, and the encoder that speeds it up."""

from pathlib import Path
from typing import Any

import click

from gan3d.cli.printing_options import print_settings, printing_options
from gan3d.cli.setup import class_option, model_option, open_sampler, outs_option, path_option
from gan3d.cli.shape_files import check_files, style_option, write_files
from gan3d.errors import UserError
from gan3d.shape_io.formats import FILES

any_class = click.option("--class", "class_name", help="Class of the shape; default: the one that fits best.")
SIDES = ("left", "right", "bottom", "top", "front", "back")  # as in gan3d.inversion.completion


@click.command()
@click.argument("files", nargs=-1, required=True, type=path_option)
@model_option
@any_class
@click.option("--out", type=path_option, default=Path("inverted"), show_default=True, help="Folder for the results.")
@click.option("--data", type=path_option, help="Prepared data to compare with; default: the project's, if they fit.")
@click.option("--as-is", is_flag=True, help="Neither turn nor move the shape to where the generator knows such shapes.")
def invert(
    files: tuple[Path, ...], model: str, class_name: str | None, out: Path, data: Path | None, as_is: bool
) -> None:
    """Find the latents of your own meshes or grids.

    Of each of FILES, --out receives NAME.npz, its latent, for `gan3d sample --around` and `gan3d interpolate --from`,
    and NAME.png: the shape, its reconstruction, and the nearest training shape.
    """
    inverter = open_inverter(model)
    from gan3d.inversion.latent_file import Latent, save_latent
    from gan3d.rendering.sheets import save_png, strip
    from gan3d.shape_io.one_shape import read_shape

    model_of, training = inverter.sampler.model, open_training(data, inverter.sampler)
    if class_name is not None:
        inverter.sampler.label(class_name)
    for file in files:
        found = inverter.invert(read_shape(file, inverter.resolution), class_name, not as_is)
        nearest = training.nearest(found.target, found.class_name) if training else None
        name = file.name.removesuffix(
            "".join(file.suffixes[-2:] if file.name.endswith(".nii.gz") else file.suffixes[-1:])
        )
        path = save_latent(out / f"{name}.npz", Latent(found.latent, found.class_name), model_of)
        shapes, captions = [found.target, found.voxels], ["shape", f"reconstruction: {found.iou:.2f}"]
        if nearest:
            shapes, captions = [*shapes, nearest.voxels], [*captions, f"nearest: {nearest.iou:.2f}"]
        save_png(path.with_suffix(".png"), strip(shapes, captions, 256, model_of.up))
        click.echo(f"{path}: {found.message}" + (f" {compare(nearest)}" if nearest else ""))


@click.command()
@click.argument("file", type=path_option)
@model_option
@any_class
@click.option("--side", type=click.Choice(SIDES), help="Half that is given; the other one is drawn.")
@click.option("--mask", type=path_option, help="Grid file (.npy, .binvox, …) of what is given, in place of --side.")
@click.option("--count", type=click.IntRange(1, 16), default=4, show_default=True, help="Number of shapes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same shapes.")
@outs_option(f"A file, whose extension sets the format: {' '.join(FILES)}")
@style_option
@printing_options
def complete(
    file: Path,
    model: str,
    class_name: str | None,
    side: str | None,
    mask: Path | None,
    count: int,
    seed: int,
    outs: tuple[Path, ...],
    style: Any,
    **printing: Any,
) -> None:
    """Draw whole shapes around a part of FILE: what is given stays, the rest is drawn.

    FILE lies as the model's shapes do: `gan3d invert` shows how it would have to be turned.
    """
    if (side is None) == (mask is None):
        raise UserError("it is not clear what is given: name either --side or --mask.")
    settings = print_settings(**printing)
    check_files(outs, settings)
    inverter = open_inverter(model)
    from gan3d.inversion.completion import complete as draw
    from gan3d.inversion.completion import half
    from gan3d.shape_io.one_shape import read_shape

    model_of = inverter.sampler.model
    voxels = read_shape(file, inverter.resolution)
    given = half(inverter.resolution, side, model_of.up) if side else read_shape(mask, inverter.resolution)  # type: ignore[arg-type]
    done = draw(inverter, voxels, given, class_name, count, seed)
    names = [done.class_name] * count
    write_files(outs, settings, done.voxels, names, model_of.up, style, inverter.sampler.classes)
    click.echo(f"IoU with what is given, before it was put back: {', '.join(f'{score:.2f}' for score in done.ious)}")


@click.command()
@model_option
@class_option
@click.option("--count", type=click.IntRange(1), default=8, show_default=True, help="Number of directions.")
@click.option("--out", type=path_option, default=Path("directions.png"), show_default=True, help="A .png file.")
def directions(model: str, class_name: str | None, count: int, out: Path) -> None:
    """Show a class's typical shape along the directions in which the class varies most."""
    if out.suffix.lower() != ".png":
        raise UserError(f"{out} is not a .png: give it that extension.")
    sampler = open_sampler(model)
    import numpy as np

    from gan3d.inversion.directions import find_directions
    from gan3d.rendering.sheets import comparison, save_png

    label = sampler.label(class_name)
    found = find_directions(sampler, label, count)
    steps = np.linspace(-1, 1, 7)[:, None]
    rows = {}
    for each in found.directions:
        vectors = (found.mean + steps * each.high * each.vector).astype(np.float32)
        rows[each.name] = list(sampler.binary(sampler.finite_occupancy(vectors, np.full(len(vectors), label))))
        click.echo(f"{each.name}: {each.share:.1%} of the variance")
    save_png(out, comparison(rows, up=sampler.model.up))
    click.echo(out)


@click.command()
@click.argument("stage", required=False)
@click.option("--model", type=path_option, help="Folder of a model outside the project; gets its encoder.npz.")
@click.option("--shapes", type=click.IntRange(32), help="Shapes to draw and learn from; default: by resolution.")
def encode(stage: str | None, model: Path | None, shapes: int | None) -> None:
    """Train the encoder of a generator, from which inversions start; it takes minutes.

    Takes the model of STAGE, by default the final one, and writes encoders/STAGE.npz. `gan3d register` takes it along.
    """
    if stage is not None and model is not None:
        raise UserError("a stage and a model are both given: give only one of them.")
    if model is not None:
        from gan3d.registry.models import model_folder

        folder = model_folder(model)
        out = folder / "encoder.npz"
    else:
        from gan3d.config.loading import load_params
        from gan3d.config.project import find_project

        project = find_project()
        params = load_params(project.params)
        if stage is not None and stage not in params.train.stages:
            raise UserError(f"stage {stage} does not exist: choose one of {', '.join(params.train.stages)}.")
        folder, out = project.model(stage or params.final), project.encoder(stage or params.final)
    sampler = open_sampler(str(folder))
    from gan3d.monitoring.progress import progress_bar
    from gan3d.stages import encode as encoding

    with progress_bar("encoder") as update:
        encoding.run(sampler, out, shapes, update)
    click.echo(out)


def open_inverter(address: str) -> Any:
    """The inverter of a model, with its encoder if there is one; takes and raises what `open_sampler` does."""
    sampler = open_sampler(address)
    from gan3d.inversion.encoder_file import open_encoder
    from gan3d.inversion.inverter import Inverter
    from gan3d.registry.models import encoder_places, model_folder

    def warn(sentence: str) -> None:
        click.echo(f"warning: {sentence}", err=True)

    return Inverter(sampler, open_encoder(encoder_places(model_folder(address)), sampler.model, warn))


def open_training(data: Path | None, sampler: Any) -> Any:
    """The training shapes of a prepared data set, or of the project's; None if that does not fit the model.

    Raises:
        UserError: if the data set that is named does not fit.
    """
    from gan3d.config.project import find_project, in_project
    from gan3d.inversion.nearest import open_training_shapes

    architecture = sampler.model.architecture
    if data is not None:
        return open_training_shapes(data, architecture)
    try:
        return open_training_shapes(find_project().voxels, architecture) if in_project() else None
    except UserError:
        return None


def compare(nearest: Any) -> str:
    """The nearest training shape in one sentence."""
    return (
        f"The nearest training shape is {nearest.name}: IoU {nearest.iou:.2f}, Chamfer distance"
        f" {nearest.chamfer_x1e3:.2f}."
    )
