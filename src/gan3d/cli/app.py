"""The command line: each command parses its arguments and calls one function of another room.

Heavy packages are imported inside the commands: `gan3d --help` stays fast, and an invalid parameter is reported before
TensorFlow loads.
"""

import os
import platform
import re
import shlex
import sys
import tempfile
import traceback
from importlib.metadata import requires

import click

from gan3d import __version__
from gan3d.cli.compare import compare
from gan3d.cli.data import data
from gan3d.cli.inversion import complete, directions, encode, invert
from gan3d.cli.notebook import notebook
from gan3d.cli.pipeline import check, evaluate, output, pack, prepare, register, sync, train
from gan3d.cli.pretrained import pretrained
from gan3d.cli.recipe import recipe
from gan3d.cli.registry import registry
from gan3d.cli.score import score
from gan3d.cli.serve import export, key, serve, ui
from gan3d.cli.shapes import interpolate, sample, show
from gan3d.cli.tune import tune
from gan3d.errors import UserError, explain

ISSUES = "the project's issue tracker"
IMPORTED_AS = {"sklearn": "scikit_learn", "collada": "pycollada", "opentelemetry": "opentelemetry_sdk"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gan3d")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Progressive 3D voxel GANs: from a folder of meshes to a registered generator.

    `dvc repro` runs the whole pipeline; the commands are its stages, and what to do with a trained model.
    """


for command in (
    check,
    prepare,
    train,
    pack,
    evaluate,
    score,
    output,
    register,
    sample,
    interpolate,
    invert,
    complete,
    directions,
    encode,
    show,
    data,
    sync,
    tune,
    compare,
    recipe,
    notebook,
    pretrained,
    registry,
    ui,
    serve,
    key,
    export,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every error becomes one line on stderr and an exit code."""
    try:
        code = cli.main(standalone_mode=False)  # a command that exits gives its code
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("interrupted; run the same command again to continue", err=True)
        _tell_of_outputs()
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        _fail(str(error))
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("gan3d"):
            _fail(f"this needs the package {error.name}: {how_to_install(error.name)}.")
        if isinstance(error, BrokenPipeError):  # as in `gan3d registry list | head`
            _silence_output()
            sys.exit(1)
        _fail(explain(error) or report_defect(error))


def how_to_install(package: str) -> str:
    """The command that installs a package: with the extra of gan3d that lists it, or by its own name."""
    for line in requires("gan3d") or ():
        name, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"]([\w-]+)", line)
        if name and extra and name[0].lower().replace("-", "_") in (package.lower(), IMPORTED_AS.get(package)):
            return f"pip install 'gan3d[{extra[1]}]'"
    return f"pip install {package.partition('.')[0]}"


def report_defect(error: BaseException) -> str:
    """Write the traceback to a file; returns the sentence that names it."""
    lines = traceback.format_exception(error)
    what = re.sub(r"//[^/@\s]+@", "//…@", " ".join(traceback.format_exception_only(error)[-1].split()))[:200]
    head = f"gan3d {__version__}, Python {sys.version.split()[0]}, {platform.platform()}\n{shlex.join(sys.argv)}\n\n"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="gan3d-", suffix=".txt", delete=False, encoding="utf-8") as out:
            out.write(re.sub(r"//[^/@\s]+@", "//…@", head + "".join(lines)))  # addresses without passwords
        where = f"please report it at {ISSUES} with the traceback in {out.name}"
    except (OSError, UnicodeError):  # no room for a file
        where = f"run the command again as `gan3d --debug …` for its traceback, and report it at {ISSUES}"
    return f"this is a defect of gan3d ({what}): {where}."


def _tell_of_outputs() -> None:
    """Say how to bring back what DVC removes before it runs a stage."""
    if os.environ.get("DVC_STAGE"):
        click.echo("DVC had removed the stage's earlier outputs: `dvc checkout` brings them back.", err=True)


def _fail(sentence: str) -> None:
    try:
        click.echo(f"error: {sentence}", err=True)
        _tell_of_outputs()
    except OSError:  # stderr is closed, or on a full disk
        _silence_output()
    sys.exit(1)


def _silence_output() -> None:
    """Let Python's flush at exit find something to write to."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
