"""3DXML, read by trimesh: all meshes of a scene, placed by its nodes.

Only members that hold geometry reach trimesh, checked and packed again. trimesh logs a warning for a part that it
leaves out; here the file is rejected, since half a shape is worse than none.
"""

import io
import logging
import zipfile

import numpy as np

from gan3d.data.formats.safe_xml import check_prolog, unzip
from gan3d.data.formats.unreadable import UnreadableFile

_GEOMETRY = (".xml", ".3dxml", ".3drep")


class _WarningCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def parse_3dxml(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Parse a 3DXML file, with all meshes of the scene merged; materials and images are ignored.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        UnreadableFile: if a part is not made of triangles.
        ValueError: if the file is broken.
    """
    import trimesh

    members = unzip(content, lambda name: name.endswith(_GEOMETRY) and not name.startswith("catmaterial"))
    checked = io.BytesIO()
    with zipfile.ZipFile(checked, "w") as archive:
        for name, member in members.items():
            check_prolog(member)
            archive.writestr(name, member)
    log, warnings = logging.getLogger("trimesh"), _WarningCollector()
    log.addHandler(warnings)
    propagate, log.propagate = log.propagate, False
    try:
        mesh = trimesh.load_scene(checked, file_type="3dxml", process=False).to_mesh()
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a part that it refers to is missing or of the wrong type ({error})") from None
    finally:
        log.removeHandler(warnings)
        log.propagate = propagate
    if warnings.messages:
        reason = f"Part of it cannot be read: {warnings.messages[0][:120].rstrip('.')}."
        raise UnreadableFile(reason, "Export it again, tessellated.")
    return mesh.vertices, mesh.faces
