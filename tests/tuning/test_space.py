"""What params.yaml may say of a search, and what a trial is trained with."""

import optuna
import pytest
from small_project import edit

from gan3d.errors import UserError
from gan3d.tuning import space
from gan3d.tuning.study import find_study, first_look
from gan3d.tuning.study_spec import database, study_spec


def tuned(planned, **changes):
    return edit(planned, lambda tree: tree["tune"].update(changes))


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
def test_a_wrong_search_is_named(planned, changes, words):
    with pytest.raises(UserError) as error:
        tuned(planned, **changes)
    assert words in str(error.value)


def test_the_budget_keeps_the_share_of_the_fade_in(planned):
    params = tuned(planned, images=768)
    tried, recipe = space.budgeted(params, "r08", {"lr_g": 0.002, "batch": 16})
    assert (recipe.fade_in, recipe.stabilise) == (110, 658)  # 64 of 448 images, as in the stage
    assert (recipe.lr_g, recipe.batch, recipe.lr_d) == (0.002, 16, 0.005)
    assert tried.train.stages["r08"].batch == 16
    assert params.train.stages["r08"].batch == 8


def test_a_budget_of_seconds_leaves_the_images_open(planned):
    recipe = space.budgeted(tuned(planned, images=None, seconds=3), "r08", {})[1]
    assert recipe.fade_in == 64
    assert recipe.stabilise == space.ENDLESS


def test_floats_are_trained_as_params_yaml_will_have_them():
    assert space.trained({"lr_g": 0.00123456789, "batch": 16}) == {"lr_g": 0.001235, "batch": 16}


def test_present_values_begin_a_study_if_they_are_inside(planned):
    assert space.present(tuned(planned), "r08") == {"lr_g": 0.005, "batch": 8}
    assert space.present(tuned(planned, space={"batch": [16, 32]}), "r08") is None
    gamma = {"gamma": {"low": 0.1, "high": 3, "log": True}}
    assert space.present(tuned(planned, space=gamma), "r08") == {"gamma": 1.0}  # gan.gamma, where the stage has none


def test_whole_numbers_and_others(planned):
    ranges = {"gamma": {"low": 0.1, "high": 3, "log": True}, "lr_d": {"low": 0.001, "high": 0.01}}
    params = tuned(planned, space=ranges | {name: {"low": 2, "high": 64} for name in ("width", "batch", "fade_in")})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask(), params.tune.space) for _ in range(5)]
    for name, kind in {"gamma": float, "lr_d": float, "width": int, "batch": int, "fade_in": int}.items():
        assert {type(values[name]) for values in drawn} == {kind}
    assert all(0.1 <= values["gamma"] <= 3 for values in drawn)
    assert len({values["gamma"] for values in drawn}) == 5


def test_widths_of_several_resolutions_are_outside_of_any_space(planned):
    params = tuned(planned, space={"width": [4, 8]}).with_stage("r08", {"prev": "scratch", "width": (8, 6)})
    assert space.present(params, "r08") is None


def test_a_wrong_stage_and_a_wrong_storage(planned):
    params = tuned(planned)
    with pytest.raises(UserError, match="choose one of r04, r08, or all"):
        study_spec(params, "r16", planned)
    with pytest.raises(UserError, match="is no database URL"):
        study_spec(params, "r08", planned, "studies")
    chosen = study_spec(params, "r08", planned, "postgresql://me:secret@host/studies")
    assert "secret" not in chosen.shown


def test_paths_of_sqlite_belong_to_the_project(planned):
    assert database(tuned(planned), planned) == f"sqlite:///{planned.mlruns}/optuna.db"
    assert database(tuned(planned, storage="sqlite:///studies.db"), planned) == f"sqlite:///{planned.work}/studies.db"


def test_a_database_that_does_not_answer(planned):
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra postgres brings it")
    chosen = study_spec(tuned(planned), "r08", planned, "postgresql://me:secret@127.0.0.1:1/studies")
    with pytest.raises(UserError, match=r"cannot be reached.*[Rr]efused.*check tune\.storage") as error:
        find_study(chosen)
    with pytest.raises(UserError, match="the same command continues") as second, chosen.reached(), chosen.turn():
        pass
    assert "secret" not in f"{error.value} {second.value}"
    with pytest.raises(UserError, match="run `gan3d tune r08` first"):
        find_study(study_spec(tuned(planned), "r08", planned))
    assert not (planned.mlruns / "optuna.db").exists()


def test_a_trial_is_not_pruned_before_a_third_of_its_budget(planned):
    params = tuned(planned, images=6000, report=1024, pruner="halving").tune
    assert first_look(params) == 2000
    assert first_look(tuned(planned, images=None, seconds=5, report=1024).tune) == 2048
