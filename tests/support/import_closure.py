"""What a module imports, directly and through others, read from the text of the package."""

import ast
from functools import cache
from pathlib import Path

import gan3d

ROOT = Path(gan3d.__file__).parent


def dotted(path: Path) -> str:
    """The module's name, as `gan3d.training.step`."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {dotted(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imports(module: str) -> frozenset[str]:
    """Full names of everything a module imports anywhere in its text, functions included."""
    path = FILES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            source = base if node.level else str(node.module)
            for alias in node.names:
                name = f"{source}.{alias.name}"
                found.add(name if name in FILES else source)
    return frozenset(found)


def within(module: str, names: tuple[str, ...]) -> bool:
    """Whether a module is one of these units of the package, or inside one."""
    return any(module == f"gan3d.{name}" or module.startswith(f"gan3d.{name}.") for name in names)


def closure(entries: tuple[str, ...], without: tuple[str, ...] = ()) -> set[str]:
    """The modules of this package that the entries need, themselves included; `without` is not followed."""
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if module in FILES and module not in found and not within(module, without):
            found.add(module)
            waiting += imports(module)
    return found
