"""Files on disk: atomic writes and background hashing."""

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data import files
from gamesales.data.files import hash_in_background, make_folder, replace_file
from gamesales.errors import TryAgainError, UsageError, collect_warnings

# Announces that it is in the middle of a write, and waits.
STUCK_WRITER = """
import sys, time
from pathlib import Path
from gamesales.data.files import replace_file
with replace_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def old(tmp_path):
    """A file that the test replaces."""
    path = tmp_path / "titles.csv"
    path.write_text("old")
    return path


def stop_while_writing(path, number):
    """Start a writer in a process of its own, stop it halfway by a signal, and return its exit code."""
    command = [sys.executable, "-c", STUCK_WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "writing\n"
        time.sleep(0.05)
        writer.send_signal(number)
        writer.communicate(timeout=30)
    return writer.returncode


def replace_with(path, text):
    with replace_file(path) as temporary:
        temporary.write_text(text)


def write_half(path, error):
    with replace_file(path) as temporary:
        temporary.write_text("half")
        raise error


def open_to_replace(path):
    with replace_file(path):
        pytest.fail("the body ran")


def test_replace_file_writes_content(old):
    """The file has the new content, and no other file is left."""
    replace_with(old, "new")
    assert old.read_text() == "new"
    assert list(old.parent.iterdir()) == [old]


def test_old_content_until_body_ends(old):
    """A reader sees the old content until the body ends."""
    with replace_file(old) as temporary:
        temporary.write_text("new")
        assert old.read_text() == "old"
        assert temporary.parent == old.parent


def test_temporary_names_are_hidden(old):
    """Temporary files are hidden and have distinct random names."""
    with replace_file(old) as first, replace_file(old) as second:
        assert first != second
        assert first.name.startswith(".gamesales-")
        assert first.suffix == ".tmp"


@pytest.mark.parametrize(
    "error", [RuntimeError(), KeyboardInterrupt(), SystemExit(), PermissionError(errno.EACCES, "an input")]
)
def test_failed_write_leaves_old_file(old, error):
    """A failed body leaves the old file, and its error is not translated."""
    with pytest.raises(type(error)):
        write_half(old, error)
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


def test_interrupted_process_leaves_old_file(old):
    """Ctrl-C leaves the old file and no temporary file."""
    assert stop_while_writing(old, signal.SIGINT) == -signal.SIGINT
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


def test_killed_process_leaves_old_file(old):
    """SIGKILL leaves the old file and a temporary file that is not taken for a table."""
    assert stop_while_writing(old, signal.SIGKILL) == -signal.SIGKILL
    assert old.read_text() == "old"
    (left,) = set(old.parent.iterdir()) - {old}
    assert left.name.startswith(".gamesales-")
    assert left.suffix == ".tmp"


def test_content_is_synced_before_name(old, monkeypatch):
    """The content is forced to disk before the rename, and the folder after it."""
    steps = []
    sync, move = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append(kind(descriptor)), sync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda *paths: (steps.append("move"), move(*paths)))

    def kind(descriptor):
        return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"

    replace_with(old, "new")
    assert steps == ["file", "move", "folder"]


@pytest.mark.parametrize(("umask", "permissions"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_permissions_follow_umask(tmp_path, umask, permissions):
    """The file has the permissions that a plain open would give it."""
    path = tmp_path / "titles.csv"
    before = os.umask(umask)
    try:
        replace_with(path, "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == permissions


def test_link_stays_a_link(old, tmp_path):
    """The target of a symbolic link is replaced, and the link is kept."""
    link = tmp_path / "latest.csv"
    link.symlink_to(old.name)
    replace_with(link, "new")
    assert link.is_symlink()
    assert old.read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_can_be_retried(old, number):
    """A full disk is reported with the path, and nothing is left behind."""
    with pytest.raises(TryAgainError, match=f"can't write .*titles.csv: {os.strerror(number)}") as caught:
        write_half(old, OSError(number, os.strerror(number)))
    assert "df -h" in caught.value.hint
    assert list(old.parent.iterdir()) == [old]


def test_denied_access_can_be_retried(old, monkeypatch):
    """Denied access is reported with the path."""

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(TryAgainError, match=r"titles\.csv: Permission denied; nothing was changed"):
        open_to_replace(old)


def test_failed_folder_sync_is_reported(old, monkeypatch):
    """If the folder cannot be synced, the new file is in place and the message says so."""

    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(TryAgainError, match="the file is written, but a power cut may undo that"):
        replace_with(old, "new")
    assert old.read_text() == "new"
    assert list(old.parent.iterdir()) == [old]


def refuse_sync(number, refused):
    """An ``os.fsync`` that fails for folders, or for plain files."""
    sync = os.fsync

    def fail_or_sync(descriptor):
        if refused(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    return fail_or_sync


NO_FOLDER_SYNC = [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS]


@pytest.mark.parametrize("number", NO_FOLDER_SYNC)
def test_missing_folder_sync_warns_once(old, monkeypatch, number):
    """A file system that can't sync a folder is reported once in a process; files are written as usual."""
    files._warn_about_folder_sync.cache_clear()
    monkeypatch.setattr(os, "fsync", refuse_sync(number, stat.S_ISDIR))
    with collect_warnings() as messages:
        for text in ("new", "newer"):
            replace_with(old, text)
            assert old.read_text() == text
        make_folder(old.parent / "a/b")
    (message,) = messages
    assert f"can't force the names in a folder to disk ({os.strerror(number)})" in message


@pytest.mark.parametrize("number", [*NO_FOLDER_SYNC, errno.EIO])
def test_missing_file_sync_fails(old, monkeypatch, number):
    """A file that can't be forced to disk is never tolerated."""
    monkeypatch.setattr(os, "fsync", refuse_sync(number, stat.S_ISREG))
    with pytest.raises(OSError, match=os.strerror(number)):
        replace_with(old, "new")
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


def test_missing_folder_is_named(tmp_path):
    """The error names the missing folder, and the hint creates it."""
    with pytest.raises(UsageError, match=f"can't write titles.csv: there is no folder {tmp_path}/new") as caught:
        open_to_replace(tmp_path / "new" / "titles.csv")
    assert caught.value.hint == f"mkdir -p '{tmp_path}/new'"


def test_folder_is_not_replaced(tmp_path):
    """A folder is refused as the path of a file."""
    with pytest.raises(UsageError, match="expected the path of a file, received a folder"):
        open_to_replace(tmp_path)


def test_pipe_is_not_replaced(tmp_path):
    """Pipes and devices are refused: root could otherwise rename over /dev/null."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="received a device or a pipe"):
        open_to_replace(tmp_path / "pipe.csv")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5_000), max_size=6), st.integers(1, 2_000))
def test_hashes_match_hashlib(tmp_path_factory, sizes, chunk_bytes):
    """Files of any size have the digests that hashlib computes."""
    folder = tmp_path_factory.mktemp("files")
    contents = [bytes([index]) * size for index, size in enumerate(sizes)]
    paths = [folder / str(index) for index in range(len(sizes))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_HASH_CHUNK_BYTES", chunk_bytes)
        with hash_in_background(paths) as get_digest:
            digests = [get_digest(index) for index in range(len(paths))]
    assert digests == [hashlib.sha256(content).hexdigest() for content in contents]


def test_missing_file_fails_its_own_hash(tmp_path):
    """The error of a missing file is raised by the request for its digest, and other files are hashed."""
    (tmp_path / "there").write_bytes(b"x")
    with hash_in_background([tmp_path / "there", tmp_path / "gone"]) as get_digest:
        with pytest.raises(FileNotFoundError, match="gone"):
            get_digest(1)
        assert hashlib.sha256(b"x").hexdigest() == get_digest(0)


def test_failed_body_stops_hashing(tmp_path):
    """A failed body does not wait for huge files, which would take an hour to hash."""
    paths = [tmp_path / str(number) for number in range(8)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    with pytest.raises(KeyboardInterrupt), hash_in_background(paths):
        raise KeyboardInterrupt
