"""Comparing two versions: the page, and the run in MLflow."""

import re

import mlflow
import numpy as np
import pytest
from candidates import connect, facts, rows, tiny
from click.testing import CliRunner

from gan3d import model_file
from gan3d.cli.app import cli
from gan3d.registry import compare
from gan3d.registry.log import log_candidate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(new_store, folder, tmp_path_factory):
    """Two versions; the second is better and was scored on another split."""
    mlruns = new_store("compared")
    client = connect(mlruns)
    log_candidate(client, folder, facts(0.8))
    other = tmp_path_factory.mktemp("other")
    model_file.save(other, tiny(1))
    data = dict(facts().data) | {"test_split": "another"}
    log_candidate(client, other, facts(scores=rows(0.65), data=data))
    return mlruns


@pytest.fixture(scope="module")
def comparison(store):
    return compare.compare(connect(store), 1, 2, store)


def test_the_page_has_scores_pictures_and_a_warning(comparison):
    page = compare.page(comparison)
    cells = re.findall(r"<tr><td>1-NNA-CD</td>(.*?)</tr>", page)[0]
    assert re.sub(r"<.*?>", " ", cells).split() == ["0.800", "0.650", "-0.150", "nearest", "to", "0.5"]
    assert "<b>0.650</b>" in cells
    assert "<b>0.800</b>" not in cells
    assert page.count("data:image/png;base64,") == 2
    assert "The scores are not comparable: the versions differ in test split." in page
    assert not re.findall(r'(?:src|href)="http', page)


def test_the_pictures_are_of_the_same_seeds(comparison, store):
    again = compare.compare(connect(store), 1, 1, store)
    assert set(again.pictures) == {"chair", "table"}
    picture = again.pictures["chair"]
    upper, lower = picture[:160, 200:], picture[len(picture) // 2 :, 200:][:160]
    np.testing.assert_array_equal(upper, lower)
    assert not np.array_equal(comparison.pictures["chair"][len(picture) // 2 :], picture[len(picture) // 2 :])


def test_the_run_has_page_pictures_and_scores(comparison, store):
    run = connect(store).get_run(compare.log(comparison))
    assert run.info.run_name == "compare 1 2"
    assert run.data.metrics["version_2_one_nna_cd"] == 0.65
    kept = {entry.path for entry in connect(store).list_artifacts(run.info.run_id)}
    assert kept == {"comparison.html", "chair.png", "table.png"}
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/comparison.html") == compare.page(comparison)


def test_the_commands(store, monkeypatch):
    project = store.parent
    for name in ("params.yaml", "dvc.yaml"):
        (project / name).touch()
    monkeypatch.chdir(project)

    def run(*arguments):
        done = CliRunner().invoke(cli, ["registry", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "version 1 is now champion" in run("promote", "1", "--reason", "the first")
    assert "version 2 is now champion instead of 1" in run("promote", "2", "--reason", "better")
    assert "version 1 is champion again instead of 2" in run("rollback", "--reason", "floats")
    lines = run("list").splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1"]
    assert "rolled back: to version 1: floats" in lines[0]
    assert "champion" in lines[1]
    assert "excess 0.800" in lines[1]
    assert "compare-1-2.html" in run("compare", "champion", "2")
    assert (project / "compare-1-2.html").stat().st_size > 10_000
    assert CliRunner().invoke(cli, ["registry", "promote", "2"]).exit_code == 2  # a reason is required
