"""The JavaScript of pages: modules in `scripts/`, joined into one so that a page loads nothing."""

import re
from functools import cache
from pathlib import Path

from markupsafe import Markup

FOLDER = Path(__file__).parent / "scripts"
_IMPORT = re.compile(r'^import \{[^}]*\} from "(?P<path>[^"]+)";\n', re.MULTILINE)


@cache
def bundle(name: str) -> Markup:
    """A module and what it imports, as one script for an inline `<script type="module">`.

    All modules share one scope: a name may be declared in only one of them. They import by name, as in
    `import { unpack } from "./voxels.js";`, and export declarations.

    Args:
        name: of the module in `scripts/`, without its extension.
    """
    parts: dict[Path, str] = {}

    def add(path: Path) -> None:
        if path in parts:
            return
        text = path.read_text(encoding="utf-8")
        parts[path] = ""  # being read
        for found in _IMPORT.finditer(text):
            add((path.parent / found["path"]).resolve())
        del parts[path]  # behind what it imports
        parts[path] = re.sub(r"^export ", "", _IMPORT.sub("", text), flags=re.MULTILINE)

    add((FOLDER / f"{name}.js").resolve())
    script = "\n".join(parts.values())
    if "</script" in script or "<!--" in script:
        raise ValueError(f"{name}.js holds what would end the script")
    return Markup(script)
