"""Every page that the project writes, in a real browser: on phones and wide screens, light and dark, by axe's rules."""

import datetime
import shutil

import numpy as np
import optuna
import pytest
from box_dataset import FULL, random_boxes, write_boxes
from browser import browser, keep_picture, needs_chromium, overflow, violations
from candidates import tiny
from loopback import serving
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from gan3d import model_file
from gan3d.data.pipeline.prepare import prepare
from gan3d.metrics.evaluation import PICTURED, ModelEvaluation
from gan3d.metrics.protocol import evaluate_classes
from gan3d.rendering.viewer import write_page
from gan3d.reports import data_report, evaluation_report
from gan3d.reports.evaluation_report import Evaluation
from gan3d.reports.evaluation_sheets import samples_sheet
from gan3d.serving.models import ModelHolder
from gan3d.tuning import study_page

pytestmark = [pytest.mark.slow, needs_chromium]
WIDTHS = (390, 1280, 2560)
PAGES = ("shapes", "report", "data-report", "study", "server")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def addresses(folder):
    """The address of each page; the server runs meanwhile."""
    model_file.save(folder / "model", tiny())
    files = {name: write(folder / f"{name}.html") for name, write in WRITERS.items()}
    holder = ModelHolder(str(folder / "model"), folder / "mlruns")
    holder.load()
    with serving(holder) as server:
        yield {name: path.as_uri() for name, path in files.items()} | {"server": f"http://127.0.0.1:{server.port}/docs"}


def write_shapes(path):
    shapes = random_boxes(12, 3)
    frames = [(12_000, random_boxes(12, 1)), (24_000, random_boxes(12, 2))]
    return write_page(
        path, shapes, ["chair"] * 6 + ["table"] * 6, "Chairs and tables", note="After 36,000 images.", frames=frames
    )


def write_report(path):
    data = write_boxes(path.with_name("boxes"), {"chair": FULL, "table": FULL})
    samples = {name: random_boxes(PICTURED, 5) for name in data.classes}
    classes = evaluate_classes(lambda label, count, seed: random_boxes(count, seed), data, 8, count=20, draws=2)
    evaluation = ModelEvaluation(8, classes, samples, samples)
    return evaluation_report.write(
        path, Evaluation("furniture", [evaluation], {8: samples_sheet(evaluation, data)}), data
    )


def write_data_report(path):
    source, random = path.with_name("source"), np.random.default_rng(0)
    for name in ("cup", "pot"):
        (source / name).mkdir(parents=True)
        for index in range(8):
            grid = np.zeros((16,) * 3, bool)
            grid[2:14, : random.integers(4, 14), 2 : random.integers(6, 15)] = True
            np.save(source / name / f"{index}.npy", grid)
    shutil.copy(source / "cup/1.npy", source / "cup/copy.npy")
    (source / "cup/broken.obj").write_text("v 1 2 3\n")
    prepare(source, path.with_name("voxels"), 16)
    return data_report.write(path.with_name("voxels"), path)


def make_study(count=60):
    """A study as a sweep leaves it, without its trainings."""
    random = np.random.default_rng(0)
    study = optuna.create_study(study_name="furniture-r16")
    rates, batches = FloatDistribution(5e-4, 2e-2, log=True), CategoricalDistribution([8, 16, 32])
    for number in range(count):
        values = {"lr_g": 10 ** random.uniform(-3.3, -1.7), "batch": int(random.choice([8, 16, 32]))}
        score = float(0.6 + 0.1 * abs(np.log10(values["lr_g"]) + 2.5) + random.normal() / 50)
        pruned = number % 3 == 2
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
                value=score,
                params=values,
                distributions={"lr_g": rates, "batch": batches},
                intermediate_values={step: score + 300 / step for step in range(1024, 2049 if pruned else 6145, 1024)},
                user_attrs={"run_id": f"{number:032x}", "reason": "worse than the other trials." if pruned else ""},
            )
        )
    return study


def write_study(path):
    lines = ["furniture-r16: 60 trials: 40 complete, 20 pruned.", "apply it with `gan3d tune apply r16`"]
    text = study_page.page(make_study(), ["one_nna_cd"], lines, lambda run: f"http://127.0.0.1:5000/#/runs/{run}")
    path.write_text(text, encoding="utf-8")
    return path


WRITERS = {"shapes": write_shapes, "report": write_report, "data-report": write_data_report, "study": write_study}


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_keeps_the_rules_at_every_width(chromium, addresses, name, scheme):
    page = chromium.open(addresses[name], WIDTHS[0], scheme)
    if name == "server":
        page.wait_for_selector("section")
        page.click("button.send >> nth=0")
        page.wait_for_selector("text=/^200/")
    for closed in page.query_selector_all("details:not([open]) > summary"):
        closed.click()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        assert overflow(page) <= 0, f"the page is wider than its window of {width} pixels"
        keep_picture(page, f"{name}-{width}-{scheme}")
        if width != WIDTHS[-1]:  # the layout of wide screens is the same
            assert violations(page) == []
    assert page.title()
    assert page.foreign == []
    assert page.errors == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_the_rules_are_checked_at_all(chromium, folder):
    path = folder / "bad.html"
    path.write_text("<title></title><h1 style='color: #bbb'>pale</h1><img src='http://127.0.0.1:9/a.png'>")
    page = chromium.open(path.as_uri())
    found = {line.split(":")[0] for line in violations(page)}
    assert {"color-contrast", "image-alt", "document-title", "html-has-lang"} <= found
    assert page.foreign == ["http://127.0.0.1:9/a.png"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_works_by_keyboard(chromium, addresses, name):
    """Everything that can be clicked gets the focus, and shows it."""
    page = chromium.open(addresses[name])
    if name == "server":
        page.wait_for_selector("section")
    clickable = "a[href], button:not(#large button):not([hidden] button), summary, textarea"
    wanted = page.evaluate(f"document.querySelectorAll('{clickable}').length")
    focused = set()
    for _ in range(3 * wanted + 40):
        page.keyboard.press("Tab")
        focused.add(
            page.evaluate(
                """() => {
                  const at = document.activeElement, style = getComputedStyle(at);
                  if (!at.matches("a[href], button, summary, textarea")) return null;
                  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
                  const all = [...document.querySelectorAll("a[href], button, summary, textarea")];
                  return all.indexOf(at) + (seen ? "" : " unseen " + at.outerHTML.slice(0, 80));
                }"""
            )
        )
    focused.discard(None)
    assert not [each for each in focused if "unseen" in str(each)]
    assert len(focused) >= wanted


def test_the_page_of_a_large_study_is_small(addresses, folder):
    started = datetime.datetime.now()
    text = study_page.page(make_study(1000), ["one_nna_cd"], ["1000 trials"], lambda run: f"http://127.0.0.1/{run}")
    assert len(text.encode()) < 1_500_000
    assert datetime.datetime.now() - started < datetime.timedelta(seconds=60)
    assert (folder / "study.html").read_text(encoding="utf-8").count("<a href=") == 60
