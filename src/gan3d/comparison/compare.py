"""Compare generators: find them, write the page, and log it to MLflow."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient

from gan3d.comparison.find import find_subject
from gan3d.comparison.page import comparison_page
from gan3d.comparison.subject import Subject
from gan3d.config.project import Project
from gan3d.errors import UserError
from gan3d.outputs import write_text
from gan3d.registry import aliases
from gan3d.tracking.history import log_page
from gan3d.tracking.limits import bounded
from gan3d.tracking.store import connect, store_uri

PAGE = "comparison.html"


def compare(addresses: Sequence[str], project: Project, out: Path) -> str | None:
    """Write the page of what the addresses name; returns the id of its run in MLflow, or None without a store.

    Raises:
        UserError: if an address names nothing, or MLflow does not answer.
    """
    client = store_client(project)
    page = comparison_page(named_apart([find_subject(address, project, client) for address in addresses]))
    write_text(out, page)
    if client is None:
        return None
    tags = {"stage": "compare", "compared": " ".join(addresses)}
    return log_page(client, f"compare {' '.join(addresses)}", page, PAGE, tags)


def compare_with_champion(project: Project, out: Path) -> Path | None:
    """Write the page that compares what the project holds now with the champion.

    Returns:
        The page; None if there is no champion, or it cannot be read now.
    """
    try:
        with bounded(store_uri(project.mlruns)):
            client = store_client(project)
            number = None if client is None else aliases.champion(client, project.name)
            if client is None or number is None:
                return None
            subjects = [find_subject(address, project, client) for address in (str(number), str(project.work))]
            page = comparison_page([replace(subjects[0], name=f"champion, {subjects[0].name}"), subjects[1]])
    except UserError:
        return None
    write_text(out, page)
    return out


def store_client(project: Project) -> MlflowClient | None:
    """The client of the project's store; None if there is no store yet, which is not created."""
    local = store_uri(project.mlruns).startswith("sqlite")
    if local and not (project.mlruns / "mlflow.db").is_file():
        return None
    return connect(project.mlruns)


def named_apart(subjects: Sequence[Subject]) -> list[Subject]:
    """The subjects with names that differ."""
    names = [subject.name for subject in subjects]
    return [
        replace(subject, name=f"{subject.name} ({number})") if names.count(subject.name) > 1 else subject
        for number, subject in enumerate(subjects, 1)
    ]
