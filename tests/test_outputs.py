"""Outputs are whole or not there, leave what they link to alone, and fail in one sentence."""

import errno
import os

import numpy as np
import pytest

from gan3d.errors import UserError
from gan3d.outputs import copy_file, new_file, new_folder, remove_others, write_bytes, write_text


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_linked_file_is_replaced_and_what_it_links_to_stays(tmp_path, link):
    """As in a DVC cache with links."""
    cached, out = tmp_path / "cache", tmp_path / "out.txt"
    cached.write_text("old")
    link(cached, out)
    write_text(out, "new")
    assert out.read_text() == "new"
    assert cached.read_text() == "old"
    assert not out.is_symlink()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    out = tmp_path / "out.npz"
    np.savez(out, a=np.arange(3))
    before = out.read_bytes()

    def write() -> None:
        with new_file(out) as temporary:
            assert temporary.suffix == ".npz"  # which NumPy would append
            temporary.write_bytes(b"half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write()
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "get permission"),
        (errno.EROFS, "get permission"),
        (errno.EIO, "check"),
    ],
)
def test_errors_of_the_machine_are_one_sentence(tmp_path, number, words):
    out = tmp_path / "out.txt"

    def write() -> None:
        with new_file(out) as temporary:
            temporary.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match=words) as caught:
        write()
    assert str(out) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_real_full_disk(tmp_path):
    def write() -> None:
        with new_file(tmp_path / "x") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"x" * 10000)

    with pytest.raises(UserError, match="disk is full"):
        write()
    assert not list(tmp_path.iterdir())


def test_wrong_places_are_one_sentence(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a folder"):
        write_bytes(tmp_path / "folder", b"")
    with pytest.raises(UserError, match="is not a folder"):
        write_bytes(tmp_path / "file" / "x", b"")
    with pytest.raises(UserError, match="too long"):
        write_bytes(tmp_path / ("x" * 300), b"")
    with pytest.raises(UserError, match="is a file"), new_folder(tmp_path / "file"):
        pass


def test_missing_folders_are_made(tmp_path):
    copy_file(__file__, tmp_path / "a" / "b" / "copy.py")
    assert (tmp_path / "a" / "b" / "copy.py").is_file()


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    out = tmp_path / "out"
    with new_folder(out) as temporary:
        (temporary / "first").write_text("1")

    def fail() -> None:
        with new_folder(out) as temporary:
            (temporary / "second").write_text("2")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(UserError, match="disk is full"):
        fail()
    assert [path.name for path in out.iterdir()] == ["first"]
    with new_folder(out) as temporary:
        (temporary / "second").write_text("2")
    assert [path.name for path in out.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_killed_process_left_is_swept(tmp_path):
    """Not what another one may be writing, nor a person's files."""
    old, young, mine = (tmp_path / name for name in (".0123abcd.out.txt", ".4567abcd.out.txt", ".notes.out.txt"))
    folder = tmp_path / ".89abcdef.model"
    folder.mkdir()
    for path in (old, young, mine, folder / "half"):
        path.write_text("half")
    for path in (old, mine, folder):
        os.utime(path, (0, 0))
    write_text(tmp_path / "out.txt", "whole")
    with new_folder(tmp_path / "model") as temporary:
        (temporary / "a").write_text("1")
    assert not old.exists()
    assert not folder.exists()
    assert young.exists()
    assert mine.exists()


def test_other_files_of_a_folder_are_removed_but_not_what_they_link_to(tmp_path):
    kept, cached, folder = tmp_path / "kept.png", tmp_path / "cached", tmp_path / "pictures"
    folder.mkdir()
    for path in (kept, cached, folder / "r04.png", folder / ".0123abcd.r04.png"):
        path.write_text("x")
    (folder / "r64.png").symlink_to(cached)
    remove_others(folder, ["r04.png"])
    assert [path.name for path in folder.iterdir()] == ["r04.png"]
    assert cached.exists()
