"""DVC rewrites params.yaml for `dvc exp run -S`, `--queue` and `exp apply`: the diff is the changed value alone."""

import difflib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from paths import REPOSITORY

from gan3d.config import recipes
from gan3d.config.loading import load_params

RECIPES = ("default", "gpu", "r64-direct")
DVC = Path(sys.executable).with_name("dvc")


def leaves(tree: Any, *path: str) -> list[tuple[str, Any]]:
    """All values of a tree and their keys as `-S` takes them."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if not items:
        return [(".".join(path), tree)]
    return [leaf for key, value in items for leaf in leaves(value, *path, str(key))]


def other(value: Any) -> Any:
    """Another value of the same kind; a text for an empty one."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else "something_else"


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


@pytest.fixture(params=RECIPES)
def copy(request, tmp_path):
    path = Path(shutil.copy(REPOSITORY / "params.yaml", tmp_path / "params.yaml"))
    recipes.write(path, request.param, REPOSITORY / "recipes", force=True)
    return path


def test_a_value_of_each_section_changes_its_own_line(copy):
    text = copy.read_text(encoding="utf-8")
    keys = {key.partition(".")[0]: (key, value) for key, value in leaves(yaml.safe_load(text))}
    assert {"seed", "data", "gan", "train", "logging", "evaluate", "promote"} < set(keys)
    keys["tune"] = ("tune.storage", None)
    for key, value in keys.values():
        copy.write_text(text, encoding="utf-8")
        apply_overrides(copy, [f"{key}={str(other(value)).lower()}"])
        lines = changed_lines(text, copy.read_text(encoding="utf-8"))
        assert [line[0] for line in lines] == ["-", "+"], (key, lines)
        assert key.rpartition(".")[-1] + ":" in lines[0]


def test_all_values_at_once_change_their_own_lines(copy):
    text = copy.read_text(encoding="utf-8")
    found = [(key, value) for key, value in leaves(yaml.safe_load(text)) if not key.rpartition(".")[-1].isdigit()]
    assert len(found) > 60
    apply_overrides(copy, [f"{key}={str(other(value)).lower()}" for key, value in found])
    before, after = text.splitlines(), copy.read_text(encoding="utf-8").splitlines()
    assert len(before) == len(after)
    ranges = sum(isinstance(values, dict) for values in yaml.safe_load(text)["tune"]["space"].values())
    assert sum(old != new for old, new in zip(before, after, strict=True)) == len(found) - 2 * ranges  # low, high, log


def test_an_item_of_a_list_changes_its_own_line(copy):
    text = copy.read_text(encoding="utf-8")
    apply_overrides(copy, ["gan.gate=[0.1,0.8]"])
    assert changed_lines(text, copy.read_text(encoding="utf-8")) == ["-  - 0.0", "+  - 0.1"]


def test_values_survive_a_change_and_its_reversal(copy):
    text = copy.read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    stage = next(reversed(tree["train"]["stages"]))
    rate, classes = tree["train"]["stages"][stage]["lr_g"], tree["data"]["classes"]
    apply_overrides(
        copy, [f"train.stages.{stage}.lr_g=0.00001", "data.labels=labels.csv", "data.classes=[chair,table]"]
    )
    changed = load_params(copy)
    assert changed.train.stages[stage].lr_g == 1e-5
    assert (changed.data.labels, changed.data.classes) == ("labels.csv", ("chair", "table"))
    apply_overrides(copy, [f"train.stages.{stage}.lr_g={rate}", "data.labels=null", f"data.classes={classes}"])
    assert copy.read_text(encoding="utf-8") == text


def run(root: Path, *command: str) -> str:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    identity = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
    environment |= dict.fromkeys(identity, "someone@example.org")
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_experiments_of_dvc(tmp_path):
    """A queued experiment, one that runs, and one that is applied."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    command = f"{sys.executable} -c \"open('out', 'w').write('done')\""
    stage = {"cmd": command, "params": ["seed", "train.stages.r08"], "outs": ["out"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"only": stage}}), encoding="utf-8")
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, str(DVC), "init", "-q")
    run(tmp_path, "git", "add", ".")
    run(tmp_path, "git", "commit", "-qm", "start")
    text = (tmp_path / "params.yaml").read_text(encoding="utf-8")

    run(tmp_path, str(DVC), "exp", "run", "-q", "--queue", "-S", "seed=7")
    queued = run(tmp_path, "git", "show", "refs/exps/celery/stash:params.yaml")
    assert changed_lines(text, queued) == ["-seed: 0", "+seed: 7"]

    run(tmp_path, str(DVC), "exp", "run", "-q", "-n", "tried", "-S", "train.stages.r08.batch=24")
    ran = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    assert changed_lines(text, ran) == ["-      batch: 16", "+      batch: 24"]

    run(tmp_path, "git", "checkout", "-q", "params.yaml")
    run(tmp_path, str(DVC), "exp", "apply", "-q", "tried")
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == ran
