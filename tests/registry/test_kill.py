"""A process is killed at every system call that touches a registry; and the order of its syncs."""

import shutil
import sys
from pathlib import Path

import pytest

from support import operations
from support.operations import OPERATIONS, open_registry
from support.sampling import IS_EXHAUSTIVE
from support.tracing import needs_strace, sample_kills, touching, traced
from support.versions import ROOT

pytestmark = [pytest.mark.slow, needs_strace, pytest.mark.parametrize("name", OPERATIONS)]
MAKING = {"mkdir", "mkdirat"}
NAMING = {"link", "linkat", "rename", "renameat", "renameat2"} | MAKING
SCRIPT = str(ROOT / "tests/support/operations.py")


@pytest.fixture
def before(tmp_path, name):
    """The folder of a registry before the operation."""
    OPERATIONS[name].before(open_registry(tmp_path / "before"))
    return tmp_path / "before"


def copy_registry(before, folder):
    """Replace a registry with a copy of another, which may not exist."""
    shutil.rmtree(folder, ignore_errors=True)
    if before.exists():
        shutil.copytree(before, folder)
    return folder


def run_traced(name, root, kill=None):
    """Run an operation in a process; return the process and the calls of all its threads."""
    return traced([sys.executable, "-B", SCRIPT, name, str(root)], root.with_name("trace"), kill)


def read_contents(root):
    return operations.read_contents(open_registry(root))


def repeat(name, root):
    """Run an operation in this process; return the contents of the registry after it."""
    OPERATIONS[name].change(open_registry(root))
    return read_contents(root)


def test_killed_operation_is_atomic(name, before, tmp_path):
    """A kill just before any call leaves the old or the new state, and the next try needs no repair."""
    root = copy_registry(before, tmp_path / "registry")
    old = read_contents(root)
    ran, calls = run_traced(name, root)
    assert (0, "done\n") == (ran.returncode, ran.stdout), ran.stderr
    new = read_contents(root)
    assert old != new
    twice = repeat(name, root)

    kills = touching(calls, root)
    assert len(kills) > 60
    results = []
    for kill in sample_kills(f"calls of {name}", kills, lambda call: call.name in NAMING - MAKING, 4):
        copy_registry(before, root)
        ran, calls = run_traced(name, root, kill)
        assert (-9, "") == (ran.returncode, ran.stdout), f"{kill}: {ran.stderr}"
        assert (kill.name, kill.number) == (calls[-1].name, calls[-1].number)
        assert touching(calls[-1:], root), f"{calls[-1]} was hit in place of {kill}"
        results.append(read_contents(root))
        assert results[-1] in (old, new), kill
        assert (new if results[-1] == old else twice) == repeat(name, root), kill
    assert sorted(results, key=[old, new].index) == results, "a later kill never leaves less"
    assert old in results or not IS_EXHAUSTIVE
    assert new in results or not IS_EXHAUSTIVE


def list_synced(calls):
    """List the paths that the calls synced."""
    return {call.opened for call in calls if call.name in {"fsync", "fdatasync"} and call.done}


def test_file_is_synced_before_link(name, before, tmp_path):
    """A file is written, synced and not written again before it is linked to its name."""
    root = copy_registry(before, tmp_path / "registry")
    calls = touching(run_traced(name, root)[1], root)
    links = [position for position, path in list_names(calls) if calls[position].name not in MAKING]
    assert links
    for link in links:
        source = calls[link].paths[0]
        last = max(at for at, call in enumerate(calls) if call.name == "write" and call.opened == source)
        assert source in list_synced(calls[last:link]), calls[link]


def list_names(calls):
    """List the position and path of every permanent name that the calls made."""
    naming = [(position, call) for position, call in enumerate(calls) if call.name in NAMING and call.done]
    paths = [(position, Path(call.paths[-1])) for position, call in naming]
    return [(position, path) for position, path in paths if not path.name.startswith(".tmp-")]


def find_event(calls):
    """Find the call that named the operation's one event; return its position and the path."""
    (event,) = [(position, path) for position, path in list_names(calls) if path.parent.name == "log"]
    return event


def test_name_is_synced_before_event(name, before, tmp_path):
    """The folder of every new name is synced before the event that refers to it."""
    root = copy_registry(before, tmp_path / "registry")
    calls = touching(run_traced(name, root)[1], tmp_path)
    event, _ = find_event(calls)
    for position, path in list_names(calls[:event]):
        assert str(path.parent) in list_synced(calls[position:event]), f"{path} might be lost, and the event not"


def test_success_is_printed_after_sync(name, before, tmp_path):
    """Success is printed only after the log's folder is synced."""
    root = copy_registry(before, tmp_path / "registry")
    calls = run_traced(name, root)[1]
    event, path = find_event(calls)
    (written,) = [
        position for position, call in enumerate(calls) if call.name == "write" and call.text.startswith("1<")
    ]
    assert str(path.parent) in list_synced(calls[event:written])
