"""Recipes: valid differences from the defaults, applied without losing a comment, and undone without a trace."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from dvc.utils.hydra import apply_overrides
from paths import REPOSITORY

from gan3d.cli.app import cli
from gan3d.config import recipes
from gan3d.config.loading import load_params
from gan3d.config.schema import Params
from gan3d.errors import UserError

FOLDER = REPOSITORY / "recipes"
NAMES = [name for name in recipes.names(FOLDER) if name != recipes.DEFAULT]
OLD = ("r16-direct", "r32-direct", "r64-direct", "chair-table")


def values(name: str) -> Params:
    return Params.model_validate(recipes.changed(yaml.safe_load(recipes.default_text()), name, FOLDER))


def test_params_yaml_is_the_default_recipe():
    assert (REPOSITORY / "params.yaml").read_text(encoding="utf-8") == recipes.default_text()


def test_the_experiments_of_2018_are_there():
    expected = {
        "gpu",
        "grown-16-64",
        "chair-table-continued",
        *OLD,
        *(f"r{side}-direct-modern" for side in (16, 32, 64)),
    }
    assert set(NAMES) == expected
    for name in OLD:
        recipe = values(name).recipe(values(name).final)
        assert (recipe.loss, recipe.batch, recipe.images) == ("bce_gated", 64, 15_001 * 64)
        assert recipe.penalty_every == 1  # 15,001 is no multiple of another cycle
    first, second = (values(name).recipe("r32") for name in ("chair-table", "chair-table-continued"))
    assert vars(second) == vars(first) | {"stabilise": 30_001 * 64}  # equal fingerprints: it continues


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_holds_only_what_differs(name):
    given = yaml.safe_load(recipes.text_of(name, FOLDER))
    defaults = dict(recipes._leaves(yaml.safe_load(recipes.default_text())))
    same = [
        key
        for key, value in recipes._leaves(given)
        if defaults.get(key, "") == value and key != "gan.gate" and not key.startswith(("train.stages", "tune.space"))
    ]
    assert not same
    assert given["name"] == ("furniture-gpu" if name == "gpu" else name)  # results lie in a folder of their own


@pytest.mark.parametrize("name", NAMES)
def test_applying_keeps_comments_and_rows_and_default_goes_back(name):
    text = recipes.default_text()
    new = recipes.apply(text, name, FOLDER)
    assert Params.model_validate(yaml.safe_load(new)) == values(name)
    comments = [line.partition("# ")[2] for line in text.splitlines() if "# " in line]
    listed = "channels at this resolution"  # beside a list there is no room
    missing = [comment for comment in comments if comment not in new and comment != listed]
    assert not missing
    assert list(yaml.safe_load(new)) == list(yaml.safe_load(text))
    assert "\n\nlogging:" in new
    assert recipes.apply(new, recipes.DEFAULT, FOLDER) == text


@pytest.mark.parametrize("name", NAMES)
def test_the_overrides_of_dvc_give_the_same_parameters(name, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(recipes.default_text(), encoding="utf-8")
    apply_overrides(path, recipes.overrides(recipes.default_text(), name, FOLDER))
    assert load_params(path) == values(name)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with params.yaml committed."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    shutil.copytree(FOLDER, tmp_path / "recipes")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=tmp_path, env=environment, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["recipe", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_recipes_follow_each_other_but_edits_are_not_overwritten(project):
    path = project / "params.yaml"
    assert "+name: r16-direct" in invoke("diff", "r16-direct")
    assert path.read_text(encoding="utf-8") == recipes.default_text()
    assert "-  loss: relativistic" in invoke("apply", "r16-direct")
    kept = invoke("apply", "gpu").partition("kept: ")[2]  # what the first one left is said
    assert "gan.loss" in kept.strip().split(", ")
    assert "already has the values of gpu" in invoke("apply", "gpu")
    invoke("apply", "default")
    assert path.read_text(encoding="utf-8") == recipes.default_text()
    edited = recipes.default_text().replace("seed: 0", "seed: 5")
    path.write_text(edited, encoding="utf-8")
    with pytest.raises(UserError, match="commit them, or overwrite them with --force"):
        invoke("apply", "gpu")
    assert path.read_text(encoding="utf-8") == edited
    assert "kept: seed" in invoke("apply", "gpu", "--force")


def test_list_and_show(project):
    assert [line.split()[0] for line in invoke("list").splitlines()] == ["default", *NAMES]
    assert "# Cost" in invoke("show", "gpu")
    assert "-S ++gan.loss=bce_gated" in invoke("show", "r16-direct", "--overrides")
    with pytest.raises(UserError, match=r"recipe 'huge' does not exist: choose one of default, chair-table"):
        invoke("show", "huge")
    (project / "recipes/odd.yaml").write_text("gan: {los: wgan_gp}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"recipe odd: gan\.los is not a known key; did you mean loss"):
        invoke("diff", "odd")


DRY_RUN = """
import os, sys
os.environ["KERAS_BACKEND"] = sys.argv[1]
from pathlib import Path
from gan3d.config import recipes
from gan3d.config.loading import load_params
from gan3d.config.project import Project
from gan3d.stages import train
for name in sys.argv[2:]:
    recipes.write(Path("params.yaml"), "default", Path("recipes"))
    recipes.write(Path("params.yaml"), name, Path("recipes"))
    params = load_params(Path("params.yaml"))
    train.run(params, next(iter(params.train.stages)), Project(Path.cwd(), Path.cwd()), dry_run=True)
    print("passed", name)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        *(["default"], ["r16-direct"]),
        pytest.param([name for name in NAMES if name not in ("default", "r16-direct")], marks=pytest.mark.full),
    ],
)
def test_every_recipe_passes_the_dry_run(chosen, fine_dataset_folder, project):
    """Its first stage: a later one grows from a model that is not there."""
    (project / "data").mkdir()
    (project / "data/voxels").symlink_to(fine_dataset_folder)
    (backend,) = {values(name).train.backend for name in chosen}
    done = subprocess.run(
        [sys.executable, "-c", DRY_RUN, backend, *chosen], capture_output=True, text=True, cwd=project, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("passed")] == chosen


TINY = {"batch": 8, "width": 4, "fade_in": 0, "stabilise": 32}


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_form_of_a_recipe_trains(name, fine_dataset_folder, tmp_path):
    """All stages of it, with narrow networks and few images, on its backend."""
    code = f"""
import os; os.environ["KERAS_BACKEND"] = {values(name).train.backend!r}
import gan3d
model = None
for stage, settings in {tiny(name)!r}.items():
    model = gan3d.train({str(fine_dataset_folder)!r}, stage, model, progress=False, **settings)
assert len(model.sample("slab", 2)) == 2
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


def tiny(name: str) -> dict[str, dict]:
    """The settings of each stage for `gan3d.train`."""
    params = values(name)
    gan = params.gan.model_dump() | {"latent": 8, "penalty_every": 1}
    stages = {}
    for stage, given in params.train.stages.items():
        widths = [4] * len(given.widths)
        stages[stage] = gan | TINY | {"width": widths if len(widths) > 1 or given.prev == "scratch" else 4}
    return stages
