"""The options of bodies to print."""

import re
from collections.abc import Callable
from typing import Any

import click

from gan3d.errors import UserError
from gan3d.shape_io.print_settings import PrintSettings

MILLIMETRES = {"": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}


class Length(click.ParamType):
    """A length such as 120mm, 12cm or 5in, in mm; a number without unit is in mm."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", str(value).lower())
        if found is None or found[2] not in MILLIMETRES:
            self.fail(f"{value!r} is not a length: give one such as 120mm, 12cm or 5in.", param, ctx)
        return float(found[1]) * MILLIMETRES[found[2]]


_OPTIONS = (
    click.option(
        "--printable", is_flag=True, help="Write bodies to print (.stl, .3mf): one watertight piece each, in mm."
    ),
    click.option("--size", type=Length(), help="Longest edge of a body to print, such as 120mm; default: 100mm."),
    click.option("--up", type=click.Choice(["x", "y", "z"]), help="Axis that points up in its file; default: z."),
    click.option("--hollow", type=Length(), help="Make it hollow, with walls of this thickness, such as 2mm."),
    click.option("--base", is_flag=True, help="Put it onto a plate."),
    click.option(
        "--drop",
        type=click.FloatRange(0, 1),
        help="Leave out loose pieces below this share of the shape; by default, the shortest bridges join all.",
    ),
)


def printing_options(command: Callable) -> Callable:
    """Add the options to a command, which passes them on to `print_settings`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def print_settings(printable: bool, **given: Any) -> PrintSettings | None:
    """The settings of a command, or None without `--printable`.

    Raises:
        UserError: for an option that needs `--printable`, and for values out of range.
    """
    given = {name: value for name, value in given.items() if value not in (None, False)}
    if not printable:
        if given:
            raise UserError(f"--{next(iter(given))} is an option of bodies to print: add --printable, or leave it out.")
        return None
    settings = PrintSettings(**given)
    settings.check()
    return settings
