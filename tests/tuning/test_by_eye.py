"""A sweep by eye: trials come two at a time, a person clicks the worse one in the dashboard, and the other remains."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from browser import browser, keep_picture, needs_chromium
from free_port import free_port
from mlflow import MlflowClient
from small_project import edit

from gan3d.tuning import apply, by_eye
from gan3d.tuning.gallery import TURNTABLE
from gan3d.tuning.study import PARENT_RUN, find_study
from gan3d.tuning.study_spec import study_spec


@pytest.fixture
def spec(home):
    params = edit(home, lambda tree: tree["tune"].update(trials=3))
    chosen = study_spec(params, "r04", home)
    return replace(chosen, name=by_eye.by_eye_name(chosen))


@pytest.mark.slow
@needs_chromium
def test_a_person_chooses_in_the_dashboard(spec):
    lines: list[str] = []
    result: list[str] = []
    port = free_port()
    sweep = threading.Thread(target=lambda: result.extend(by_eye.run(spec, port, lines.append)), daemon=True)
    sweep.start()
    with browser() as chromium:
        while not lines and sweep.is_alive():
            sweep.join(0.2)
        address = next(word for word in lines[0].split() if word.startswith("http"))
        for clicked in range(2):
            page = chromium.open(address)
            pictures = page.locator("img[src*='artifacts']")
            for _ in range(240):
                if pictures.count() == 2:
                    break
                page.wait_for_timeout(500)
                page.reload()
                page.wait_for_timeout(1500)
            assert pictures.count() == 2, lines
            assert page.foreign == []
            keep_picture(page, f"by-eye-{clicked}")
            page.locator("button", has_text="Worst").first.click()
            page.wait_for_timeout(1000)
        sweep.join(60)
    assert not sweep.is_alive(), lines
    assert lines[0].startswith("new study furniture-r04-by-eye; choose at http://127.0.0.1")
    assert lines[-1] == "3 of 3 trials, 2 choices"
    assert result[0] == "furniture-r04-by-eye: 2 choices between 3 trials."
    study = find_study(spec)
    assert all(TURNTABLE in trial.user_attrs for trial in study.trials)
    assert study.trials[0].user_attrs["origin"] == "params.yaml"
    preferred = int(result[1].split()[2])
    assert f"--study furniture-r04-by-eye --trial {preferred}" in result[2]
    parent = MlflowClient().get_run(study.user_attrs[PARENT_RUN])
    assert parent.data.tags["choices"] == "2"
    trial = next(trial for trial in study.trials if trial.number == preferred)
    apply.write(spec.project.params, spec.stage, trial.params)


def test_variations_stay_near_and_inside(spec):
    best = SimpleNamespace(params={"lr_g": 0.0199, "batch": 8})
    rng = np.random.default_rng(0)
    drawn = [by_eye.vary(best, spec.tune, rng) for _ in range(200)]
    rates = np.array([values["lr_g"] for values in drawn])
    assert rates.max() <= 0.02
    assert rates.min() >= 0.0199 * 4**-by_eye.REACH * 0.999
    assert 0.7 < np.mean([values["batch"] == 8 for values in drawn]) < 1
