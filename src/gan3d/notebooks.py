"""Notebooks by papermill: with parameters, into the folder of a model's outputs, and as an artifact of an MLflow run.

A notebook is kept as text, `notebooks/NN-name.py` (Jupytext, percent format), with the same as `.ipynb` beside it.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from gan3d.config.project import Project
from gan3d.errors import UserError
from gan3d.outputs import write_text

QUICK = "quick.yaml"  # beside the notebooks: the parameters of a quick run
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
EXTRA = "install `pip install -e '.[notebook]'`"


def names(folder: Path) -> list[str]:
    """The notebooks of a folder, in order."""
    return [path.stem for path in sorted(folder.glob("[0-9][0-9]-*.py"))]


def find(wanted: str, folder: Path) -> str:
    """A notebook by its number or name.

    Raises:
        UserError: if there is none.
    """
    found = [name for name in names(folder) if wanted in (name, name[:2], name[3:]) or wanted.zfill(2) == name[:2]]
    if not found:
        raise UserError(f"notebook {wanted!r} does not exist: choose one of {', '.join(names(folder)) or 'none'}.")
    return found[0]


def quick_parameters(name: str, folder: Path) -> dict[str, Any]:
    """Small values of a notebook's parameters, with which it takes seconds to a minute."""
    return (yaml.safe_load((folder / QUICK).read_text(encoding="utf-8")) or {}).get(name, {})


def as_notebook(text: str) -> str:
    """A notebook as text in the form of an .ipynb, without outputs; equal texts give equal bytes.

    Raises:
        UserError: if Jupytext is missing.
    """
    jupytext = _load("jupytext")
    notebook = jupytext.reads(text, fmt="py:percent")
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.setdefault("kernelspec", dict(KERNEL))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def synchronize(folder: Path) -> list[Path]:
    """Write each notebook's .ipynb anew from its text; returns those that changed."""
    changed = []
    for name in names(folder):
        path, text = folder / f"{name}.ipynb", as_notebook((folder / f"{name}.py").read_text(encoding="utf-8"))
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed.append(path)
    return changed


def run(name: str, folder: Path, out: Path, parameters: dict[str, Any], home: Path) -> Path:
    """Execute a notebook; returns the executed one, OUT/<name>.ipynb.

    Args:
        name: as `find` gives it.
        folder: of the notebooks.
        out: folder to write.
        parameters: by name, instead of those in the cell tagged `parameters`.
        home: the folder that it runs in.

    Raises:
        UserError: for an unknown parameter; if a cell fails, whose output is in the executed notebook.
    """
    papermill = _load("papermill")
    from papermill.exceptions import PapermillExecutionError

    source, target = out / f".{name}.ipynb", out / f"{name}.ipynb"
    write_text(source, as_notebook((folder / f"{name}.py").read_text(encoding="utf-8")))
    try:
        known = list(papermill.inspect_notebook(str(source)))
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            raise UserError(f"{unknown[0]} is not a parameter of {name}: choose from {', '.join(known)}.")
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a warning of the debugger in each kernel
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters,
            cwd=str(home),
            progress_bar=sys.stderr.isatty(),
            log_output=False,
        )
    except PapermillExecutionError as error:
        raise UserError(
            f"{name} failed in cell {error.exec_count} ({error.ename}: {error.evalue[:200]}): see {target}."
        ) from None
    finally:
        source.unlink(missing_ok=True)
    return target


def render(executed: Path) -> Path:
    """Write an executed notebook as a page beside it, which loads nothing; returns its path."""
    nbconvert = _load("nbconvert")
    exporter = nbconvert.HTMLExporter(exclude_anchor_links=True)
    for library in ("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url", "jupyter_widgets_base_url"):
        setattr(exporter, library, "")
    page, _ = exporter.from_filename(str(executed))
    page = re.sub(r"<script[^>]*>\s*</script>", "", page)
    page = re.sub(r"<script type=\"module\">.*?</script>", "", page, flags=re.DOTALL)  # Mermaid's
    path = executed.with_suffix(".html")
    write_text(path, "\n".join(line.rstrip() for line in page.splitlines()) + "\n")
    return path


def track(name: str, notebook: Path, parameters: dict[str, Any], model: str, project: Project) -> None:
    """Log an executed notebook to an MLflow run `<model> notebook <name>`."""
    from gan3d.tracking.provenance import provenance_tags
    from gan3d.tracking.run import TrackedRun
    from gan3d.tracking.store import connect_later

    tags = provenance_tags(project.work) | {"stage": "notebook", "name": model, "notebook": name}
    tracked = TrackedRun(connect_later(project.mlruns), project.mlruns, f"{model} notebook {name}", parameters, tags)
    tracked.outbox.put_files(notebook, "")
    tracked.end()


def _load(package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise UserError(f"notebooks need the package {error.name}: {EXTRA}.") from None
