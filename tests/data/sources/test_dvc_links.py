"""DVC may link a source's files into its cache, wherever that is; other links that lead out are refused."""

import os

import pytest

from gan3d.data.sources.archives import list_files


def linked(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("v 0 0 0\n")
    source.mkdir(parents=True, exist_ok=True)
    (source / "chair.obj").symlink_to(target)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A DVC repository without global settings."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("file", ["config", "config.local"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_cache_elsewhere_is_known_from_the_configuration(project, tmp_path, file, relative):
    place = tmp_path / "shared store"
    written = os.path.relpath(place, project / ".dvc") if relative else place
    (project / ".dvc" / file).write_text(f"[cache]\n    dir = {written}\n    type = symlink\n")
    linked(project / "shapes", place / "files" / "md5" / "ab" / "cdef")
    good, rejects = list_files(project / "shapes")
    assert ([name for name, *_ in good], rejects) == (["chair.obj"], [])


def test_the_default_cache_is_known(project):
    linked(project / "shapes", project / ".dvc" / "cache" / "files" / "md5" / "ab" / "cdef")
    good, rejects = list_files(project / "shapes")
    assert ([name for name, *_ in good], rejects) == (["chair.obj"], [])


def test_a_source_of_another_project_has_that_projects_cache(project, tmp_path):
    other = tmp_path / "other"
    (other / ".dvc").mkdir(parents=True)
    linked(other / "shapes", other / ".dvc" / "cache" / "files" / "md5" / "ab" / "cdef")
    good, rejects = list_files(other / "shapes")
    assert ([name for name, *_ in good], rejects) == (["chair.obj"], [])


def test_links_to_other_places_are_refused(project, tmp_path):
    for place in (tmp_path / "secret", tmp_path / "x" / ".dvc" / "secret", project / ".dvc" / "tmp" / "x"):
        source = project / f"shapes-{place.name}-{place.parent.name}"
        linked(source, place)
        good, rejects = list_files(source)
        assert good == []
        assert "symbolic link" in rejects[0][1]


@pytest.mark.parametrize("text", ["[cache", "[cache]\n    nonsense = 1\n"])
def test_a_broken_configuration_is_not_our_concern(project, text):
    """DVC says so itself; the default cache is taken."""
    (project / ".dvc" / "config").write_text(text)
    linked(project / "shapes", project / ".dvc" / "cache" / "ab")
    good, _ = list_files(project / "shapes")
    assert len(good) == 1
