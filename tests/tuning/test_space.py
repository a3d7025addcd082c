"""The section `tune` of params.yaml, and the recipe of a trial."""

import optuna
import pytest
from small_project import edit

from gan3d.errors import UserError
from gan3d.tuning import space
from gan3d.tuning.pruners import warmup_images
from gan3d.tuning.study import find_study
from gan3d.tuning.study_spec import database, study_spec


def tuned(planned, **changes):
    return edit(planned, lambda tree: tree["tune"].update(changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": {}}, "tune.space: name at least one parameter of a stage"),
        ({"space": {"stabilise": [1, 2]}}, "stabilise cannot be searched: choose from width, batch"),
        ({"space": {"lr_g": {"low": 0.1, "high": 0.01}}}, "low 0.1 is not below high 0.01"),
        ({"space": {"lr_g": {"low": 0, "high": 0.01, "log": True}}}, "low 0 has no logarithm"),
        ({"space": {"lr_g": {"low": 0.1, "high": 2}}}, "lr_g cannot be 2"),
        ({"space": {"batch": [8]}}, "batch has nothing to choose from"),
        ({"space": {"batch": [8, 0]}}, "batch cannot be 0"),
        ({"space": {"lr_g": {"low": 0.1, "high": 0.2, "step": 1}}}, "step is not a known key; use one of low, high"),
        ({"images": None}, "set one of them and leave the other empty"),
        ({"seconds": 5}, "set one of them and leave the other empty"),
        ({"objective": "beauty"}, "tune.objective"),
        ({"objective": []}, "tune.objective"),
        ({"pruner": "axe"}, "tune.pruner"),
    ],
)
def test_an_invalid_search_is_refused(planned, changes, words):
    with pytest.raises(UserError) as error:
        tuned(planned, **changes)
    assert words in str(error.value)


def test_the_budget_keeps_the_share_of_the_fade_in(planned):
    params = tuned(planned, images=768)
    tried, recipe = space.with_budget(params, "r08", {"lr_g": 0.002, "batch": 16})
    assert (recipe.fade_in, recipe.stabilise) == (110, 658)  # 64 of 448 images, as in the stage
    assert (recipe.lr_g, recipe.batch, recipe.lr_d) == (0.002, 16, 0.005)
    assert tried.train.stages["r08"].batch == 16
    assert params.train.stages["r08"].batch == 8


def test_a_budget_of_seconds_leaves_the_images_open(planned):
    recipe = space.with_budget(tuned(planned, images=None, seconds=3), "r08", {})[1]
    assert recipe.fade_in == 64
    assert recipe.stabilise == space.UNLIMITED


def test_current_values_start_a_study_if_they_are_in_the_space(planned):
    assert space.current_values(tuned(planned), "r08") == {"lr_g": 0.005, "batch": 8}
    assert space.current_values(tuned(planned, space={"batch": [16, 32]}), "r08") is None
    gamma = {"gamma": {"low": 0.1, "high": 3, "log": True}}
    assert space.current_values(tuned(planned, space=gamma), "r08") == {
        "gamma": 1.0
    }  # gan.gamma, where the stage has none


def test_integers_and_floats(planned):
    ranges = {"gamma": {"low": 0.1, "high": 3, "log": True}, "lr_d": {"low": 0.001, "high": 0.01}}
    params = tuned(planned, space=ranges | {name: {"low": 2, "high": 64} for name in ("width", "batch", "fade_in")})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask(), params.tune.space) for _ in range(5)]
    for name, kind in {"gamma": float, "lr_d": float, "width": int, "batch": int, "fade_in": int}.items():
        assert {type(values[name]) for values in drawn} == {kind}
    assert all(0.1 <= values["gamma"] <= 3 for values in drawn)
    assert len({values["gamma"] for values in drawn}) == 5


def test_a_list_of_widths_is_in_no_space(planned):
    params = tuned(planned, space={"width": [4, 8]}).with_stage("r08", {"prev": "scratch", "width": (8, 6)})
    assert space.current_values(params, "r08") is None


def test_an_unknown_stage_and_an_invalid_storage(planned):
    params = tuned(planned)
    with pytest.raises(UserError, match="choose one of r04, r08, or all"):
        study_spec(params, "r16", planned)
    with pytest.raises(UserError, match="is not a database URL"):
        study_spec(params, "r08", planned, "studies")
    chosen = study_spec(params, "r08", planned, "postgresql://me:secret@host/studies")
    assert "secret" not in chosen.display_url


def test_sqlite_paths_are_relative_to_the_project(planned):
    assert database(tuned(planned), planned) == f"sqlite:///{planned.mlruns}/optuna.db"
    assert database(tuned(planned, storage="sqlite:///studies.db"), planned) == f"sqlite:///{planned.work}/studies.db"


def test_a_database_that_cannot_be_reached(planned):
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra postgres brings it")
    chosen = study_spec(tuned(planned), "r08", planned, "postgresql://me:secret@127.0.0.1:1/studies")
    with pytest.raises(UserError, match=r"cannot be reached.*[Rr]efused.*check tune\.storage") as error:
        find_study(chosen)
    with (
        pytest.raises(UserError, match="the same command continues") as second,
        chosen.translate_database_errors(),
        chosen.lock(),
    ):
        pass
    assert "secret" not in f"{error.value} {second.value}"
    with pytest.raises(UserError, match="run `gan3d tune r08` first"):
        find_study(study_spec(tuned(planned), "r08", planned))
    assert not (planned.mlruns / "optuna.db").exists()


def test_a_trial_is_not_pruned_before_a_third_of_its_budget(planned):
    params = tuned(planned, images=6000, report=1024, pruner="halving").tune
    assert warmup_images(params) == 2000
    assert warmup_images(tuned(planned, images=None, seconds=5, report=1024).tune) == 2048
