"""`gan3d compare`: what it finds by which name, the page in a browser, and its time with many runs."""

import re
import subprocess
import sys
import time

import mlflow
import pytest
from browser import browser, keep_picture, needs_chromium, overflow, violations
from candidates import MODEL, connect, facts, tiny
from click.testing import CliRunner
from compared_runs import log_training, score_rows

from gan3d import model_file
from gan3d.cli.app import cli
from gan3d.comparison.compare import compare, compare_with_champion
from gan3d.comparison.find import find_subject
from gan3d.config.project import Project
from gan3d.errors import UserError
from gan3d.metrics.rows import write_json
from gan3d.registry import aliases
from gan3d.registry.log import log_candidate

pytestmark = pytest.mark.slow

PARAMS = "name: furniture\ntrain:\n  stages:\n    r08:\n      lr_g: 0.005\n"


@pytest.fixture(scope="module")
def project(new_store, tmp_path_factory):
    """Two experiments in MLflow, one of them registered and champion, and a repository with the other's model."""
    work = new_store("compared").parent
    client = connect(work / "mlruns")
    slow = log_training(client, tmp_path_factory.mktemp("files"), "slow", 0.8, 0.001)
    log_training(client, tmp_path_factory.mktemp("files"), "fast", 0.65, 0.01, seed=1)
    model_file.save(work / "models" / "r08", tiny(1))
    number = log_candidate(client, MODEL, work / "models" / "r08", facts(0.8, training_run=slow))
    aliases.promote(client, MODEL, number, "the first")
    (work / "params.yaml").write_text(PARAMS)
    (work / "dvc.yaml").write_text("stages: {}\n")
    write_json(work / "evaluation" / "table.json", score_rows(0.65))
    for command in ("init -q", "add params.yaml dvc.yaml evaluation models", "commit -qm first"):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *command.split()], cwd=work, check=True
        )
    subprocess.run(["dvc", "init", "-q"], cwd=work, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=work, check=True, capture_output=True, text=True).stdout
    subprocess.run(["git", "update-ref", "refs/exps/ab/cdef/bold-hare", head.strip()], cwd=work, check=True)
    return Project(work, work)


@pytest.fixture
def client(project):
    return connect(project.mlruns)


@pytest.mark.parametrize(
    ("address", "name", "score"),
    [
        ("slow", "slow", 0.8),
        ("furniture fast", "furniture fast", 0.65),
        ("champion", "version 1", 0.8),
        ("1", "version 1", 0.8),
        ("bold-hare", "bold-hare", 0.65),
        ("HEAD", "HEAD", 0.65),
    ],
)
def test_every_name_finds_its_generator(project, client, address, name, score):
    found = find_subject(address, project, client)
    assert found.name == name
    assert found.scores[0].generated["one_nna_cd"] == score
    assert found.open().model.architecture.resolution == 8


def test_a_run_goes_by_its_id_and_tells_what_it_knows(project, client):
    (run,) = client.search_runs(["1"], "tags.`dvc.exp_name` = 'fast'")
    found = find_subject(run.info.run_id, project, client)
    assert found.name == f"furniture fast {run.info.run_id[:8]}"  # not a column of 32 letters
    assert found.params["train.stages.r08.lr_g"] == "0.01"
    assert found.curves["r08"]["loss_g"][0][:2] == [512.0, 1024.0]
    assert sorted(found.pictures) == [("samples", 4096), ("samples", 8193)]


def test_a_folder_is_a_model_or_what_the_project_holds(project, client, tmp_path):
    assert find_subject(str(project.work), project, client).scores[0].generated["one_nna_cd"] == 0.65
    assert find_subject(str(project.work / "models" / "r08"), project, client).scores
    model_file.save(tmp_path / "alone", tiny(2))
    assert not find_subject(str(tmp_path / "alone"), project, client).scores
    with pytest.raises(UserError, match="nothing-like-it is not known: name a run"):
        find_subject("nothing-like-it", project, client)


def test_the_page_and_its_run(project, client, tmp_path):
    run = client.get_run(compare(["slow", "fast", "champion"], project, tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/comparison.html") == text
    assert run.info.run_name == "compare slow fast champion"
    assert "better in 1-NNA-CD (-0.150 ± 0.028)" in text
    row = re.findall(r"<tr><td>train.stages.r08.lr_g</td>(.*?)</tr>", text)[0]
    assert re.sub(r"<.*?>", " ", row).split() == ["0.001", "0.01", "0.001"]
    assert len(re.findall(r'<img alt="(?:slow|fast|version 1), samples', text)) == 6


def test_the_evaluation_is_compared_with_the_champion(project, tmp_path):
    text = compare_with_champion(project, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>champion, version 1 and workspace, compared</h1>" in text
    empty = Project(project.work, tmp_path / "empty")
    assert compare_with_champion(empty, tmp_path / "none.html") is None
    assert not (tmp_path / "none.html").exists()


def test_the_command(project, monkeypatch):
    monkeypatch.chdir(project.work)
    done = CliRunner().invoke(cli, ["compare", "slow", "fast"])
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"comparison\.html, and in MLflow the run [0-9a-f]{32}\n", done.output)
    assert CliRunner().invoke(cli, ["compare", "slow"]).exit_code == 2


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "sklearn", "git", "IPython"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from gan3d.cli.app import main
main()
"""


def test_the_command_imports_nothing_that_takes_seconds(project):
    command = [sys.executable, "-c", WITHOUT, "compare", "slow", "champion"]
    done = subprocess.run(command, cwd=project.work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (project.work / "comparison.html").read_text(encoding="utf-8")
    assert '"resolutions":[8,8,' in text  # with shapes


@needs_chromium
def test_the_page_in_a_browser(project, tmp_path):
    compare(["slow", "fast"], project, tmp_path / "page.html")
    with browser() as chromium:
        for width, scheme in ((390, "dark"), (1280, "light"), (2560, "dark")):
            page = chromium.open((tmp_path / "page.html").as_uri(), width, scheme)
            assert overflow(page) <= 0
            assert violations(page) == []
            assert (page.foreign, page.errors) == ([], [])
            keep_picture(page, f"comparison-{width}-{scheme}")
        page.eval_on_selector("#shapes", "element => element.scrollIntoView()")
        before = page.locator("#shapes").screenshot()
        first = page.locator(".shape").first
        first.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(300)
        after = page.locator("#shapes").screenshot()
        assert before != after
        keep_picture(page, "comparison-shapes", full=False)


@needs_chromium
def test_two_hundred_experiments_take_three_seconds(new_store, tmp_path, tmp_path_factory):
    work = new_store("many").parent
    client = connect(work / "mlruns")
    for number in range(200):
        log_training(client, None, f"e{number}", 0.7, 0.001)
    names = ["first", "second", "third"]
    for number, name in enumerate(names):
        log_training(client, tmp_path_factory.mktemp("files"), name, 0.7, 0.001 * (number + 1), number)
    for name in ("params.yaml", "dvc.yaml"):
        (work / name).write_text(PARAMS)
    project = Project(work, work)
    compare(names, project, tmp_path / "page.html")
    seconds = []
    for _ in range(3):  # the best of three: other work on the machine may hold one up
        start = time.monotonic()
        found = [find_subject(name, project, client) for name in names]
        assert [subject.scores[0].generated["one_nna_cd"] for subject in found] == [0.7] * 3
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 3, seconds
    with browser() as chromium:
        chromium.open("about:blank")
        start = time.monotonic()
        chromium.open((tmp_path / "page.html").as_uri())
        opened = time.monotonic() - start
    assert opened < 3, opened
    print(f"200 experiments: three are found in {min(seconds):.2f} s, the page opens in {opened:.2f} s")
