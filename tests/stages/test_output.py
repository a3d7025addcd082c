"""The stage `output` writes what belongs to the models at hand, and leaves what a training has written."""

import dataclasses

import numpy as np
import pytest
from small_project import edit, small

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.networks.architecture import Architecture
from gan3d.stages import output
from gan3d.training.growth import grow

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path):
    from paths import REPOSITORY

    (tmp_path / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    home = Project(tmp_path, tmp_path)
    home.curves("r04").parent.mkdir(parents=True)
    for stage, widths in (("r04", (16,)), ("r08", (16, 8))):
        model_file.save(home.model(stage), model(widths))
        home.curves(stage).write_text("images,loss_g,loss_d\n64,0.7,0.7\n128,0.6,\n")
    return home


def model(widths, seed=0):
    architecture = Architecture(8, ("chair", "table"), widths, (0.3, 0.2)[: len(widths)])
    return dataclasses.replace(grow(None, architecture, seed)[2], up="y")


def test_what_belongs_to_another_model_is_written_anew(home):
    params = edit(home, small)
    vis = home.output("furniture") / "vis"
    assert output.run(params, home) == ["r04", "r08"]
    (vis / "r08" / "000000000.png").write_bytes(b"of the training")
    (vis / "r16").mkdir()
    assert output.run(params, home) == []
    assert {path.name for path in (vis / "r08").iterdir()} == {"000000000.png", "000000128.png", "shapes.html"}
    assert not (vis / "r16").exists()
    model_file.save(home.model("r08"), model((16, 8), 1))
    assert output.run(params, home) == ["r08"]
    assert {path.name for path in (vis / "r08").iterdir()} == {"000000128.png", "shapes.html"}
    kept = model_file.load(home.output("furniture") / "model" / "r08")
    assert np.array_equal(kept.ema["first/kernel"], model((16, 8), 1).ema["first/kernel"])


def test_a_lost_file_is_written_anew(home):
    params = edit(home, small)
    output.run(params, home)
    (home.output("furniture") / "loss" / "r04" / "loss.png").unlink()
    assert output.run(params, home) == ["r04"]
