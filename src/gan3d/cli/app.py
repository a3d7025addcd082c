"""The command line. Each command reads its arguments and calls one function; the work is elsewhere.

Heavy packages are imported inside the commands, so that `gan3d --help` answers at once and a wrong parameter is
named before TensorFlow loads.
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

    The whole pipeline is `dvc repro`; these are its stages, and what can be done with a trained model.
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
