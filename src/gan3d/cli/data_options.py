"""Options of the command line that replace values of `data` in params.yaml."""

from functools import cache
from typing import Any, Literal, get_args, get_origin

import click


class DataCommand(click.Command):
    """A command with one option per field of `gan3d.config.schema.Data`.

    The options are created when the command runs, since importing the schema takes a second.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*_options(), *super().get_params(ctx)]


@cache
def _options() -> tuple[click.Option, ...]:
    from gan3d.config.schema import Data

    return tuple(
        click.Option(
            [f"--{name.replace('_', '-')}"],
            type=_click_type(field.annotation),
            help=f"Instead of data.{name}: {field.description}",
        )
        for name, field in Data.model_fields.items()
    )


def _click_type(annotation: Any) -> click.ParamType:
    """Literals of numbers and tuples are converted here; pydantic converts and checks everything else."""
    if get_origin(annotation) is Literal and isinstance(get_args(annotation)[0], int):
        return click.INT
    if any(get_origin(part) is tuple for part in get_args(annotation)):
        return _Names()
    return click.STRING


class _Names(click.ParamType):
    """The word `all`, or names joined by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "all" or not isinstance(value, str) else tuple(value.split(","))
