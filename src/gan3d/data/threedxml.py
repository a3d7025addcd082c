"""3DXML by trimesh: all meshes of a scene, joined with the transforms of its nodes.

Only the members that hold geometry reach trimesh, checked and packed anew. trimesh logs a warning where it leaves a
part out: here that is a refusal, since half a shape is none.
"""

import io
import logging
import zipfile

import numpy as np

from gan3d.data.safe_xml import check_prolog, unzipped
from gan3d.data.unreadable import Unreadable

_GEOMETRY = (".xml", ".3dxml", ".3drep")


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def parse_3dxml(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of a 3DXML scene; materials and pictures are passed over.

    Raises:
        Unreadable: for parts that are no triangles.
        ValueError: for a broken file.
    """
    import trimesh

    members = unzipped(content, lambda name: name.endswith(_GEOMETRY) and not name.startswith("catmaterial"))
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        for name, member in members.items():
            check_prolog(member)
            archive.writestr(name, member)
    log, heard = logging.getLogger("trimesh"), _Warnings()
    log.addHandler(heard)
    propagate, log.propagate = log.propagate, False
    try:
        mesh = trimesh.load_scene(plain, file_type="3dxml", process=False).to_mesh()
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a part that it names is missing or of a wrong kind ({error})") from None
    finally:
        log.removeHandler(heard)
        log.propagate = propagate
    if heard.texts:
        advice = "Export it again, tessellated."
        raise Unreadable(f"A part of it cannot be read: {heard.texts[0][:120].rstrip('.')}.", advice)
    return mesh.vertices, mesh.faces
