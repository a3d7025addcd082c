"""What prepare stops at, what it keeps together, and what --dry-run tells."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gan3d.cli.app import cli
from gan3d.data.pipeline.prepare import prepare
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError

OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 {}\nf 1 2 3\nf 1 2 4\n"


def grid(seed: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).random((side,) * 3) < 0.3


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (
            {f"{name}/a.npy": grid(i) for i, name in enumerate(["cup", "pot", "jar"])},
            "gives 3 classes .* for 3 shapes.*--labels",
        ),
        ({f"cup/{i}.npy": np.ones((16, 16, 16), bool) for i in range(5)}, "completely full"),
        ({f"cup/{i}.npy": np.zeros((16, 16, 16), bool) for i in range(5)} | {"cup/x.npy": grid(1)}, "empty grids"),
        ({f"cup/{i}.npy": grid(i)[:1] for i in range(5)}, "flat, one voxel thick.*axes"),
        ({f"cup/test/{i}.npy": grid(i) for i in range(5)}, "without training shapes"),
        (
            {f"cup/train/{i}.npy": grid(i) for i in range(5)} | {"cup/test/a.npy": np.zeros((16, 16, 16), bool)},
            "states a test split, but no shape of it",
        ),
        (
            {f"cup/train/{i}.npy": grid(i) for i in range(5)} | {"cup/test/a.npy": np.zeros((3, 3, 16, 16, 16))},
            "states a test split",
        ),
    ],
)
def test_implausible_data_stop_with_one_sentence(tmp_path, arrays, says):
    for name, array in arrays.items():
        save(tmp_path / "source" / name, array)
    with pytest.raises(UserError, match=says) as caught:
        prepare(tmp_path / "source", tmp_path / "out", 16)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_table_overrules_the_check_of_classes(tmp_path):
    names = ["cup", "pot", "jar"]
    for number, name in enumerate(names):
        save(tmp_path / f"source/{name}/a.npy", grid(number))
    (tmp_path / "t.csv").write_text("file;class\n" + "".join(f"{name}/a.npy;{name}\n" for name in names))
    assert prepare(tmp_path / "source", tmp_path / "out", 16, table=tmp_path / "t.csv")["classes"] == sorted(names)


@pytest.mark.parametrize(
    "names",
    [
        ("cup/{0:03d}x/model.obj", "cup/{0:03d}x/voxel.npy"),
        ("cup/{0}.obj", "cup/{0}.npy"),
        ("obj/cup/{0}.obj", "npy/cup/{0}.npy"),
        ("cup/mesh/shape_{0}.obj", "cup/voxels/shape_{0}.npy"),
        ("cup/{0:05d}/high.npy", "cup/{0:05d}/low.npy"),
        ("cup/{0:05d}/models/m.obj", "cup/{0:05d}/grids/g.npy"),
    ],
)
def test_forms_of_one_shape_stay_in_one_split(tmp_path, names):
    for number in range(12):
        for name in names:
            path = tmp_path / "source" / name.format(number)
            if path.suffix == ".npy":
                save(path, grid(number + 50 * ("low" in name)))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(OBJ.format(1 + number))
    prepare(tmp_path / "source", tmp_path / "out", 16, validation=0.3, test=0.3)
    rows = VoxelDataset(tmp_path / "out").rows
    assert {row["class"] for row in rows} == {"cup"}
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["group"], set()).add(row["split"])
    assert len(splits) == 12
    assert all(len(found) == 1 for found in splits.values())
    assert len({row["split"] for row in rows}) == 3


def test_a_dry_run_tells_what_is_understood_and_writes_nothing(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    for split, count in (("train", 6), ("test", 2)):
        voxels = np.stack([grid(i) for i in range(count)])
        np.savez(source / f"{split}.npz", voxels=voxels, labels=["cup", "pot"] * (count // 2))
    (source / "labels.csv").write_text("file\tclass\na\tcup\n")
    (source / "bad.blend").write_text("x")
    before = tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["prepare", "--source", str(source), "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 0
    for text in (
        "2 .npz",
        "8 shapes in 2 classes, by labels; the source states train, test; drawn: 10% validation",
        "cup: 3 train, 1 test",
        "voxels (6, 16, 16, 16) bool: 6 grids of 16 x 16 x 16, labels in labels",
        "1 rejected",
        "The format .blend is not supported.",
        "labels.csv looks like a table of classes: use it with --labels",
    ):
        assert text in result.output
    assert tree(tmp_path) == before


def test_a_dry_run_ends_with_what_prepare_would_stop_at(tmp_path, monkeypatch):
    for number, name in enumerate(["cup", "pot", "jar"]):
        save(tmp_path / f"source/{name}/a.npy", grid(number))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["prepare", "--source", "source", "--dry-run"])
    assert isinstance(result.exception, UserError)
    assert "gives 3 classes" in str(result.exception)
    assert "cup: 1 without a stated split" in result.output
