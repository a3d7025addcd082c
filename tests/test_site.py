"""`make docs`: the site builds, has a page for each package, loads nothing from elsewhere; a broken link fails."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def build(root: Path, site: Path) -> str:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    assert build(REPOSITORY, folder) == ""
    return folder


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", REPOSITORY / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_module_is_in_the_reference(site, hooks):
    for package, modules in hooks.packages().items():
        page = (site / "reference" / f"{package}.html").read_text(encoding="utf-8")
        assert modules
        assert all(f'id="{module}"' in page for module in modules)


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    loaded = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    for page in site.rglob("*.html"):
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8"), style


@pytest.mark.slow
def test_the_readme_is_the_home_page(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    links = re.findall(r"<(?:a|img)\b[^>]*?\b(?:src|href)=\"([^\"#]+)", page)
    assert "files/params.yaml" in links
    assert [link for link in links if ":" not in link and not (site / link).exists()] == []


@pytest.mark.parametrize(
    ("url", "page", "expected"),
    [
        ("docs/data.md", "index.md", "data.md"),
        ("docs/data.md#sources", "index.md", "data.md#sources"),
        ("../README.md#results", "data.md", "index.md#results"),
        ("../params.yaml", "data.md", "files/params.yaml"),
        ("../README.md", "pretrained.md", "index.md"),
        ("src/gan3d/training", "index.md", "reference/training.md"),
        ("src/gan3d/__init__.py", "index.md", "reference/gan3d.md"),
        ("pretrained", "index.md", "pretrained.md"),
        ("images/study.png", "tuning.md", "images/study.png"),
        ("nowhere.md", "data.md", "nowhere.md"),
        ("https://example.org/a.md", "data.md", "https://example.org/a.md"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(hooks, url, page, expected):
    assert hooks.site_url(url, page) == expected


def test_links_in_code_stay(hooks):
    text = "[a](docs/data.md)\n```md\n[a](docs/data.md)\n```\n"
    assert hooks.rewrite(text, "index.md") == "[a](data.md)\n```md\n[a](docs/data.md)\n```\n"


@pytest.mark.slow
def test_broken_links_fail(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "src" / "gan3d").mkdir(parents=True)
    (tmp_path / "src" / "gan3d" / "__init__.py").write_text('"""Nothing."""\n')
    shutil.copy(REPOSITORY / "mkdocs.yml", tmp_path)
    shutil.copy(REPOSITORY / "docs" / "hooks.py", tmp_path / "docs")
    (tmp_path / "README.md").write_text("# Nothing\n", encoding="utf-8")
    assert build(tmp_path, tmp_path / "site") == ""
    links = '[a](docs/no.md) [b](#none) [c](no.yaml) ![d](docs/images/no.png) <img src="docs/images/none.png">'
    (tmp_path / "README.md").write_text(f"# Nothing\n\n{links}\n", encoding="utf-8")
    errors = build(tmp_path, tmp_path / "site")
    for named in ("docs/no.md", "#none", "no.yaml", "docs/images/no.png", "docs/images/none.png"):
        assert f"'{named}'" in errors
