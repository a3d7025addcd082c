"""Builders of 3DXML and zip files for tests of the readers."""

import io
import zipfile

import numpy as np
import trimesh

BOX = trimesh.creation.box((1, 2, 3))


def zipped(members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def numbers(array: np.ndarray) -> str:
    return " ".join(map(str, np.asarray(array).ravel().tolist()))


def threedxml(encoding: str = "TESSELLATED", matrix: str = "0 1 0 -1 0 0 0 0 1 5 0 0") -> bytes:
    """A 3DXML file with BOX in an assembly, placed by a column-major matrix and a translation."""
    faces = " ".join(map(str, BOX.faces.ravel()))
    rep = f"""<XMLRepresentation xmlns="x"><Root><Rep><Faces><Face triangles="{faces}"/></Faces>
<VertexBuffer><Positions>{numbers(BOX.vertices)}</Positions><Normals>{numbers(BOX.vertices)}</Normals></VertexBuffer>
</Rep></Root></XMLRepresentation>"""
    tree = f"""<Model_3dxml xmlns="x"><ProductStructure root="1">
<Reference3D id="1" name="all"/><Reference3D id="2" name="part"/>
<Instance3D id="3" name="one"><IsAggregatedBy>1</IsAggregatedBy><IsInstanceOf>2</IsInstanceOf>
<RelativeMatrix>{matrix}</RelativeMatrix></Instance3D>
<ReferenceRep id="4" name="rep" format="{encoding}" associatedFile="urn:3DXML:a.3DRep"/>
<InstanceRep id="5" name="r"><IsAggregatedBy>2</IsAggregatedBy><IsInstanceOf>4</IsInstanceOf></InstanceRep>
</ProductStructure></Model_3dxml>"""
    manifest = '<Manifest xmlns="x"><Root>a.3dxml</Root></Manifest>'
    materials = '<broken xmlns="x"><MaterialDomain id="9" associatedFile="urn:3DXML:gone"/></broken>'
    return zipped(
        {"Manifest.xml": manifest, "a.3dxml": tree, "a.3DRep": rep, "CATMaterialRef.3dxml": materials, "b.jpg": b"\xff"}
    )
