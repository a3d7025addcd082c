"""Notebooks: the .ipynb is its text, parameters are known, and papermill runs them."""

import json
import shutil

import pytest
import yaml
from click.testing import CliRunner
from paths import REPOSITORY

from gan3d import notebooks
from gan3d.cli.app import cli
from gan3d.errors import UserError

FOLDER = REPOSITORY / "notebooks"
NAMES = notebooks.names(FOLDER)


def test_there_are_eight():
    assert [name[:2] for name in NAMES] == [f"{i:02d}" for i in range(1, 9)]


@pytest.mark.parametrize("name", NAMES)
def test_the_ipynb_is_its_text_without_outputs(name):
    written = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert written == notebooks.as_notebook((FOLDER / f"{name}.py").read_text(encoding="utf-8")), (
        "run `gan3d notebook sync`"
    )
    cells = json.loads(written)["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
    assert sum("parameters" in cell["metadata"].get("tags", ()) for cell in cells) == 1


def test_quick_parameters_are_those_of_the_notebooks():
    assert list(yaml.safe_load((FOLDER / notebooks.QUICK).read_text(encoding="utf-8"))) == NAMES


@pytest.mark.parametrize("wanted", ["05", "5", "05-train", "train"])
def test_a_notebook_is_found_by_number_or_name(wanted):
    assert notebooks.find(wanted, FOLDER) == "05-train"
    with pytest.raises(UserError, match="choose one of 01-visualise"):
        notebooks.find("99", FOLDER)


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01-sum.py").write_text(
        '# %% [markdown]\n# # A sum\n\n# %% tags=["parameters"]\na = 1\nb = [2]\n\n# %%\na + b[0]\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.mark.slow
def test_run_writes_the_notebook_into_output_and_into_mlflow(project):
    done = CliRunner().invoke(cli, ["notebook", "run", "01", "-p", "b", "[40]"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    executed = json.loads((project / "output/furniture/01-sum.ipynb").read_text(encoding="utf-8"))
    assert executed["cells"][-1]["outputs"][0]["data"]["text/plain"] == ["41"]
    from gan3d.tracking.store import connect

    client = connect(project / "mlruns")
    (run,) = client.search_runs([client.get_experiment_by_name("gan3d").experiment_id])
    assert run.info.run_name == "furniture notebook 01-sum"
    assert run.data.params["b"] == "[40]"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["01-sum.ipynb"]


@pytest.mark.slow
def test_what_fails_is_one_sentence_that_names_the_cell(project):
    out = project / "output"
    with pytest.raises(UserError, match=r"01-sum failed in cell 3 \(TypeError: .*\): see .*01-sum.ipynb"):
        notebooks.run("01-sum", project / "notebooks", out, {"a": "text"}, project)
    with pytest.raises(UserError, match="c is not a parameter of 01-sum: choose from"):
        notebooks.run("01-sum", project / "notebooks", out, {"c": 1}, project)


@pytest.mark.full  # minutes
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_with_small_parameters(name, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.getbasetemp() / "notebooks"
    if not home.exists():
        home.mkdir()
        for file in ("params.yaml", "dvc.yaml"):
            shutil.copy(REPOSITORY / file, home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    executed = notebooks.run(name, FOLDER, home / "output/furniture", notebooks.quick_parameters(name, FOLDER), home)
    cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert outputs
    logged = [output for output in outputs if output.get("name") in ("stderr", "stdout")]
    assert not [text for each in logged for text in each["text"] if "tensorflow" in text.lower() or "absl" in text]
