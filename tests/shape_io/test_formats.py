"""The table of output formats, and that everything offered is in it."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner

from gan3d.cli.shapes import sample
from gan3d.errors import UserError
from gan3d.sampling.requests import Shapes
from gan3d.serving.schema import ShapesRequest
from gan3d.shape_io import formats
from gan3d.shape_io.encoding import encode
from gan3d.shape_io.files import write_shapes
from gan3d.shape_io.formats import check_export

CUBE = np.pad(np.ones((2, 2, 2, 2), np.float32), [(0, 0), *[(1, 1)] * 3])


def test_names_are_unique_and_each_format_is_offered_somewhere():
    names = [each.name for each in formats.FORMATS]
    assert len(set(names)) == len(names)
    assert all(each.file or each.http for each in formats.FORMATS)


@pytest.mark.parametrize("extension", formats.FILES)
def test_every_file_format_is_written(extension, tmp_path):
    written = write_shapes(tmp_path / f"x{extension.upper()}", CUBE > 0.5, ["cube", "cube"])
    assert len(written) == (1 if formats.FILES[extension].many else 2)
    assert all(path.stat().st_size for path in written)


@pytest.mark.parametrize("output", [name for name in formats.OUTPUTS if name != "grid"])
def test_every_output_is_encoded_with_its_media_type(output):
    parts = encode(Shapes(CUBE, ["cube", "cube"], ("cube",), 0.5, "y", np.zeros((2, 4), np.float32)), output)
    assert len(parts) == (1 if formats.OUTPUTS[output].kind == "picture" else 2)
    assert {part.media_type for part in parts} == {formats.OUTPUTS[output].media_type}
    assert all(part.content for part in parts)


def test_command_line_and_http_offer_what_the_table_says():
    told = re.sub(r"\s+", " ", CliRunner().invoke(sample, ["--help"]).output)
    assert all(extension in told for extension in formats.FILES)
    assert get_args(ShapesRequest.model_fields["output"].annotation) == tuple(formats.OUTPUTS)
    assert get_args(ShapesRequest.model_fields["style"].annotation) == formats.STYLES


def test_limits_follow_kind_and_resolution():
    assert formats.max_shapes("grid", 16) == 1024
    assert formats.max_shapes("glb", 16) == 64
    assert formats.max_shapes("grid", 128) == 32
    assert formats.max_shapes("grid", 1024) == 1


def test_unknown_formats_are_named_with_the_known_ones():
    with pytest.raises(UserError, match=r"chair\.fbx cannot be written: give it one of the extensions \.npy, \.npz"):
        formats.file_format(Path("chair.fbx"))
    with pytest.raises(UserError, match="output 'npy' does not exist: choose one of grid, bits, binvox, stl"):
        formats.max_shapes("npy", 8)


@pytest.mark.parametrize("name", ["m.pt", "m.h5", "model.keras", "model.PB", "a.tflite"])
def test_an_export_of_another_kind_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"another kind: name a file that ends in \.onnx or \.html, or a folder"):
        check_export(tmp_path / name)


@pytest.mark.parametrize("name", ["m.onnx", "M.ONNX", "saved", "furniture-0.2"])
def test_an_export_by_a_known_name_is_accepted(tmp_path, name):
    check_export(tmp_path / name)
