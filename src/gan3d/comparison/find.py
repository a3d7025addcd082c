"""Find what a comparison names: a folder, a registered version, a revision or experiment of DVC, or a run of MLflow."""

import re
from pathlib import Path

from mlflow import MlflowClient

from gan3d.comparison.from_mlflow import training_subject, version_subject, with_training
from gan3d.comparison.from_project import folder_subject, revision_of, revision_subject
from gan3d.comparison.subject import Subject
from gan3d.config.project import Project
from gan3d.errors import UserError
from gan3d.registry.aliases import find_version
from gan3d.registry.models import pretrained_models
from gan3d.tracking.history import find_training

KINDS = (
    "a run (its id or name), an experiment or commit (`dvc exp show` lists them), a registered version (such as 3 or"
    " champion), or a folder (such as models/r16; . is what the project holds now)"
)


def find_subject(address: str, project: Project, client: MlflowClient | None) -> Subject:
    """What an address names.

    Args:
        client: of the project's store; None if there is none yet.

    Raises:
        UserError: if it names nothing.
    """
    if Path(address).is_dir():
        found = folder_subject(Path(address), project)
        return found if client is None else with_training(found, client)
    if address in (models := pretrained_models()):
        return Subject(address, facts={"model": f"pretrained {address}"}, model=lambda: models[address])
    if client is not None and not address.startswith("runs:/"):
        try:
            return version_subject(client, *find_version(client, address, project.name), project.mlruns)
        except UserError:
            if address.startswith("models:/"):
                raise
    if revision := revision_of(project.work, address):
        found = revision_subject(address, revision, project)
        return found if client is None else with_training(found, client)
    name = address.removeprefix("runs:/").split("/")[0]
    training = None if client is None else find_training(client, name)
    if client is None or training is None:
        raise UserError(f"{address} is not known: name {KINDS}.")
    shown = f"{training.info.run_name} {name[:8]}" if re.fullmatch(r"[0-9a-f]{32}", name) else address
    return training_subject(client, training, shown, project.mlruns)
