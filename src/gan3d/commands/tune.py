"""`gan3d tune`: search for a stage's best parameters, and take them over."""

import signal
from typing import Any

import click

from gan3d.commands.setup import project_and_params


class StageOrCommand(click.Group):
    """`tune r16` and `tune all` sweep; `tune apply r16` is a command of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["sweep", *args]
        return super().parse_args(ctx, args)


@click.group(cls=StageOrCommand, invoke_without_command=False, subcommand_metavar="STAGE | all | apply STAGE [OPTIONS]")
def tune() -> None:
    """Search for a stage's best parameters, as params.yaml says under `tune`.

    `gan3d tune r16` begins or continues the study of a stage (options: `gan3d tune sweep --help`), `gan3d tune all`
    goes up the pyramid.
    """


storage_option = click.option(
    "--storage", envvar="GAN3D_STORAGE", help="Instead of tune.storage: URL of the database (or $GAN3D_STORAGE)."
)
study_option = click.option("--study", help="Name of the study, instead of the model's name and the stage.")


@tune.command()
@click.argument("stage")
@storage_option
@study_option
@click.option("--trials", type=click.IntRange(1), help="Instead of tune.trials: trials of the study in all.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--worker", is_flag=True, help="Take part in the study; the verdict is left to others.")
@click.option("--dask", metavar="ADDRESS", help="Spread the trials over the workers of this Dask scheduler.")
def sweep(
    stage: str,
    storage: str | None,
    study: str | None,
    trials: int | None,
    workers: int,
    worker: bool,
    dask: str | None,
) -> None:
    """Sweep STAGE (as r16), or all."""
    params, here = project_and_params()
    from gan3d.tuning import report, sweep
    from gan3d.tuning.study import task

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as cleanly as by Ctrl-C
    if stage == "all":
        if study or trials:
            raise click.UsageError("--study and --trials are for one stage.")
        sweep.pyramid(here, storage, workers, dask, click.echo)
        return
    if trials:
        params = params.model_copy(update={"tune": params.tune.model_copy(update={"trials": trials})})
    chosen = task(params, stage, here, storage, study)
    done = sweep.run(chosen, workers, dask, click.echo)
    if not worker:
        click.echo(report.verdict(done, chosen))


@tune.command()
@click.argument("stage")
@storage_option
@study_option
@click.option("--trial", "number", type=int, help="This trial, instead of the best.")
def apply(stage: str, storage: str | None, study: str | None, number: int | None) -> None:
    """Write the best values of STAGE into params.yaml and show the difference."""
    from gan3d import params, project

    here = project.find()
    loaded: Any = params.load(here.params)
    from gan3d.tuning.study import task
    from gan3d.tuning.sweep import take_over

    difference = take_over(task(loaded, stage, here, storage, study), number)
    click.echo(difference.rstrip() or f"{here.params.name} has these values already")


tune.commands["sweep"].hidden = True
