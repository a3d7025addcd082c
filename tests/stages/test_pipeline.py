"""The pipeline as users run it: `dvc repro`, a real store, a model from the registry in a fresh process."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from candidates import MODEL
from mlflow import MlflowClient

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(repro):
    return MlflowClient(f"sqlite:///{repro.root / 'mlruns' / 'mlflow.db'}")


@pytest.fixture(scope="module")
def runs(client):
    experiment = client.get_experiment_by_name("gan3d")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def stages_run(output):
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def test_every_stage_ran_once(repro):
    expected = {"synthetic", "source", "prepare", "train@r04", "train@r08", "evaluate", "output", "register"}
    assert sorted(stages_run(repro.first.stdout)) == sorted(expected)


def test_the_cost_estimate_is_printed_before_training(repro):
    assert "parameters in G" in repro.first.stdout
    assert '"lr_g": 0.005' in repro.first.stdout


def test_outputs(repro):
    for stage in ("r04", "r08"):
        assert {p.name for p in (repro.root / "models" / stage).iterdir()} == {
            "config.json",
            "generator.npz",
            "training.npz",
        }
        output = repro.root / "output" / "furniture"
        assert (output / "loss" / stage / "loss.png").stat().st_size > 5000
        assert (output / "loss" / stage / "accuracy.png").stat().st_size > 5000
        assert (output / "model" / stage / "generator.keras").is_file()
        assert (output / "vis" / stage / "shapes.html").is_file()
        assert len(list((output / "vis" / stage).glob("*.png"))) >= 2


def test_curves_have_no_gaps(repro):
    with (repro.root / "evaluation" / "curves" / "r08.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [int(float(row["images"])) for row in rows] == list(range(16, 129, 16))
    assert [float(row["alpha"]) for row in rows][:3] == [0.5, 1.0, 1.0]
    assert all(np.isfinite(float(row["loss_d"])) for row in rows)


def test_a_training_run_in_mlflow(repro, client, runs):
    run = runs["r08"]
    assert run.info.status == "FINISHED"
    assert run.data.params["lr_g"] == "0.005"
    assert json.loads(run.data.params["widths"].replace("(", "[").replace(")", "]")) == [8, 6]
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "loss/generator")]
    assert steps == list(range(16, 129, 16))
    logged = ("monitoring/score_real", "loss/gradient_penalty", "progress/alpha", "evaluation/occupancy_generated")
    assert set(logged) <= set(run.data.metrics)
    assert run.inputs.dataset_inputs[0].dataset.name == "chair+table at 8³"
    assert run.data.tags["dvc.stage"] == "train@r08"
    assert run.data.tags["parent_model_run"] == runs["r04"].info.run_id
    assert len(run.data.tags["git.commit"]) == 40
    record = json.loads((repro.root / "runs" / "r08.json").read_text())
    assert record == {
        "run_id": run.info.run_id,
        "training_fingerprint": run.data.tags["training_fingerprint"],
        "images": 128,
    }
    assert (repro.root / "checkpoints" / "r08" / record["training_fingerprint"]).is_dir()
    assert len(run.data.tags["dataset_fingerprint"]) == len(record["training_fingerprint"])


def test_contact_sheets_and_files_in_mlflow(repro, client, runs):
    run = runs["r08"].info.run_id
    images = [item.path for item in client.list_artifacts(run, "images")]
    steps = {re.search(r"[%+]step[%+](\d+)", path)[1] for path in images if path.endswith(".png")}
    assert {"48", "96", "128"} <= steps
    assert {item.path for item in client.list_artifacts(run)} >= {"images", "plots", "shapes.html", "model"}
    assert runs["r08"].info.artifact_uri.startswith((repro.root / "mlruns" / "artifacts").as_uri())


def test_scores_are_metrics_of_dvc(repro):
    shown = json.loads(repro.run("dvc", "metrics", "show", "--json").stdout)
    scores = shown[""]["data"]["evaluation/scores.json"]["data"]
    assert set(scores) >= {"one_nna_cd↓", "one_nna_cd_floor"}
    assert len(scores) <= 8
    assert 0 <= scores["one_nna_cd↓"] <= 1
    assert 0.2 <= scores["one_nna_cd_floor"] <= 0.8
    table = json.loads((repro.root / "evaluation" / "table.json").read_text(encoding="utf-8"))
    assert [(row["resolution"], row["class"], row["kind"]) for row in table] == [
        (resolution, name, kind)
        for resolution in (4, 8)
        for name in ("chair", "table", "mean")
        for kind in ("generated", "floor")
    ]
    assert table[6]["generated"] == 12
    plots = json.loads(repro.run("dvc", "plots", "show", "--json").stdout)["data"]
    drawn = [name for name, made in plots.items() if made[0]["type"] == "vega"]
    assert [name.partition(" (")[0] for name in drawn] == [
        "1-NNA-CD on validation shapes",
        "Losses",
        "Median scores by the discriminator",
    ]
    pictures = {name.rsplit("/", 1)[-1] for name, made in plots.items() if made[0]["type"] == "image"}
    assert pictures == {f"{stage}{kind}.png" for stage in ("r04", "r08") for kind in ("", "-interpolation")}


def test_contact_sheets_of_the_evaluation(repro):
    from PIL import Image

    with Image.open(repro.root / "evaluation" / "pictures" / "r08.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_the_first_version_is_champion(repro, client):
    version = client.get_model_version_by_alias(MODEL, "champion")
    assert str(version.version) == "1"
    assert "first champion" in version.tags["promotion_reason"]
    assert "1-NNA-CD" in version.description
    record = json.loads((repro.root / "runs" / "register.json").read_text())
    assert (record["version"], record["champion"]) == (1, True)


def test_the_registered_model_equals_the_command_line(repro, tmp_path):
    """Loaded in a fresh process that cannot see this repository."""
    mlruns = repro.root / "mlruns" / "mlflow.db"
    code = (
        "import sys, mlflow, numpy, pandas\n"
        f"sys.path[:] = [p for p in sys.path if not p.endswith('src')]\n"
        f"mlflow.set_tracking_uri('sqlite:///{mlruns}')\n"
        "model = mlflow.pyfunc.load_model('models:/furniture@champion')\n"
        "voxels = model.predict(pandas.DataFrame([{'class': 'table', 'count': 5, 'seed': 7}]))\n"
        "assert 'artifacts' in sys.modules['gan3d'].__file__, sys.modules['gan3d'].__file__\n"
        f"numpy.save({str(tmp_path / 'served.npy')!r}, voxels)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    out = tmp_path / "tables.npz"
    repro.run("gan3d", "sample", "--class", "table", "--count", "5", "--seed", "7", "--out", str(out))
    with np.load(out) as arrays:
        voxels = arrays["voxels"]
    assert voxels.shape == (5, 8, 8, 8)
    assert voxels.dtype == bool
    assert np.array_equal(voxels, np.load(tmp_path / "served.npy").astype(bool))


def test_a_second_repro_runs_nothing(repro):
    again = repro.run("dvc", "repro")
    assert stages_run(again.stdout) == ["source"]  # which looks whether the source has changed


@pytest.mark.parametrize(
    ("file", "old", "new", "reruns"),
    [
        ("monitoring/advice.py", "about to diverge", "close to diverging", []),
        ("training/threshold.py", "RANGE = (0.2, 0.8)", "RANGE = (0.1, 0.9)", ["train@r04", "train@r08"]),
        ("synthetic/chairs.py", "Parametric chairs", "Chairs by parameters", ["synthetic"]),
        ("reports/evaluation_report.py", '"""', '"""The report. ', ["evaluate"]),
    ],
)
def test_an_edit_of_the_code_reruns_only_what_it_can_change(repro, file, old, new, reruns):
    """A reworded warning reruns nothing, the threshold's calibration does."""
    path = repro.root / "src" / "gan3d" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        status = json.loads(repro.run("dvc", "status", "--json").stdout)
    finally:
        path.write_text(text, encoding="utf-8")
    edited = [name for name, changes in status.items() if f"src/gan3d/{file.split('/')[0]}" in json.dumps(changes)]
    assert sorted(edited) == reruns
    if not reruns:
        assert set(status) <= {"source"}, status  # which always looks


def test_a_learning_rate_reruns_its_stage_and_what_follows(repro, client):
    """The other stages are neither trained again nor registered twice."""

    def change(tree):
        tree["train"]["stages"]["r08"]["lr_g"] = 0.004

    repro.edit(change)
    assert "train@r08" in repro.run("dvc", "status").stdout
    done = repro.run("dvc", "repro")
    assert sorted(stages_run(done.stdout)) == sorted(["source", "train@r08", "evaluate", "output", "register"])
    assert len(client.search_model_versions("name = 'furniture'")) == 2
    second = client.get_model_version(MODEL, "2")
    assert second.tags["promotion"] in ("promoted", "not promoted")
    assert second.tags["promotion_reason"]


def test_going_back_takes_the_result_from_the_cache(repro):
    run = (repro.root / "runs" / "r08.json").read_text()
    kept, weights = repro.root / "output/furniture/model/r08/generator.npz", repro.root / "models/r08/generator.npz"
    pictures = [path.name for path in (repro.root / "output/furniture/vis/r08").iterdir()]
    before = kept.read_bytes()
    assert before == weights.read_bytes()

    def back(tree):
        tree["train"]["stages"]["r08"]["lr_g"] = 0.005

    repro.edit(back)
    done = repro.run("dvc", "repro")
    assert "train@r08" not in stages_run(done.stdout)
    assert json.loads((repro.root / "runs" / "r08.json").read_text()) != json.loads(run)
    assert before != kept.read_bytes() == weights.read_bytes()
    restored = {path.name for path in (repro.root / "output/furniture/vis/r08").iterdir()}
    assert {"shapes.html"} < restored < set(pictures)  # those of the other training do not stay


def test_an_experiment_in_a_copy_writes_into_the_same_store(repro, client):
    repro.run("git", "add", "-A")
    repro.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first run")
    change = "train.stages.r08.stabilise=64"
    repro.run(
        "dvc",
        "exp",
        "run",
        "--temp",
        "-S",
        change,
        "-n",
        "short",
    )
    experiment = client.get_experiment_by_name("gan3d")
    found = client.search_runs([experiment.experiment_id], "tags.`dvc.exp_name` = 'short'")
    (run,) = (run for run in found if run.info.run_name == "r08")
    assert run.info.artifact_uri.startswith((repro.root / "mlruns" / "artifacts").as_uri())
    assert "model" in {item.path for item in client.list_artifacts(run.info.run_id)}  # the copy is gone


def test_a_stage_trained_remotely_ends_with_the_same_bytes(repro, tmp_path):
    """With the packed folder and gan3d's sources alone; stopped and resumed."""
    folder = tmp_path / "packed"
    assert "MiB" in repro.run("gan3d", "pack", str(folder), "r08").stdout
    assert sorted(path.name for path in folder.glob("data/*.npy")) == ["r08.npy"]
    shutil.rmtree(folder / "checkpoints")  # those of the finished stage
    remote = [sys.executable, "-m", "gan3d.monitoring.remote", str(folder)]
    assert "finished: none" in repro.run(*remote, "--seconds", "0").stdout
    assert len(list(folder.glob("checkpoints/r08/*/*.npz"))) == 1
    assert "finished: r08" in repro.run(*remote).stdout
    for name in ("generator.npz", "training.npz"):
        assert (folder / "models/r08" / name).read_bytes() == (repro.root / "models/r08" / name).read_bytes()
    # copied back, the stage resumes at its end, without a step
    (copied,) = (folder / "checkpoints/r08").glob("*")
    own = repro.root / "checkpoints/r08" / copied.name  # beside those of other trainings
    shutil.rmtree(own)
    shutil.copytree(copied, own)
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    repro.run("dvc", "repro", "--single-item", "--force", "train@r08")
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    other = repro.run(*remote, check=False, KERAS_BACKEND="jax")
    assert other.returncode == 1
    assert "train.backend tensorflow, but Keras runs on jax: set KERAS_BACKEND=tensorflow" in other.stderr
    refused = repro.run("gan3d", "pack", str(folder), check=False)
    assert refused.returncode == 1
    assert "is not an empty folder" in refused.stderr


def test_evaluation_of_classes_without_test_shapes_and_of_other_classes(repro, tmp_path):
    copy = type(repro)(tmp_path / "copy")
    shutil.copytree(repro.root, copy.root, ignore=shutil.ignore_patterns(".dvc", ".git"), symlinks=True)
    manifest, summary = (copy.root / "data/voxels" / name for name in ("manifest.csv", "summary.json"))
    for path in (manifest, summary):  # DVC's files may be links to its cache
        content = path.read_text(encoding="utf-8")
        path.unlink()
        path.write_text(content, encoding="utf-8")
    rows = manifest.read_text(encoding="utf-8")
    manifest.write_text(rows.replace(",table,test,", ",table,train,"), encoding="utf-8")
    assert "no scores: 0 generated and 0 real shapes remain" in copy.run("gan3d", "evaluate").stdout
    assert (copy.root / "evaluation/report.html").is_file()
    for path in (manifest, summary):
        path.write_text(path.read_text(encoding="utf-8").replace("table", "stool"), encoding="utf-8")
    refused = copy.run("gan3d", "evaluate", check=False)
    assert refused.returncode == 1
    assert "models/r04 was trained on chair, table, but" in refused.stderr
    assert "has chair, stool: train it again" in refused.stderr


def test_a_stage_above_the_prepared_resolution(repro, tmp_path):
    copy = type(repro)(tmp_path / "copy")
    shutil.copytree(repro.root, copy.root, ignore=shutil.ignore_patterns(".dvc", ".git", "mlruns"), symlinks=True)

    def higher(tree):
        tree["data"]["resolution"] = 16
        tree["train"]["stages"]["r16"] = tree["train"]["stages"]["r08"] | {"prev": "r08"}

    copy.edit(higher)
    for command in (("train", "r16", "--dry-run"), ("pack", str(tmp_path / "packed"), "r16")):
        refused = copy.run("gan3d", *command, check=False)
        assert refused.returncode == 1
        assert "r16.npy is missing" in refused.stderr
        assert "prepare it again" in refused.stderr
