"""A file appears whole or not at all."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gamesales.data.files import replacing
from gamesales.errors import TryAgainError, UsageError

# Announces that it is in the middle of a write, and waits there.
STUCK_WRITER = """
import sys, time
from pathlib import Path
from gamesales.data.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def old(tmp_path):
    """A file that a writer is about to replace."""
    path = tmp_path / "titles.csv"
    path.write_text("old")
    return path


def stop_while_writing(path, number):
    """Start a writer in a process of its own, stop it halfway with a signal, and return how it ended."""
    command = [sys.executable, "-c", STUCK_WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "writing\n"
        time.sleep(0.05)
        writer.send_signal(number)
        writer.communicate(timeout=30)
    return writer.returncode


def replace_with(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_half(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def open_to_replace(path):
    with replacing(path):
        pytest.fail("the body ran")


def test_the_new_content_takes_the_place_of_the_old(old):
    replace_with(old, "new")
    assert old.read_text() == "new"
    assert list(old.parent.iterdir()) == [old]


def test_until_the_end_a_reader_sees_the_old_content(old):
    with replacing(old) as temporary:
        temporary.write_text("new")
        assert old.read_text() == "old"
        assert temporary.parent == old.parent


def test_a_temporary_file_is_hidden_and_its_name_cannot_be_guessed(old):
    with replacing(old) as first, replacing(old) as second:
        assert first != second
        assert first.name.startswith(".gamesales-")
        assert first.suffix == ".tmp"


@pytest.mark.parametrize(
    "error", [RuntimeError(), KeyboardInterrupt(), SystemExit(), PermissionError(errno.EACCES, "an input")]
)
def test_a_failed_write_leaves_nothing_behind(old, error):
    """What the body raises comes out as it is: an input it may not read is no fault of the output."""
    with pytest.raises(type(error)):
        write_half(old, error)
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


def test_an_interrupted_process_leaves_nothing_behind(old):
    assert stop_while_writing(old, signal.SIGINT) == -signal.SIGINT
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


def test_a_killed_process_leaves_the_old_file_and_a_hidden_one(old):
    """Nobody can tidy up after SIGKILL; what stays behind can't be taken for a table."""
    assert stop_while_writing(old, signal.SIGKILL) == -signal.SIGKILL
    assert old.read_text() == "old"
    (left,) = set(old.parent.iterdir()) - {old}
    assert left.name.startswith(".gamesales-")
    assert left.suffix == ".tmp"


def test_the_bytes_reach_the_disk_before_the_name_does(old, monkeypatch):
    steps = []
    sync, move = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append(kind(descriptor)), sync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda *paths: (steps.append("move"), move(*paths)))

    def kind(descriptor):
        return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"

    replace_with(old, "new")
    assert steps == ["file", "move", "folder"]


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_gets_the_rights_that_open_would_give_it(tmp_path, umask, rights):
    path = tmp_path / "titles.csv"
    before = os.umask(umask)
    try:
        replace_with(path, "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == rights


def test_a_link_stays_a_link_and_its_file_is_replaced(old, tmp_path):
    link = tmp_path / "latest.csv"
    link.symlink_to(old.name)
    replace_with(link, "new")
    assert link.is_symlink()
    assert old.read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_reason_to_try_again(old, number):
    with pytest.raises(TryAgainError, match=f"can't write .*titles.csv: {os.strerror(number)}") as caught:
        write_half(old, OSError(number, os.strerror(number)))
    assert "df -h" in caught.value.hint
    assert list(old.parent.iterdir()) == [old]


def test_a_disk_that_refuses_the_file_is_a_reason_to_try_again(old, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(TryAgainError, match=r"titles\.csv: Permission denied; nothing was changed"):
        open_to_replace(old)


def test_a_move_that_may_not_last_is_told_as_such(old, monkeypatch):
    """A folder that fails to sync holds the new file all the same."""

    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(TryAgainError, match="it is written, but a power cut may undo that"):
        replace_with(old, "new")
    assert old.read_text() == "new"
    assert list(old.parent.iterdir()) == [old]


def test_a_missing_folder_is_named_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(UsageError, match=f"no folder {tmp_path}/new to write titles.csv in") as caught:
        open_to_replace(tmp_path / "new" / "titles.csv")
    assert caught.value.hint == f"mkdir -p '{tmp_path}/new'"


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(UsageError, match="expected the path of a file, received a folder"):
        open_to_replace(tmp_path)


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    """Nor is /dev/null, which root could otherwise rename over."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="received a device or a pipe"):
        open_to_replace(tmp_path / "pipe.csv")
