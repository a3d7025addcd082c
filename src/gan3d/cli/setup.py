"""Setup shared by the commands: common options, the project, the backend, a model."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gan3d.backend_choice import choose_backend


class PathOption(click.Path):
    """A path whose leading ~ is the home folder, also where the shell left it, as in --out=~/shapes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from gan3d.config.project import expand_home

        return expand_home(Path(os.fsdecode(super().convert(value, param, ctx))))


path_option = PathOption()


def outs_option(what: str) -> Callable:
    """`--out`, required, which may be repeated; `what` says what it names."""
    return click.option(
        "--out", "outs", type=path_option, multiple=True, required=True, help=f"{what}; may be repeated."
    )


model_option = click.option(
    "--model",
    show_default="the project's champion",
    help="A folder such as models/r16, a pretrained model's name, or a registry URI.",
)
class_option = click.option("--class", "class_name", help="Class of the shapes; required where the model has several.")


def project_and_params() -> tuple[Any, Any]:
    """Validated parameters and the project, with the Keras backend chosen before Keras is imported."""
    from gan3d.config.loading import load_params
    from gan3d.config.project import find_project
    from gan3d.tracking.address import check_addresses

    project = find_project()
    params = load_params(project.params)
    check_addresses()
    choose_backend(params.train.backend)
    return params, project


def champion_address() -> str:
    """The address of the project's champion, such as models:/furniture@champion."""
    from gan3d.config.project import find_project

    return f"models:/{find_project().name}@champion"


def open_sampler(address: str | None) -> Any:
    """Choose the backend and open a model, or the champion, as `gan3d.registry.models.open_sampler` does."""
    address = address or champion_address()
    choose_backend()
    from gan3d.registry import models

    return models.open_sampler(address)
