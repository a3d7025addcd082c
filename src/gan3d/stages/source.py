"""Stage `source`: record the section `data` and what its source holds now, without the secrets of an address.

DVC stores the dependencies and parameters of a stage in `dvc.lock`, which goes into Git. An address may hold a password
or a signature: the stage `prepare` therefore depends on this record instead of the address and the parameters.
"""

import json
import logging
from pathlib import Path
from typing import Any

from gan3d.addresses import mask
from gan3d.config.project import Project, expand_home
from gan3d.config.schema import Data
from gan3d.data.sources import content, download
from gan3d.errors import UserError
from gan3d.outputs import write_text
from gan3d.stages.prepare import local_source


def run(data: Data, project: Project) -> dict[str, Any]:
    """Write `data/source.json`: the masked source, a hash of its content, and the other settings; returns them.

    Raises:
        UserError: if the source cannot be read; an address that does not answer keeps an earlier record.
    """
    settings = {key: value for key, value in data.model_dump(mode="json").items() if key not in ("source", "endpoint")}
    record: dict[str, Any] = {"source": mask(data.source, data.source), "settings": settings}
    if download.is_address(data.source):
        try:
            record["content"] = download.content_version(data.source, data.endpoint)
        except UserError as error:
            earlier = read(project)
            if earlier is None or earlier.get("source") != record["source"]:
                raise
            logging.getLogger(__name__).warning("%s the earlier version is assumed.", error)
            record["content"] = earlier["content"]
    else:
        path = project.work / local_source(data.source, project.work)
        record["content"] = content.hash_source(path, download.cache_folder())
    if isinstance(data.labels, str):
        record["labels"] = content.hash_source(project.work / expand_home(Path(data.labels)), download.cache_folder())
    write_text(project.source, json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True) + "\n")
    return record


def read(project: Project) -> dict[str, Any] | None:
    """The record; None if there is none."""
    try:
        record = json.loads(Path(project.source).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
