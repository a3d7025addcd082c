"""Links between runs in descriptions: written with the ids that are known then, resolved on delivery."""

import re
from collections.abc import Callable

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from gan3d.tracking.run_page import run_path

NOTE = MLFLOW_RUN_NOTE
_LINK = re.compile(r"\[([^\]]*)\]\(run:([\w-]+)\)")


def run_link(text: str, run: str) -> str:
    """A link to a run, which may have no id in MLflow yet."""
    return f"[{text}](run:{run})" if run else text


def resolve_links(text: str, experiment: str, resolve: Callable[[str], str | None]) -> str:
    """Turn links into addresses of MLflow's pages; one to a run that does not exist becomes plain text."""

    def address(found: re.Match[str]) -> str:
        run = resolve(found[2])
        return f"[{found[1]}]({run_path(experiment, run)})" if run else found[1]

    return _LINK.sub(address, text)
