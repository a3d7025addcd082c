"""Every code block of the docs: what is quick runs, and the commands, options, keys and files of the rest exist."""

import ast
import re
import shlex
import tomllib
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import click
import numpy as np
import pytest
import yaml
from paths import REPOSITORY

from gan3d.cli.app import cli

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "pretrained/README.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LANGUAGES = {"sh", "python", "yaml", "diff"}
BLOCKS = [
    (
        f"{page.relative_to(REPOSITORY)}:{page.read_text(encoding='utf-8')[: found.start()].count(chr(10)) + 1}",
        *found.groups(),
    )
    for page in PAGES
    for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
]


def of(language: str) -> list:
    return [pytest.param(text, id=place) for place, name, text in BLOCKS if name == language]


def commands(text: str) -> list[list[str]]:
    """The words of each simple command of a shell script, without assignments before it."""
    text = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in text.splitlines():
        lexer = shlex.shlex(line.replace("FOLDER...", "FOLDER"), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("();|&"):
                if words:
                    found.append(words)
                words = []
            elif words or not re.fullmatch(r"\w+=.*", word):
                words.append(word)
    return found


ALL = [
    pytest.param(words, id=f"{place} {shlex.join(words)[:60]}")
    for place, name, text in BLOCKS
    if name == "sh"
    for words in commands(text)
]


def named(*programs: str) -> list:
    return [parameter for parameter in ALL if parameter.values[0][0] in programs]


def test_blocks_have_a_known_language():
    assert {name for _, name, _ in BLOCKS} <= LANGUAGES
    assert len(BLOCKS) > 40
    assert len(named("gan3d")) > 25


@pytest.mark.parametrize("words", named("gan3d"))
def test_commands_and_options_of_gan3d_exist(words):
    command, arguments, context = cli, words[1:], None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        # as the group would: `tune r16` is `tune sweep r16`
        rest = command.parse_args(context, list(arguments)) or []
        rest = context._protected_args + context.args
        name, command, arguments = command.resolve_command(context, rest)
    command.make_context(name, list(arguments), parent=context)


@pytest.mark.parametrize("words", named("dvc"))
def test_commands_and_options_of_dvc_exist(words):
    from dvc.cli.parser import get_main_parser

    get_main_parser().parse_args(words[1:])
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    for key in [word.partition("=")[0] for before, word in pairwise(words) if before == "-S"]:
        inner = tree
        for part in key.split("."):
            assert part in inner, f"{key} is not in params.yaml"
            inner = inner[part]
    if words[1] == "repro":
        stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        for target in (word for word in words[2:] if not word.startswith("-")):
            stage, _, item = target.partition("@")
            assert stage in stages
            assert not item or item in tree["train"]["stages"]


@pytest.mark.parametrize("words", named("make"))
def test_targets_of_make_exist(words):
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


@pytest.mark.parametrize("words", named("python", "pip", "cp"))
def test_modules_extras_and_files_exist(words):
    if words[0] == "python" and words[1] == "-m":
        assert find_spec(words[2]) is not None
    elif words[0] == "python" and words[1] == "-c":
        ast.parse(words[2])
    elif words[0] in ("python", "cp"):
        assert (REPOSITORY / words[1]).is_file()
    else:
        extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for extra in re.findall(r"\[(\w+)\]", " ".join(words)):
            assert extra in extras["optional-dependencies"]


@pytest.mark.parametrize("text", of("yaml"))
def test_yaml_has_the_keys_of_params(text):
    from gan3d.config.schema import Data, Stage

    for name, section in yaml.safe_load(text).items():
        (Data if name == "data" else Stage).model_validate(section)


@pytest.mark.parametrize("text", of("python"))
def test_python_is_valid(text):
    ast.parse(text.strip().rstrip(","))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model at 16³, as large as the champion of the default parameters."""
    from gan3d import model_file
    from gan3d.networks.architecture import Architecture
    from gan3d.training.growth import grow

    folder = tmp_path_factory.mktemp("model")
    architecture = Architecture(8, ("chair", "table"), (6, 5, 4), (0.4, 0.3, 0.2))
    model_file.save(folder, replace(grow(None, architecture, 0)[2], threshold=0.2))  # which leaves no shape empty
    return folder


def python_block(part: str) -> str:
    (text,) = [text for _, name, text in BLOCKS if name == "python" and part in text]
    return text


@pytest.mark.slow
@pytest.mark.parametrize("text", [param for param in of("python") if "model.interpolate" in param.values[0]])
def test_the_python_api_runs_as_shown(text, model, tmp_path, monkeypatch):
    import trimesh

    from gan3d.synthetic.furniture import generate

    monkeypatch.chdir(tmp_path)
    parts = generate("chair", 0, 0)
    trimesh.Trimesh(parts.vertices, parts.faces, process=False).export(tmp_path / "chair.obj")
    scope: dict = {}
    exec(re.sub(r'gan3d\.load\("[^"]+"\)', f'gan3d.load("{model}")', text), scope)
    assert "chairs" in scope or "mine" in scope
    assert "chairs" not in scope or scope["chairs"].voxels.shape == (16, 16, 16, 16)
    assert "walk" not in scope or scope["walk"].voxels.shape == (9, 16, 16, 16)


@pytest.mark.slow
def test_bits_over_http_are_read_as_shown(model, tmp_path, monkeypatch):
    from gan3d.sampling.requests import Request, sample_shapes
    from gan3d.sampling.sampler import Sampler
    from gan3d.shape_io.encoding import encode

    shapes = sample_shapes(Sampler.load(model), [Request("chair", seed=3, to=8, steps=5)])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.bin").write_bytes(b"".join(one.content for one in encode(shapes, "bits")))
    scope: dict = {}
    exec(python_block("unpackbits"), scope)
    assert np.array_equal(scope["walk"].astype(bool), shapes.voxels)
