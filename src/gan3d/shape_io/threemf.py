"""3MF: a mesh with its unit, as slicers read it (https://3mf.io/spec, core specification 1.3).

trimesh writes 3MF, too, but with random identifiers and the time of day in it, and always in millimetres: equal
requests have to give equal bytes here.
"""

import io
import zipfile
from typing import Literal

import numpy as np
import trimesh

Unit = Literal["millimeter", "meter"]

_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_CONTENT_TYPES = (
    _HEAD + '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
_RELATIONS = (
    _HEAD + '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Target="/3D/3dmodel.model" Id="rel0" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)


def encode(mesh: trimesh.Trimesh, unit: Unit) -> bytes:
    """A mesh as 3MF; equal meshes give equal bytes.

    Args:
        mesh: oriented outwards.
        unit: of its coordinates.
    """
    vertices = np.asarray(mesh.vertices, np.float32).astype(str).tolist()
    points = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in vertices)
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.faces.tolist())
    model = (
        f'{_HEAD}<model unit="{unit}" xml:lang="en-US" xmlns="{_CORE}"><metadata name="Application">gan3d</metadata>'
        f'<resources><object id="1" type="model"><mesh><vertices>{points}</vertices><triangles>{faces}</triangles>'
        '</mesh></object></resources><build><item objectid="1"/></build></model>'
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        parts = {"[Content_Types].xml": _CONTENT_TYPES, "_rels/.rels": _RELATIONS, "3D/3dmodel.model": model}
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # without the time of day
    return content.getvalue()
