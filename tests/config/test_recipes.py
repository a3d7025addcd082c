"""Every file in recipes/ can take the place of params.yaml: it loads, and has the same keys in the same order."""

from pathlib import Path

import pytest
import yaml
from paths import REPOSITORY

from gan3d.config.loading import load_params
from gan3d.config.schema import resolution_of

RECIPES = sorted((REPOSITORY / "recipes").glob("*"))
OPTIONAL = {"gamma"}  # of a stage


def keys(path: Path) -> list[str]:
    """The keys of all sections as in the file; for stages, which differ, the keys of their rows."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = [f"{name}.{key}" for name, section in tree.items() if isinstance(section, dict) for key in section]
    rows = {tuple(key for key in row if key not in OPTIONAL) for row in tree["train"]["stages"].values()}
    return [*tree, *found, *(f"stage: {', '.join(row)}" for row in sorted(rows))]


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_loads_and_has_the_keys_of_params_yaml(path):
    loaded = load_params(path)
    assert loaded.final == max(loaded.train.stages, key=resolution_of)
    assert keys(path) == keys(REPOSITORY / "params.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_has_a_name_of_its_own(path):
    """Results of two recipes lie in different folders of output/."""
    assert load_params(path).name != load_params(REPOSITORY / "params.yaml").name
