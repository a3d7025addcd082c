"""The stages of the pipeline: prepare, train, evaluate, register."""

from pathlib import Path

import click

from gan3d.commands.setup import path_option, project_and_params


@click.command()
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


@click.command()
@click.argument("stages", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and the estimate, then stop.")
def train(stages: tuple[str, ...], dry_run: bool) -> None:
    """Train STAGES (as r16), or all in order; a stage that was killed continues."""
    params, here = project_and_params()
    from gan3d.stages import train as stage

    for name in stages or params.train.stages:
        stage.run(params, name, here, dry_run)


@click.command()
def evaluate() -> None:
    """Score every trained resolution on shapes never trained on."""
    params, here = project_and_params()
    from gan3d.stages import evaluate as stage

    click.echo(stage.table(stage.run(params, here)))


@click.command()
def register() -> None:
    """Put the final generator into the registry, and make it champion if it is better."""
    params, here = project_and_params()
    from gan3d.stages import register as stage

    click.echo(stage.run(params, here))


@click.command()
def sync() -> None:
    """Deliver to MLflow what a dead server or a killed run has left waiting on disk."""
    from gan3d import project
    from gan3d.tracking.outbox import sync as deliver
    from gan3d.tracking.store import connect

    here = project.find()
    done = deliver(connect(here.mlruns), here.mlruns / "outbox")
    for run, entries in done.items():
        click.echo(f"{run}: {entries} entries delivered")
    if not any(done.values()):
        click.echo("nothing was waiting")
