"""What `make docs` adds to docs/: the README as home page, other pages of the repository, and the API reference.

Links in the sources point into the repository. Here they are rewritten for the site: a link to a page leads to that
page, a link to a module leads to its reference, and any other file is copied to files/.
"""

import ast
import re
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "gan3d"
LOG = get_plugin_logger("gan3d")
PAGES = {  # outside docs/: file of the repository -> page of the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "pretrained/README.md": "pretrained.md",
}
ORDER = [
    "library",
    "inversion",
    "data",
    "training",
    "evaluation",
    "experiments",
    "results",
    "recipes",
    "trials",
    "tuning",
    "printing",
    "serving",
]  # what users read first
FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<open>\]\(\s*<?)(?P<url>[^)\s>]+)|(?P<attribute>\b(?:src|href)=\")(?P<value>[^\"]+)")


def on_config(config: MkDocsConfig) -> None:
    """Order the pages (guides, reference, project), and name headings' anchors as GitHub does."""
    guides = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
    guides.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    project = [page for file, page in PAGES.items() if page != "index.md" and (ROOT / file).is_file()]
    reference = ["reference/index.md", *(f"reference/{package}.md" for package in packages())]
    config.nav = [
        {"Home": "index.md"},
        {"Guides": [f"{name}.md" for name in guides]},
        {"Reference": reference},
        {"Project": project},
    ]
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/, and the files that pages link to."""
    for file, page in PAGES.items():
        if (ROOT / file).is_file():
            files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    for page, text in reference_pages().items():
        files.append(File.generated(config, page, content=text))
    for name in sorted(linked_files(files)):
        files.append(File.generated(config, f"files/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of the repository as links of the site."""
    return rewrite(markdown, page.file.src_uri)


def rewrite(markdown: str, page: str) -> str:
    """Rewrite the links of a page, but not those in code blocks."""
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(lambda link: _rewritten(link, page), markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(lambda link: _rewritten(link, page), markdown[end:])])


def _rewritten(link: re.Match[str], page: str) -> str:
    if link["open"]:
        return link["open"] + site_url(link["url"], page)
    url = link["value"]  # MkDocs checks the links of Markdown alone
    path = url.partition("#")[0]
    if path and not re.match(r"[a-z]+:|/", path) and not (ROOT / repository_path(path, page)).is_file():
        LOG.warning("%s contains a link '%s', but there is no such file.", page, url)
    return link["attribute"] + site_url(url, page)


def site_url(url: str, page: str) -> str:
    """The address on the site of what a page of the repository links to; unchanged when there is none."""
    path, hash_sign, anchor = url.partition("#")
    if re.match(r"[a-z]+:|/", url) or not path or page.startswith("reference/"):
        return url
    target = repository_path(path, page)
    if target in PAGES:
        found = PAGES[target]
    elif target.startswith("docs/") and (ROOT / target).exists():
        found = target.removeprefix("docs/")
    elif (package := package_of(target)) is not None:
        found = f"reference/{package}.md"
    elif (ROOT / target / "README.md").is_file() and f"{target}/README.md" in PAGES:
        found = PAGES[f"{target}/README.md"]
    elif (ROOT / target).is_file():
        found = f"files/{target}"
    else:
        return url
    return relpath(found, Path(page).parent.as_posix()) + hash_sign + anchor


def repository_path(path: str, page: str) -> str:
    """A relative link of a page, as path from the repository's root."""
    sources = {site: file for file, site in PAGES.items()}
    folder = Path(sources.get(page, f"docs/{page}")).parent.as_posix()
    return normpath(f"{folder}/{path}")


def linked_files(files: Files) -> set[str]:
    """Files of the repository, other than pages, that pages link to."""
    found = set()
    for file in files.documentation_pages():
        for link in LINK.finditer(FENCE.sub("", file.content_string)):
            url = (link["url"] or link["value"]).partition("#")[0]
            if url and not re.match(r"[a-z]+:|/", url):
                target = repository_path(url, file.src_uri)
                if site_url(url, file.src_uri).endswith(f"files/{target}"):
                    found.add(target)
    return found


def packages() -> dict[str, list[str]]:
    """Modules of each page of the reference: those of a package together, those at the top on one page."""
    found: dict[str, list[str]] = {"gan3d": []}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] == "__main__" or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        package = parts[1] if (PACKAGE / parts[1]).is_dir() else "gan3d"
        module = ".".join(parts).removesuffix(".__init__")
        found.setdefault(package, []).append(module)
    return found


def package_of(path: str) -> str | None:
    """The page of the reference for a module or package, None for anything else."""
    parts = Path(path).parts
    if parts[:2] != ("src", "gan3d") or not (ROOT / path).exists() or path.endswith((".html", ".js", ".css")):
        return None
    return parts[2] if len(parts) > 2 and parts[2] in packages() else "gan3d"


def reference_pages() -> dict[str, str]:
    """The reference: an index and a page for each package."""
    pages = {}
    lines = ["# API reference", "", "| package | purpose |", "|---|---|"]
    for package, modules in packages().items():
        name = "gan3d" if package == "gan3d" else f"gan3d.{package}"
        lines.append(f"| [`{name}`]({package}.md) | {summary(name)} |")
        pages[f"reference/{package}.md"] = f"# {name}\n\n" + "\n\n".join(f"::: {module}" for module in modules) + "\n"
    return {"reference/index.md": "\n".join(lines) + "\n", **pages}


def summary(module: str) -> str:
    """The first line of a package's docstring."""
    source = (PACKAGE.parent / module.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0].replace("|", "\\|")
