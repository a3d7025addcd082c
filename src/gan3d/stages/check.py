"""`gan3d check`: what would stop the pipeline, found in seconds, before DVC meets it in its own words."""

import os
import shutil
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from gan3d.addresses import parse_address, split_address
from gan3d.config.loading import load_params
from gan3d.config.project import Project, expand_home
from gan3d.config.schema import Data, Params
from gan3d.data.sources import download
from gan3d.data.sources.label_table import read_mapping
from gan3d.data.sources.named import NAMED_SOURCES, axis_advice
from gan3d.errors import UserError
from gan3d.stages.prepare import SYNTHETIC
from gan3d.tracking.address import check_addresses

SCARCE, TOO_LITTLE = 2 * 2**30, 200 * 2**20  # bytes of free disk: a warning, an error


@dataclass(frozen=True)
class Finding:
    """One sentence on what is wrong and what to do.

    Attributes:
        sentence: for people.
        fatal: whether `dvc repro` would fail; otherwise it may.
    """

    sentence: str
    fatal: bool = True


def check(project: Project) -> list[Finding]:
    """Everything that `dvc repro` would stumble over, the most basic first; empty if there is nothing."""
    try:
        params = load_params(project.params)
    except UserError as error:
        return [Finding(str(error))]
    parts = (
        *(check_source(params.data, project), check_backend(params), check_store(), check_commands()),
        check_place(project),
    )
    return [finding for part in parts for finding in part]


def check_source(data: Data, project: Project) -> Iterator[Finding]:
    """The data source and its table of labels: there, readable, and apart from what the pipeline writes."""
    if isinstance(data.labels, str) and not (project.work / expand_home(Path(data.labels))).is_file():
        yield Finding(f"data.labels: {data.labels} does not exist: name a CSV file, or leave the key empty.")
    elif isinstance(data.labels, dict):
        try:
            read_mapping(data.labels)
        except UserError as error:
            yield Finding(str(error))
    if data.source == SYNTHETIC:
        return
    if download.is_address(data.source):
        yield from check_source_address(data)
    else:
        yield from check_path(data.source, project)


def check_path(source: str, project: Project) -> Iterator[Finding]:
    """A source on this machine, by the path in params.yaml."""
    if not source.strip():
        yield Finding("data.source is empty: name a folder, an archive, an array file, or `synthetic`.")
        return
    path = project.work / expand_home(Path(source))
    if not path.exists():
        near = f", but {Path(source).parent} does" if path.parent.is_dir() and Path(source).parent != Path() else ""
        yield Finding(f"data.source: {source} does not exist{near}: correct the path, or set it to `{SYNTHETIC}`.")
        return
    where = path.resolve()
    for output in outputs(project):
        if output == where or where in output.parents or output in where.parents:
            yield Finding(
                f"data.source: {source} overlaps with {output.relative_to(project.work)}, which the pipeline writes:"
                " move the shapes into data/raw and set data.source to data/raw."
            )
            return
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        yield Finding(f"data.source: {source} cannot be read: change its permissions.")
    elif path.is_dir() and not any(path.iterdir()):
        yield Finding(f"data.source: {source} is an empty folder: put one folder per class into it.")
    elif path.is_file() and path.stat().st_size == 0:
        yield Finding(f"data.source: {source} is an empty file: copy or download it again.")
    elif not path.is_dir() and not path.is_file():
        yield Finding(f"data.source: {source} is neither a folder nor a file: name one of them.")


def outputs(project: Project) -> Iterator[Path]:
    """All paths that dvc.yaml names as outputs of its stages, the embedded furniture excepted."""
    try:
        tree = yaml.safe_load((project.work / "dvc.yaml").read_text(encoding="utf-8"))
        stages = tree["stages"].values()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        stages = []
    named = {"data/voxels"}
    for stage in stages:
        inner = stage.get("do", stage)
        for out in (*inner.get("outs", ()), *inner.get("metrics", ())):
            named.add(out if isinstance(out, str) else next(iter(out)))
    for name in sorted(named - {SYNTHETIC}):
        if "$" not in name:
            yield (project.work / name).resolve()


def check_source_address(data: Data) -> Iterator[Finding]:
    """An address: its form, the endpoint, and whether there are credentials for S3."""
    parts = split_address(parse_address(data.source).url)
    if data.source not in NAMED_SOURCES and not (parts and parts.hostname):
        yield Finding("data.source names no server: write it as https://host/file.zip or s3://bucket/prefix/.")
        return
    if advice := axis_advice(data.source, data.up):
        yield Finding(advice, fatal=False)
    endpoint = data.endpoint or os.environ.get(download.ENDPOINT_VARIABLE)
    where = split_address(endpoint) if endpoint else None
    if endpoint and not (where and where.hostname and where.scheme in ("http", "https")):
        yield Finding("data.endpoint is no address: write it as http://host:port.")
    if not data.source.startswith("s3://"):
        return
    if find_spec("s3fs") is None:
        yield Finding("data.source: s3:// needs the package s3fs: pip install s3fs.")
    if not has_aws_credentials():
        yield Finding(
            "data.source: there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run"
            " `aws configure`; a public bucket may still work.",
            fatal=False,
        )


def has_aws_credentials() -> bool:
    """Whether the environment or the files of the AWS tools hold a key, or a way to get one; no server is asked."""
    roles = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )
    if any(os.environ.get(name) for name in roles):
        return True
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        return True
    wanted = os.environ.get("AWS_PROFILE", "default")
    for variable, file in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(expand_home(Path(os.environ.get(variable, f"~/.aws/{file}"))), encoding="utf-8")
        except (ConfigParserError, OSError, UnicodeDecodeError):
            continue
        for section in (wanted, f"profile {wanted}"):
            keys = ("aws_access_key_id", "role_arn", "sso_session", "sso_start_url", "credential_process")
            if any(parser.has_option(section, key) for key in keys if parser.has_section(section)):
                return True
    return False


def check_backend(params: Params) -> Iterator[Finding]:
    """The Keras backend: installed, and not contradicted by the environment."""
    wanted = params.train.backend
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen and chosen != wanted:
        yield Finding(f"KERAS_BACKEND is {chosen}, but train.backend is {wanted}: unset the one or edit the other.")
    if find_spec(wanted) is None:
        yield Finding(f"train.backend: the package {wanted} is not installed: run `make setup`, or edit the key.")


def check_store() -> Iterator[Finding]:
    """The address of MLflow's store, if the environment names one."""
    try:
        check_addresses()
    except UserError as error:
        yield Finding(str(error))


def check_commands() -> Iterator[Finding]:
    """The commands that DVC starts are on the search path."""
    for name in ("gan3d", "dvc", "git"):
        if shutil.which(name) is None:
            yield Finding(
                f"the command {name} is not on the search path: install it."
                if name == "git"
                else f"the command {name} is not on the search path: run `source .venv/bin/activate` first."
            )


def check_place(project: Project) -> Iterator[Finding]:
    """The project's folders can be written, and there is room on the disk."""
    folders = (project.work, project.home, project.mlruns, project.checkpoints, project.work / "data")
    locked = [str(folder) for folder in dict.fromkeys(folders) if folder.exists() and not os.access(folder, os.W_OK)]
    if locked:
        yield Finding(f"{', '.join(locked)} cannot be written: change the permissions.")
    free = shutil.disk_usage(project.home).free
    if free < SCARCE:
        yield Finding(
            f"the disk of {project.home} has {free / 2**20:,.0f} MiB left: free some space.", fatal=free < TOO_LITTLE
        )
