"""Bodies to print: one piece, watertight, of the size asked for, and files that other readers accept."""

import io

import lib3mf
import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from gan3d.cli.printing_options import print_settings, printing_options
from gan3d.data.formats.readers import read
from gan3d.errors import UserError
from gan3d.shape_io import threemf
from gan3d.shape_io.bodies import fill_contacts, one_body
from gan3d.shape_io.files import write_bodies
from gan3d.shape_io.print_settings import PrintSettings
from gan3d.shape_io.printing import check_body, printable
from gan3d.shape_io.surface import smooth_surface

GRIDS = st.integers(2, 6).flatmap(lambda side: arrays(bool, (side,) * 3)).filter(np.any)


def table() -> np.ndarray:
    """A table of 16³, y up: a top 3 voxels thick on four legs, one of them cut off, and a speck in the air."""
    voxels = np.zeros((16, 16, 16), bool)
    voxels[2:14, 9:12, 3:13] = True
    for x in (2, 12):
        for z in (3, 11):
            voxels[x : x + 2, :9, z : z + 2] = True
    voxels[12:14, 6:8, 11:13] = False
    voxels[7, 15, 7] = True
    return voxels


@given(GRIDS, st.sampled_from(["smooth", "blocks"]), st.booleans())
@settings(deadline=None, max_examples=25)
def test_any_voxels_become_one_body(voxels, style, base):
    body = printable(voxels, PrintSettings(100, base=base), style)
    assert body.mesh.is_volume
    assert body.mesh.body_count == 1
    assert body.mesh.extents.max() == pytest.approx(100, abs=1e-3)
    np.testing.assert_allclose(body.mesh.bounds[0], 0, atol=1e-5)
    assert body.volume == pytest.approx(body.mesh.volume, rel=1e-3)
    assert body.wall > 0.4 * body.voxel


@given(GRIDS)
@settings(deadline=None, max_examples=25)
def test_contacts_are_filled_by_adding_voxels_alone(voxels):
    filled = fill_contacts(voxels)
    assert (filled >= voxels).all()
    assert np.array_equal(filled, fill_contacts(filled))
    assert ndimage.label(filled)[1] == ndimage.label(filled, np.ones((3, 3, 3)))[1]


def test_loose_pieces_get_the_shortest_bridge_or_are_dropped():
    body, repairs = one_body(table())
    assert (repairs.joined, repairs.bridge, repairs.dropped) == (2, 2 + 3, 0)
    assert ndimage.label(body)[1] == 1
    body, repairs = one_body(table(), drop=0.01)
    assert (repairs.joined, repairs.bridge, repairs.dropped) == (1, 2, 1)
    assert not body[:, 12:].any()


def test_up_and_size():
    for up, axis in (("z", 2), ("y", 1), ("x", 0)):
        body = printable(table(), PrintSettings(120, up, drop=0.01), "blocks", up="y")
        assert body.mesh.extents.max() == pytest.approx(120)
        assert body.mesh.center_mass[axis] > 0.6 * body.mesh.extents[axis]  # the top of the table is above
        assert body.voxel == pytest.approx(120 / 12)


def test_a_base_is_wider_than_the_shape_and_closes_loose_feet():
    plain, standing = (printable(table(), PrintSettings(120, base=base, drop=0.01), "blocks") for base in (False, True))
    assert standing.repairs.joined == 0 or standing.repairs.joined == plain.repairs.joined
    bottom = standing.mesh.triangles_center[:, 2] < 1e-3
    area = standing.mesh.area_faces[bottom].sum()
    assert area == pytest.approx(standing.mesh.extents[0] * standing.mesh.extents[1], rel=1e-4)


@pytest.mark.parametrize("style", ["smooth", "blocks"])
def test_hollow(style):
    solid = printable(table(), PrintSettings(160), style)
    hollow = printable(table(), PrintSettings(160, hollow=3), style)
    assert hollow.cavities >= 1
    assert hollow.volume < 0.9 * solid.volume
    assert 3 <= hollow.wall <= 3 * 1.1
    assert hollow.mesh.is_watertight


def test_what_cannot_be_printed_is_said():
    with pytest.raises(UserError, match=r"walls of 0\.\d+ mm at a size of 5 mm.*: give a size of at least \d+ mm"):
        printable(table(), PrintSettings(5))
    with pytest.raises(UserError, match="nowhere thick enough at 100 mm for walls of 40 mm"):
        printable(table(), PrintSettings(100, hollow=40))
    with pytest.raises(UserError, match="empty"):
        printable(table() & False, PrintSettings(100))
    with pytest.raises(UserError, match=r"size 0\.1 mm is out of range"):
        printable(table(), PrintSettings(0.1))
    vertices, faces = smooth_surface(table())  # three pieces
    with pytest.raises(UserError, match=r"cannot be printed \(3 bodies\)"):
        check_body(trimesh.Trimesh(vertices, faces, process=False))
    with pytest.raises(UserError, match=r"cannot be printed \(NotManifold\)"):
        check_body(trimesh.Trimesh(vertices, faces[1:], process=False))


def test_files_are_in_millimetres_for_other_readers(tmp_path):
    written = write_bodies(tmp_path / "table.3mf", np.stack([table()] * 2), PrintSettings(120))
    assert [path.name for path, _ in written] == ["table_000.3mf", "table_001.3mf"]
    path, body = written[0]
    assert path.read_bytes() == written[1][0].read_bytes()
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromFile(str(path))
    assert reader.GetWarningCount() == 0
    assert model.GetUnit() == lib3mf.ModelUnit.MilliMeter
    meshes = model.GetMeshObjects()
    assert meshes.MoveNext()
    assert meshes.GetCurrentMeshObject().IsManifoldAndOriented()
    assert meshes.GetCurrentMeshObject().GetTriangleCount() == len(body.mesh.faces)
    np.testing.assert_allclose(read(path, path.name).vertices, body.mesh.vertices, atol=1e-4)
    ((stl, _),) = write_bodies(tmp_path / "table.stl", table()[None], PrintSettings(120))
    mesh = trimesh.load(stl)
    assert mesh.is_volume
    assert mesh.extents.max() == pytest.approx(120, abs=1e-3)
    with pytest.raises(UserError, match=r"\.glb holds no body to print"):
        write_bodies(tmp_path / "table.glb", table()[None], PrintSettings(120))


def test_a_3mf_keeps_its_unit():
    box = trimesh.creation.box()
    loaded = trimesh.load(io.BytesIO(threemf.encode(box, "meter")), file_type="3mf")
    assert loaded.units == "meter"
    assert loaded.to_mesh().volume == pytest.approx(1)


def test_the_options_of_the_command_line():
    import click

    @click.command()
    @printing_options
    def command(**given):
        click.echo(repr(print_settings(**given)))

    def run(*arguments):
        return CliRunner().invoke(command, arguments)

    asked = ["--printable", "--size", "12cm", "--hollow", "2", "--base", "--drop", "0.01", "--up", "y"]
    assert run(*asked).output.strip() == repr(PrintSettings(120.0, "y", 2.0, True, 0.01))
    assert run().output.strip() == "None"
    assert "'9ft' is not a length" in run("--printable", "--size", "9ft").output
    with pytest.raises(UserError, match="--size is an option of bodies to print: add --printable"):
        print_settings(False, size=120.0)
