"""Errors of the machine are one sentence, a defect of ours is one too, and no command shows a traceback."""

import errno
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException

from gan3d.cli import app
from gan3d.errors import UserError, explain


def wrapped(inner: Exception) -> Exception:
    """As a library would: an error whose cause is another one."""
    try:
        raise inner
    except Exception as error:
        try:
            raise RuntimeError("while doing something") from error
        except RuntimeError as outer:
            return outer


def database(message: str) -> sqlalchemy.exc.OperationalError:
    return sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError(message))


MACHINE = [
    (OSError(errno.ENOSPC, "No space left on device", "a/b"), r"a/b cannot be written because the disk is full: free"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), r"the disk is full: free"),
    (OSError(errno.EFBIG, "File too large"), r"the disk is full: free"),
    (PermissionError(errno.EACCES, "Permission denied", "mlruns"), r"mlruns cannot be used: get permission"),
    (OSError(errno.EROFS, "Read-only file system", "x"), r"x is on a file system that is read-only: name another"),
    (OSError(errno.EMFILE, "Too many open files"), r"too many files are open: raise the limit"),
    (OSError(errno.EIO, "Input/output error", "x"), r"x cannot be read or written since the disk reports an error"),
    (FileNotFoundError(errno.ENOENT, "No such file", "models/r16/x"), r"models/r16/x is missing: restore it"),
    (OSError(errno.ELOOP, "Too many levels", "loop"), r"loop is a symbolic link to itself: remove it"),
    (FileExistsError(errno.EEXIST, "File exists", "a"), r"a is a file where a folder is needed: move it"),
    (IsADirectoryError(errno.EISDIR, "Is a directory", "a"), r"a is a folder where a file is needed: name"),
    (OSError(errno.ENXIO, "No such device or address", "a"), r"a cannot be used \(No such device or address\): check"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), r"a server does not answer"),
    (MemoryError(), r"the memory is full: end other programs"),
    (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), r"the memory is full"),
    (sqlite3.OperationalError("database is locked"), r"is locked by another process: run this again"),
    (database("database is locked"), r"is locked by another process"),
    (database("database or disk is full"), r"the disk is full: free"),
    (database("attempt to write a readonly database"), r"cannot be written: get permission"),
    (database("unable to open database file"), r"cannot be opened: check"),
    (sqlite3.DatabaseError("database disk image is malformed"), r"is damaged: restore its file from a backup"),
    (sqlite3.DatabaseError("file is not a database"), r"is damaged"),
    (database("duplicate column name: storage_location"), r"has an incomplete schema"),
    (MlflowException("(sqlite3.OperationalError) database is locked [SQL: …]"), r"is locked by another process"),
]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("error", "words"), MACHINE)
def test_an_error_of_the_machine_is_one_sentence(error, words, deep):
    sentence = explain(wrapped(error) if deep else error)
    assert sentence is not None
    assert re.search(words, sentence)
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "error", [KeyError("x"), ValueError("database is locked"), TypeError(), OSError("x"), MlflowException("no run")]
)
def test_other_errors_are_not_taken_for_the_machine(error):
    assert explain(error) is None


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """A function that runs the command line with a command that raises; returns the exit code."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(error: BaseException) -> int:
        @click.command()
        def fail() -> None:
            raise error

        monkeypatch.setitem(app.cli.commands, "fail", fail)
        monkeypatch.setattr(sys, "argv", ["gan3d", "fail"])
        with pytest.raises(SystemExit) as ended:
            app.main()
        return ended.value.code

    return run


@pytest.mark.parametrize(("error", "words"), MACHINE)
def test_the_command_line_prints_it_and_no_traceback(failing, capsys, error, words):
    assert failing(error) == 1
    printed = capsys.readouterr().err
    assert re.match(f"error: .*{words}", printed)
    assert printed.count("\n") == 1


def test_a_name_with_control_characters_stays_on_one_line(failing, capsys):
    assert failing(UserError("a\nb\x1b[31m\udcff ü.off is damaged: export it again.")) == 1
    assert capsys.readouterr().err == r"error: a\nb\x1b[31m\udcff ü.off is damaged: export it again." + "\n"


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("mlflow", "pip install 'gan3d[train]'"),
        ("sklearn", "pip install 'gan3d[train]'"),
        ("distributed", "pip install 'gan3d[dask]'"),
        ("papermill", "pip install 'gan3d[notebook]'"),
        ("psycopg2", "pip install psycopg2"),
    ],
)
def test_a_missing_package_comes_with_its_command(failing, capsys, package, command):
    assert failing(ModuleNotFoundError(f"No module named {package!r}", name=package)) == 1
    assert capsys.readouterr().err == f"error: this needs the package {package}: {command}.\n"


def test_a_defect_names_the_file_of_its_traceback_without_passwords(failing, capsys, tmp_path):
    assert failing(KeyError("postgresql://me:secret@host/db")) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: this is a defect of gan3d (KeyError: ")
    assert printed.count("\n") == 1
    assert "secret" not in printed
    (path,) = tmp_path.glob("gan3d-*.txt")
    assert str(path) in printed
    content = path.read_text()
    assert "Traceback (most recent call last)" in content
    assert "secret" not in content


def test_a_defect_without_room_for_its_traceback(failing, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    assert failing(KeyError("x")) == 1
    assert "gan3d --debug" in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch):
    @click.command()
    def fail() -> None:
        raise UserError("no")

    monkeypatch.setitem(app.cli.commands, "fail", fail)
    monkeypatch.setattr(sys, "argv", ["gan3d", "--debug", "fail"])
    with pytest.raises(UserError):
        app.main()


def test_a_reader_that_ends_early_is_no_error():
    """As `gan3d … | head -1`."""
    read, write = os.pipe()
    os.close(read)
    code = "import sys; sys.argv = ['gan3d', '--help']; from gan3d.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == ""


def test_output_on_a_full_disk_is_one_sentence():
    code = "import sys; sys.argv = ['gan3d', '--help']; from gan3d.cli.app import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "disk is full" in done.stderr
