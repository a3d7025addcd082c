"""`gan3d ui` in Chromium: what a person sees who opens it for the first time."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from browser import chromium, keep_picture, settled
from free_port import free_port

from gan3d.tracking import store
from gan3d.tracking.experiment import find_experiment
from gan3d.tracking.experiment_run import ExperimentRun
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.store import connect, experiment_id

pytestmark = pytest.mark.slow
CLASSES = ["chair", "table"]
SETTINGS = {"name": "furniture", "seed": 0, "train": {"stages": {"r16": {"lr_g": 0.005, "batch": 16}}}}


def shapes(rng, share):
    """Sixteen boxes, half per class."""
    voxels = np.zeros((16, 16, 16, 16), bool)
    for grid in voxels:
        x, y, z = (rng.integers(3, 15, 3) * share).astype(int) + 1
        grid[:x, :y, :z] = True
    return voxels, np.repeat([0, 1], 8)


def experiment(mlruns, work, name, lr_g, score):
    """An experiment as its stages log it, without the training."""
    rng = np.random.default_rng(len(name))
    os.environ |= {"DVC_STAGE": "train@r16", "DVC_EXP_NAME": name, "DVC_EXP_BASELINE_REV": "HEAD"}
    settings = json.loads(json.dumps(SETTINGS))
    settings["train"]["stages"]["r16"]["lr_g"] = lr_g
    main = {"lr_g": lr_g, "lr_d": 0.005, "batch": 16}

    def part(stage):
        return ExperimentRun(find_experiment(mlruns, work, settings), stage, settings, main, {"name": "furniture"})

    client = connect(mlruns)
    for stage in ("r08", "r16"):
        leads = stage == "r16"
        tracker = MLflowCallback(
            client, stage, main, {}, CLASSES, "y", mlruns=mlruns, experiment=part(stage), leads=leads
        )
        tracker.on_train_begin(0, [], {})
        tracker.on_samples(0, *shapes(rng, 0.3))
        for images in range(1000, 13000, 1000):
            row = {"images": images, "alpha": 1.0, "loss_d": 0.6 + rng.normal() / 50, "loss_g": 0.8 + rng.normal() / 50}
            row |= {"accuracy_real": 0.7, "accuracy_fake": 0.7, "samples/occupancy": 0.2}
            tracker.on_log(row | ({"validation/score": score + 500 / images} if images % 4000 == 0 else {}))
            tracker.on_samples(images, *shapes(rng, 0.3 + images / 20000))
        tracker.finish({})
    evaluated = part("evaluate")
    evaluated.tell(what="A generator of 16³ voxels.", scores=[["1-NNA-CD", f"{score:.3f}", "0.475", "0.5 is best."]])
    run = TrackedRun(client, mlruns, "evaluate", {}, {}, experiment=evaluated)
    evaluated.put_metrics([{"images": 0, "evaluation/excess": score - 0.475, "evaluation/one_nna_cd": score}])
    run.end()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with two experiments."""
    root = tmp_path_factory.mktemp("project")
    (root / "params.yaml").write_text(yaml.safe_dump(SETTINGS))
    (root / "dvc.yaml").write_text("stages: {}\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *who, *command], cwd=root, check=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
            patch.setenv(name, "")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(store, "_set_here", {store.URI_VARIABLE: set(), store.ID_VARIABLE: set()})
        experiment(root / "mlruns", root, "calm-crab", 0.005, 0.71)
        experiment(root / "mlruns", root, "bold-bear", 0.003, 0.64)
    return root


def environment():
    names = ("MLFLOW_", "DVC_")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)}


@pytest.fixture(scope="module")
def server(project):
    """`gan3d ui`; gives its address and what it printed."""
    port = free_port()
    command = [sys.executable, "-m", "gan3d", "ui", "--port", str(port)]
    process = subprocess.Popen(command, cwd=project, env=environment(), stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline().strip() for _ in range(4)]
    yield f"http://127.0.0.1:{port}", lines
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)


def test_links_and_a_used_port(project, server):
    address, lines = server
    number = experiment_id(connect(project / "mlruns"))
    root = f"{address}/?workflowType=machine_learning#"
    assert lines[0].split()[1] == f"{root}/experiments/{number}/runs"
    assert lines[1].split()[1] == f"{root}/experiments/{number}/runs?compareRunsMode=CHART"
    assert lines[2].split()[1].startswith(f"{root}/models/")
    command = [sys.executable, "-m", "gan3d", "ui", "--port", address.rsplit(":", 1)[1]]
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: port ")
    assert len(done.stderr.splitlines()) == 1


def test_the_first_page_lists_experiments_and_stays_with_training(server, tmp_path):
    with chromium() as page:
        page.goto(server[0])
        page.get_by_role("link", name="furniture bold-bear").wait_for()
        settled(page)
        keep_picture(page, "runs", full=False)
        assert "/runs" in page.url
        assert page.get_by_text("0.64", exact=True).is_visible()
        assert page.get_by_text("r16.lr_g=0.003").first.is_visible()
        assert page.get_by_role("link", name="r16", exact=True).count() == 0  # stages are folded
        assert not any(each.is_visible() for each in page.get_by_text("Ask a question").all())  # of the assistant
        for link in ("Models", "Runs", "Model registry"):
            page.get_by_role("link", name=link, exact=True).first.click()
            settled(page)
            assert page.locator("input[value='genai']:checked").count() == 0
        page.goto(f"{server[0]}/#/experiments")
        settled(page)
        assert page.evaluate("localStorage.getItem('mlflow.workflowType_v1')") == '"machine_learning"'
        page.goto(server[0])
        page.get_by_role("link", name="furniture calm-crab").click()
        page.get_by_text("A generator of 16³ voxels.").wait_for()
        settled(page)
        keep_picture(page, "experiment", full=False)
        page.get_by_text("Show more").first.click()
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="r08", exact=True).first.click()
        opened.value.get_by_role("heading", name="r08").wait_for()


def test_two_experiments_are_side_by_side_by_pictures_after_one_click(server, tmp_path):
    with chromium() as page:
        page.goto(server[0])
        page.get_by_role("link", name="furniture bold-bear").wait_for()
        page.locator("label:has(input[value='CHART'])").click()
        page.locator("img[src*='contact']").first.wait_for()
        settled(page)
        keep_picture(page, "side-by-side", full=False)
        boxes = [each.bounding_box() for each in page.locator("img[src*='contact']").all()[:2]]
        assert min(box["width"] for box in boxes) / 2 >= 96  # of two shapes in a row
        assert abs(boxes[0]["y"] - boxes[1]["y"]) < 5


def test_200_experiments_open_within_3_seconds(server, project, tmp_path):
    client = connect(project / "mlruns")
    number = experiment_id(client)
    known = client.get_experiment(number)
    for i in range(200):
        parent = client.create_run(known.experiment_id, run_name=f"load {i}", tags={"changed": "–"}).info.run_id
        for stage in ("r04", "r08", "r16"):
            child = client.create_run(number, run_name=stage, tags={"mlflow.parentRunId": parent}).info.run_id
            client.set_terminated(child)
        client.log_metric(parent, "evaluation/one_nna_cd", 0.5 + i / 1000)
        client.set_terminated(parent)
    with chromium() as page:
        page.goto(server[0])
        page.get_by_role("link", name="load 199").wait_for()  # the browser's cache is warm now, as a person's
        took = []
        for _ in range(5):  # another process may disturb one
            start = time.monotonic()
            page.reload()
            page.get_by_role("link", name="load 199").wait_for()
            took.append(time.monotonic() - start)
        keep_picture(page, "many", full=False)
    print(f"the runs page of 800 runs opened in {min(took):.2f} to {max(took):.2f} s")
    assert min(took) < 3
