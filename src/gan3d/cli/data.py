"""`gan3d data`: the prepared data set, and the embedded furniture."""

from pathlib import Path

import click

from gan3d.cli.setup import path_option
from gan3d.errors import UserError


@click.group()
def data() -> None:
    """The prepared data set, and the embedded furniture."""


@data.command()
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--class", "class_name", help="Default: all classes.")
@click.option("--resolution", type=int, required=True, help="Voxels along an edge.")
@click.option("--out", type=path_option, required=True, help="An .npz file with one array, voxels (n, R, R, R).")
@click.option("--data", "folder", type=path_option, help="Folder of the data set, instead of data/voxels.")
def export(split: str, class_name: str | None, resolution: int, out: Path, folder: Path | None) -> None:
    """Write a split as an .npz file, for scoring elsewhere."""
    from gan3d.config.project import find_project
    from gan3d.data.pipeline.export import export as write
    from gan3d.dataset import VoxelDataset

    if out.suffix.lower() != ".npz":
        raise UserError(f"{out} is not an .npz: give it that extension.")
    count = write(VoxelDataset(folder or find_project().voxels), split, class_name, resolution, out)
    click.echo(f"{out}: {count} shapes")


@data.command()
@click.argument("address")
@click.option("--out", type=path_option, required=True, help="File or folder to write, such as data/raw/data.zip.")
@click.option("--sha256", help="Expected checksum of the file.")
@click.option("--endpoint", help="URL of an S3-compatible server other than Amazon's.")
def fetch(address: str, out: Path, sha256: str | None, endpoint: str | None) -> None:
    """Download ADDRESS: https://, s3://, or the name of a public data set (`gan3d data sets`).

    An interrupted download continues. To let DVC track the address, use `dvc import-url` instead.
    """
    from gan3d.data.sources import download
    from gan3d.data.sources.named import NAMED_SOURCES, notice
    from gan3d.monitoring.progress import progress_bar

    if address in NAMED_SOURCES:
        click.echo(notice(address), err=True)
    with progress_bar("download", "B") as progress:
        click.echo(download.deliver(download.fetch(address, None, sha256, endpoint, progress), out))


@data.command()
def sets() -> None:
    """List the public data sets that data.source can name, with their terms."""
    from gan3d.data.sources.named import NAMED_SOURCES

    for name, each in NAMED_SOURCES.items():
        click.echo(f"{name}\n  {each.address} ({each.size}; {each.up} is up)\n  {each.licence}; {each.page}")


@data.command()
def source() -> None:
    """Record what data.source holds now in data/source.json, for DVC: prepare reruns when that changes."""
    from gan3d.config.loading import load_params
    from gan3d.config.project import find_project
    from gan3d.stages import source as stage
    from gan3d.stages.check import check_source

    project = find_project()
    data = load_params(project.params).data
    for finding in check_source(data, project):  # the first words that a person reads from `dvc repro`
        if finding.fatal:
            raise UserError(finding.sentence)
    record = stage.run(data, project)
    click.echo(f"{record['source']}: content {record['content']}")


@data.command()
@click.option("--data", "folder", type=path_option, help="Folder of the data set, instead of data/voxels.")
@click.option("--out", type=path_option, help="The page; default: beside the data set.")
def report(folder: Path | None, out: Path | None) -> None:
    """Write a report on a prepared data set: its contents, and what was left out."""
    from gan3d.config.project import find_project
    from gan3d.reports import data_report

    click.echo(data_report.write(folder or find_project().voxels, out))


@data.command()
@click.option("--out", type=path_option, help="Folder to write, instead of synthetic/.")
def synthetic(out: Path | None) -> None:
    """Write the embedded furniture as meshes, one folder per class."""
    from gan3d.config.project import find_project
    from gan3d.synthetic import furniture

    folder = out or find_project().work / "synthetic"
    furniture.ensure(folder)
    click.echo(folder)
