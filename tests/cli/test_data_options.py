"""Options of `gan3d prepare`: one for each field of `data` in params.yaml."""

from click.testing import CliRunner

from gan3d.cli.app import cli
from gan3d.config.schema import Data
from gan3d.data.pipeline.options import PrepareOptions
from gan3d.stages import prepare


def test_every_field_is_an_option_with_its_description():
    told = " ".join(CliRunner().invoke(cli, ["prepare", "--help"]).output.split())
    for name, field in Data.model_fields.items():
        assert f"--{name.replace('_', '-')} " in told
        assert f"Instead of data.{name}:" in told
        assert field.description.split()[0] in told


def test_options_replace_values(tmp_path, monkeypatch):
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "run", lambda data, *rest: seen.append((data, *rest)))
    monkeypatch.setattr(prepare, "describe", lambda *_: "")
    given = "--source s --out o --classes a,b --resolution 16 --up z --timeout 5 --memory-limit 512 --test 0.2"
    done = CliRunner().invoke(cli, ["prepare", *given.split(), "--workers", "3"])
    assert done.exit_code == 0, done.output
    data, seed, out, _, workers, _ = seen[0]
    expected = {"source": "s", "classes": ("a", "b"), "resolution": 16, "up": "z", "timeout": 5, "test": 0.2}
    assert data == Data.model_validate(expected | {"memory_limit": 512})
    assert (seed, str(out), workers) == (0, "o", 3)


def test_the_stage_passes_every_shared_option_on():
    data = Data(
        classes=("a",),
        resolution=64,
        up="x",
        handedness="left",
        fill="surface",
        labels="t.csv",
        test=0.3,
        place="floor",
    )
    options = prepare.options_of(data, 7)
    shared = set(PrepareOptions.__dataclass_fields__) & set(Data.model_fields)
    assert shared == {"resolution", "up", "handedness", "fill", "classes", "labels", "validation", "test", "place"}
    assert all(str(getattr(options, name)) == str(getattr(data, name)) for name in shared)
    assert options.seed == 7
