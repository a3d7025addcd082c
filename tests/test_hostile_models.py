"""Models from strangers: refused in one sentence, or loaded as they are; never much memory, never a wait."""

import io
import json
import os
import random
import shutil
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan3d import model_file, model_schema
from gan3d.array_archive import ArrayType, read_arrays
from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.weights import weight_names
from gan3d.sampling.sampler import Sampler
from gan3d.training.growth import grow

MEMORY = 100 * 2**20  # bytes; the model itself has less than one megabyte
FILES = ("config.json", "generator.npz", "training.npz")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A small model that loads."""
    folder = tmp_path_factory.mktemp("good") / "r08"
    start = grow(None, Architecture(6, ("chair", "табурет"), (4, 3), (0.2, 0.1)), seed=1)[2]
    model_file.save(folder, replace(start, threshold=0.4, up="z"))
    return folder


@pytest.fixture
def folder(good, tmp_path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "model"))


def load_or_refuse(folder: Path) -> model_file.TrainedModel | None:
    """The model, or None where it is refused as it should be."""
    tracemalloc.start()
    model, refusal = None, ""
    try:
        model = model_file.load(folder)
    except UserError as error:
        refusal = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEMORY, f"{peak / 2**20:.0f} MiB"
    if model is None:
        assert str(folder) in refusal
        assert refusal.isprintable()
        assert len(refusal) < 600 + len(str(folder))
    return model


def assert_sound(model: model_file.TrainedModel | None) -> None:
    """What was accepted can be used: its weights are finite and fit its architecture."""
    if model is not None:
        shapes = {name: each.shape for name, each in model_schema.generator_arrays(model.architecture).items()}
        assert {name: value.shape for name, value in model.ema.items()} == shapes
        assert all(np.isfinite(value).all() for value in model.ema.values())


def change_arrays(path: Path, change, compression: int = zipfile.ZIP_STORED) -> None:
    """Rewrite an archive with other members; `change` maps name and content to what is written, None to leave it."""
    with zipfile.ZipFile(path) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, content in [pair for member in members for pair in change(*member)]:
            new.writestr(name, content)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(shape: object, descr: str = "<f4") -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


# --- what the architecture implies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [("chair",), ("a", "b", "c")])
@pytest.mark.parametrize("widths", [(5,), (5, 4), (6, 5, 4, 3), (3, 2, 2, 2, 2, 2)])
def test_the_expected_arrays_are_those_of_the_networks(classes, widths):
    architecture = Architecture(7, classes, widths, (0.1,) * len(widths))
    for network, expected in (
        (Generator(architecture), model_schema.generator_arrays(architecture)),
        (Discriminator(architecture), model_schema.discriminator_arrays(architecture)),
    ):
        shapes = [tuple(variable.shape) for variable in network.trainable_variables]
        assert [(name, array.shape) for name, array in expected.items()] == list(
            zip(weight_names(network), shapes, strict=True)
        )


# --- files that are not what they seem --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["pipe", "loop", "folder", "dangling", "device", "unreadable"])
def test_only_plain_files_are_opened(folder, name, kind):
    path = folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"")
        path.chmod(0)
    assert load_or_refuse(folder) is None


def test_a_link_to_a_plain_file_is_followed(folder, good):
    (folder / "generator.npz").unlink()
    (folder / "generator.npz").symlink_to(good / "generator.npz")  # as DVC's cache does
    assert load_or_refuse(folder) is not None


# --- config.json ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [99, 2, 0, -1, "1", None, True, 1.0, [1], 10**40])
def test_another_format_says_who_wrote_it(folder, number):
    tree = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(tree | {"format": number}), encoding="utf-8")
    newer = type(number) is int and number > 1
    with pytest.raises(UserError, match="upgrade gan3d" if newer else "no gan3d wrote"):
        model_file.load(folder)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["x", "y", "float32", "bfloat16", 0.5, 1, 4, 6, 10**9]),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "format",
    "architecture",
    "threshold",
    "up",
    "latent",
    "classes",
    "widths",
    "occupancy",
    "precision",
    "mirror",
    "symmetric",
    "more",
)


@given(st.sampled_from(KEYS), JSON)
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_in_the_configuration(good, folder, key, value):
    tree = json.loads((good / "config.json").read_text(encoding="utf-8"))
    (tree if key in tree else tree["architecture"])[key] = value
    (folder / "config.json").write_text(json.dumps(tree), encoding="utf-8")
    assert_sound(load_or_refuse(folder))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"format":' * 50_000, "1" * 10_000, '{"architecture": {"latent": 1e999}}', "null", '"\ud800"', ""],
    ids=["lists", "objects", "digits", "infinity", "null", "surrogate", "empty"],
)
def test_json_that_is_no_configuration(folder, text):
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert load_or_refuse(folder) is None


def test_a_configuration_without_end(folder):
    with (folder / "config.json").open("wb") as out:
        out.truncate(10**12)  # sparse
    assert load_or_refuse(folder) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": [4096] * 6, "occupancy": [0.5] * 6},
        {"latent": 65536, "widths": [4096, 1]},
        {"classes": [str(i) for i in range(65537)]},
        {"classes": ["chair", "chair"]},
        {"classes": ["x" * 2000]},
        {"classes": []},
        {"classes": "chair"},
        {"widths": [True, True]},
        {"occupancy": [0.1, 1.5]},
        {"occupancy": [0.1]},
        {"precision": "float16"},
        {"mirror": [4] * 2, "symmetric": [0.5] * 2},
        {"mirror": [1] * 99, "symmetric": [0.5] * 99},
        {"mirror": [1] * 2},
        {"symmetric": [0.5, "half"], "mirror": [1, 1]},
        {"optimizer": "adam"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_architectures_that_no_training_makes(folder, changes):
    tree = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tree["architecture"] |= changes
    (folder / "config.json").write_text(json.dumps(tree), encoding="utf-8")
    assert load_or_refuse(folder) is None


# --- arrays -----------------------------------------------------------------------------------------------------------


@given(st.sampled_from(FILES), st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_changed_anywhere(good, folder, name, data):
    content = bytearray((good / name).read_bytes())
    # the end of an archive is its directory, where a byte says more
    low = data.draw(st.sampled_from([0, max(0, len(content) - 1500)]), "from")
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        content[data.draw(st.integers(low, len(content) - 1), "where")] = data.draw(st.integers(0, 255), "value")
    content = content[: data.draw(st.integers(0, len(content)), "length")] if data.draw(st.booleans()) else content
    for other in FILES:
        shutil.copy(good / other, folder / other)
    (folder / name).write_bytes(content)
    assert_sound(load_or_refuse(folder))


SHAPES = [(10**12,), (10**6, 10**6), (2**62, 4), (-1,), (0,), (), "(1e9,)", "None", "(True, 4)", "((1,),)", "-" * 3000]
VALUES = {
    "nan": lambda array: np.full_like(array, np.nan),
    "one infinity": lambda array: np.where(
        np.arange(array.size).reshape(array.shape) == array.size // 2, np.inf, array
    ),
    "minus infinity": lambda array: np.full_like(array, -np.inf),
    "complex": lambda array: array.astype(np.complex64),
    "doubles": lambda array: array.astype(np.float64),
    "whole": lambda array: array.astype(np.int32),
    "text": lambda array: np.full(array.shape, "a"),
    "objects": lambda array: array.astype(object),
    "big-endian": lambda array: array.astype(">f4"),
    "flat": lambda array: array.reshape(-1, 1, 1, 1, 1, 1),
    "longer": lambda array: np.concatenate([array, array]),
    "named fields": lambda array: np.zeros(array.shape, [("a", "<f4")]),
}


@pytest.mark.parametrize("file", ["generator.npz", "training.npz"])
@pytest.mark.parametrize("values", VALUES)
def test_arrays_of_other_values(folder, file, values):
    """In the first array alone: every array is checked."""

    def change(name, content):
        if "first/kernel" not in name:
            return [(name, content)]
        return [(name, npy(VALUES[values](np.load(io.BytesIO(content)))))]

    change_arrays(folder / file, change)
    assert load_or_refuse(folder) is None


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_headers_that_claim_anything(folder, shape, compression):
    change_arrays(
        folder / "generator.npz",
        lambda name, content: [(name, header(shape) + content[128:])],
        compression,
    )
    assert load_or_refuse(folder) is None


ZEROS = 3 * 10**8
BOMBS = {
    "another member": lambda name, content: [(name, content), ("more.npy", header((ZEROS,), "|u1") + bytes(ZEROS))],
    "a long array": lambda name, content: [(name, header((ZEROS,), "|u1") + bytes(ZEROS))],
    "after the array": lambda name, content: [(name, content + bytes(ZEROS))],
    "a long header": lambda name, content: [(name, b"\x93NUMPY\2\0" + struct.pack("<I", ZEROS) + bytes(ZEROS))],
    "many members": lambda name, content: [(name, content), *((f"{i}.npy", content) for i in range(3000))],
    "one name twice": lambda name, content: [(name, content), (name, content)],
    "a folder": lambda name, content: [(name, content), ("more/", b"")],
    "names of escape codes": lambda name, content: [(name, content), ("\x1b[2J\n.npy", b"")],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", BOMBS)
def test_archives_that_hold_more(folder, kind):
    change_arrays(
        folder / "generator.npz",
        lambda name, content: BOMBS[kind](name, content) if "first/kernel" in name else [(name, content)],
        zipfile.ZIP_DEFLATED,
    )
    assert load_or_refuse(folder) is None


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_whose_memory_is_not_bounded(folder, compression):
    change_arrays(folder / "generator.npz", lambda name, content: [(name, content)], compression)
    assert load_or_refuse(folder) is None


def test_compressed_weights_and_half_precision_load_equal(good, folder):
    """As `numpy.savez_compressed` writes them, and as the pretrained models are released."""
    change_arrays(folder / "generator.npz", lambda name, content: [(name, content)], zipfile.ZIP_DEFLATED)
    expected = model_file.load(good).ema
    assert all(np.array_equal(value, expected[name]) for name, value in model_file.load(folder).ema.items())
    np.savez(folder / "generator.npz", **{name: value.astype(np.float16) for name, value in expected.items()})
    assert model_file.load(folder).ema["first/kernel"].dtype == np.float16


def test_a_consistent_bomb(good, folder):
    """A large architecture whose weights are all zero: a few hundred kilobytes that are gigabytes."""
    tree = json.loads((good / "config.json").read_text(encoding="utf-8"))
    tree["architecture"] |= {"widths": [512, 512], "latent": 2048}
    (folder / "config.json").write_text(json.dumps(tree), encoding="utf-8")
    arrays = model_schema.generator_arrays(Architecture.from_json(tree["architecture"]))
    with zipfile.ZipFile(folder / "generator.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(np.zeros(array.shape, np.float32)))
    (folder / "training.npz").unlink()
    assert (folder / "generator.npz").stat().st_size < 10**6
    assert load_or_refuse(folder) is None


def test_an_array_in_column_order_loads_equal(tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    np.savez(tmp_path / "a.npz", a=array)
    read = read_arrays(tmp_path / "a.npz", {"a": ArrayType((2, 3))}, "look again")["a"]
    assert np.array_equal(read, array)
    assert read.flags.f_contiguous


def test_random_bytes(folder):
    generator = random.Random(3)
    for name in FILES:
        for length in (1, 22, 500, 70_000):
            (folder / name).write_bytes(b"PK\3\4" + generator.randbytes(length) + b"PK\5\6" + generator.randbytes(18))
            assert load_or_refuse(folder) is None


def test_weights_that_are_finite_but_give_no_numbers(good):
    model = model_file.load(good)
    enormous = replace(model, ema={name: np.full_like(value, 3e38) for name, value in model.ema.items()})
    with pytest.raises(UserError, match="not finite"):
        Sampler(enormous).shapes(0, 1, seed=0)
