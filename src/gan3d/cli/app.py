"""The command line: each command parses its arguments and calls one function of another room.

Heavy packages are imported inside the commands: `gan3d --help` stays fast, and an invalid parameter is reported before
TensorFlow loads.
"""

import sys

import click

from gan3d import __version__
from gan3d.cli.data import data
from gan3d.cli.pipeline import evaluate, pack, prepare, register, sync, train
from gan3d.cli.registry import registry
from gan3d.cli.serve import export, serve
from gan3d.cli.shapes import interpolate, sample, show
from gan3d.cli.tune import tune
from gan3d.errors import UserError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gan3d")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Progressive 3D voxel GANs: from a folder of meshes to a registered generator.

    `dvc repro` runs the whole pipeline; the commands are its stages, and what to do with a trained model.
    """


for command in (
    prepare,
    train,
    pack,
    evaluate,
    register,
    sample,
    interpolate,
    show,
    data,
    sync,
    tune,
    registry,
    serve,
    export,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; a UserError becomes one line on stderr and exit code 1."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted; run the same command again to continue", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
