"""The stages of the pipeline: prepare, train, evaluate, register."""

from pathlib import Path
from typing import Any

import click

from gan3d.cli.setup import path_option, project_and_params
from gan3d.errors import UserError


@click.command()
@click.option(
    "--source", help="Instead of data.source: synthetic, a folder, an archive, a set of arrays or an address."
)
@click.option("--out", type=path_option, help="Where to write, instead of data/voxels.")
@click.option("--resolution", type=int, help="Instead of data.resolution.")
@click.option("--up", help="Instead of data.up: x, y or z.")
@click.option("--handedness", help="Instead of data.handedness: right or left.")
@click.option("--fill", help="Instead of data.fill: solid, surface or winding.")
@click.option("--labels", help="Instead of data.labels: a CSV with the columns file and class.")
@click.option("--workers", type=click.IntRange(1), help="Processes; one a core when it is not given.")
@click.option("--dask", help="Address of a Dask scheduler, as tcp://host:8786, whose workers see the same files.")
def prepare(out: Path | None, workers: int | None, dask: str | None, **given: Any) -> None:
    """Voxelise a source of shapes into a data set.

    Outside a project it takes defaults and needs --source and --out.
    """
    from gan3d.config.loading import load_params, override_section
    from gan3d.config.project import find_project, in_project
    from gan3d.config.schema import Data
    from gan3d.stages import prepare as stage

    given = {name: value for name, value in given.items() if value is not None}
    if "source" in given and out is not None and not in_project():
        summary = stage.run(override_section(Data(), given), 0, out, Path.cwd(), workers, dask)
    else:
        here = find_project()
        loaded = load_params(here.params)
        data = override_section(loaded.data, given)
        summary = stage.run(data, loaded.seed, out or here.voxels, here.work, workers, dask)
        if out is None:
            stage.log(loaded.model_copy(update={"data": data}), here, summary)
    click.echo(stage.describe(summary, out or here.voxels))


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
@click.argument("out", type=path_option)
@click.argument("stages", nargs=-1)
def pack(out: Path, stages: tuple[str, ...]) -> None:
    """Write into the folder OUT what a machine without MLflow and DVC needs to train STAGES, or all.

    There, with the backend of params.yaml: KERAS_BACKEND=jax python -m gan3d.monitoring.remote OUT. Back here, copy
    OUT/checkpoints into this project, and `dvc repro` goes on from where it stopped.
    """
    params, here = project_and_params()
    from gan3d.stages import pack as stage

    size = stage.run(params, stages, here, out)
    click.echo(
        f"{out} ({size / 2**20:,.1f} MiB): there, run  KERAS_BACKEND={params.train.backend}"
        f" python -m gan3d.monitoring.remote {out.name}"
    )


@click.command()
@click.option("--features", is_flag=True, help="Instead, see how well D's activations tell the classes apart.")
def evaluate(features: bool) -> None:
    """Score every trained resolution on shapes never trained on."""
    params, here = project_and_params()
    if features:
        from gan3d.reports.linear_probe_text import linear_probe_text
        from gan3d.stages import features as features_stage

        click.echo(linear_probe_text(features_stage.run(params, here)))
        return
    from gan3d.reports.score_text import score_text
    from gan3d.stages import evaluate as stage

    click.echo(score_text(stage.run(params, here)))


@click.command()
def register() -> None:
    """Put the final generator into the registry, and make it champion if it is better."""
    params, here = project_and_params()
    from gan3d.stages import register as stage

    click.echo(stage.run(params, here))


@click.command()
def sync() -> None:
    """Deliver to MLflow what a dead server or a killed run has left waiting on disk."""
    from gan3d.config.project import find_project
    from gan3d.tracking.outbox import sync as deliver
    from gan3d.tracking.store import connect

    here = find_project()
    done, refused = deliver(connect(here.mlruns), here.mlruns / "outbox")
    for run, entries in done.items():
        click.echo(f"{run}: {entries} entries delivered")
    if refused:
        run, why = next(iter(refused.items()))
        raise UserError(
            f"{len(refused)} runs take nothing, the first {run} ({why}): run `gan3d sync` again when the server is"
            f" there, or, if the run was deleted, remove {here.mlruns / 'outbox' / run}."
        )
    if not any(done.values()):
        click.echo("nothing was waiting")
