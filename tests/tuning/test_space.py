"""What params.yaml may say of a search, and what a trial is trained with."""

import pytest
from small_project import edit

from gan3d.errors import UserError
from gan3d.tuning import space
from gan3d.tuning.study import find_study, first_look
from gan3d.tuning.task import database, task


def tuned(home, **changes):
    return edit(home, lambda tree: tree["tune"].update(changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": {}}, "tune.space: name at least one parameter of a stage"),
        ({"space": {"stabilise": [1, 2]}}, "stabilise cannot be searched: choose out of width, batch"),
        ({"space": {"lr_g": {"low": 0.1, "high": 0.01}}}, "low 0.1 is not below high 0.01"),
        ({"space": {"lr_g": {"low": 0, "high": 0.01, "log": True}}}, "low 0 has no logarithm"),
        ({"space": {"lr_g": {"low": 0.1, "high": 2}}}, "lr_g cannot be 2"),
        ({"space": {"batch": [8]}}, "batch has nothing to choose from"),
        ({"space": {"batch": [8, 0]}}, "batch cannot be 0"),
        ({"space": {"lr_g": {"low": 0.1, "high": 0.2, "step": 1}}}, "step is not a known key; use one of low, high"),
        ({"images": None}, "give one of them and set the other to null"),
        ({"seconds": 5}, "give one of them and set the other to null"),
        ({"objective": "beauty"}, "tune.objective"),
        ({"objective": []}, "tune.objective"),
        ({"pruner": "axe"}, "tune.pruner"),
    ],
)
def test_a_wrong_search_is_named(home, changes, words):
    with pytest.raises(UserError) as error:
        tuned(home, **changes)
    assert words in str(error.value)


def test_the_budget_keeps_the_share_of_the_fade_in(home):
    params = tuned(home, images=768)
    tried, recipe = space.budgeted(params, "r08", {"lr_g": 0.002, "batch": 16})
    assert (recipe.fade_in, recipe.stabilise) == (192, 576)  # 128 of 512 images, as in the stage
    assert (recipe.lr_g, recipe.batch, recipe.lr_d) == (0.002, 16, 0.005)
    assert tried.train.stages["r08"].batch == 16
    assert params.train.stages["r08"].batch == 8


def test_a_budget_of_seconds_leaves_the_images_open(home):
    recipe = space.budgeted(tuned(home, images=None, seconds=3), "r08", {})[1]
    assert recipe.fade_in == 128
    assert recipe.stabilise == space.ENDLESS


def test_floats_are_trained_as_params_yaml_will_have_them():
    assert space.trained({"lr_g": 0.00123456789, "batch": 16}) == {"lr_g": 0.001235, "batch": 16}


def test_present_values_begin_a_study_if_they_are_inside(home):
    assert space.present(tuned(home), "r08") == {"lr_g": 0.005, "batch": 8}
    assert space.present(tuned(home, space={"batch": [16, 32]}), "r08") is None


def test_a_wrong_stage_and_a_wrong_storage(home):
    params = tuned(home)
    with pytest.raises(UserError, match="choose one of r04, r08, or all"):
        task(params, "r16", home)
    with pytest.raises(UserError, match="is no database URL"):
        task(params, "r08", home, "studies")
    chosen = task(params, "r08", home, "postgresql://me:secret@host/studies")
    assert "secret" not in chosen.shown


def test_paths_of_sqlite_belong_to_the_project(home):
    assert database(tuned(home), home) == f"sqlite:///{home.mlruns}/optuna.db"
    assert database(tuned(home, storage="sqlite:///studies.db"), home) == f"sqlite:///{home.work}/studies.db"


def test_a_database_that_does_not_answer(home):
    pytest.importorskip("psycopg")
    chosen = task(tuned(home), "r08", home, "postgresql://me:secret@127.0.0.1:1/studies")
    with pytest.raises(UserError, match=r"cannot be reached.*[Rr]efused.*check tune\.storage") as error:
        find_study(chosen)
    with pytest.raises(UserError, match="the same command continues") as second, chosen.reached(), chosen.turn():
        pass
    assert "secret" not in f"{error.value} {second.value}"
    with pytest.raises(UserError, match="run `gan3d tune r08` first"):
        find_study(task(tuned(home), "r08", home))
    assert not (home.mlruns / "optuna.db").exists()


def test_a_trial_is_not_pruned_before_a_third_of_its_budget(home):
    params = tuned(home, images=6000, report=1024, pruner="halving").tune
    assert first_look(params) == 2000
    assert first_look(tuned(home, images=None, seconds=5, report=1024).tune) == 2048
