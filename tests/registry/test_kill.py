"""A process that works on a registry, killed at every system call that touches it; and in which order it syncs."""

import shutil
import sys
from pathlib import Path

import pytest

from support.operations import OPERATIONS, open_registry
from support.tracing import needs_strace, touching, traced
from support.versions import ROOT

pytestmark = [pytest.mark.slow, needs_strace, pytest.mark.parametrize("name", OPERATIONS)]
MAKING = {"mkdir", "mkdirat"}
NAMING = {"link", "linkat", "rename", "renameat", "renameat2"} | MAKING
SCRIPT = str(ROOT / "tests/support/operations.py")


@pytest.fixture
def before(tmp_path, name):
    """The folder of a registry as it is before the operation."""
    OPERATIONS[name].before(open_registry(tmp_path / "before"))
    return tmp_path / "before"


def copied(before, folder):
    """Copy a registry, which may not be there yet, in place of the one that is."""
    shutil.rmtree(folder, ignore_errors=True)
    if before.exists():
        shutil.copytree(before, folder)
    return folder


def run_traced(name, root, kill=None):
    """Let a process do an operation; return what ran, and the calls of all its threads."""
    return traced([sys.executable, "-B", SCRIPT, name, str(root)], root.with_name("trace"), kill)


def told(root):
    """Tell all that a registry holds, but for times and what hangs on them; every byte of it is checked."""
    registry = open_registry(root)
    events = registry.events()
    if not events:
        return [], {}
    registry.verify()
    assert list(range(1, len(events) + 1)) == [event.sequence for event in events]
    versions = registry.state().versions
    assert list(range(1, len(versions) + 1)) == list(versions)
    bundles = {number: registry.bundle(version) for number, version in versions.items()}
    files = {number: {name: bundle.read(name) for name in bundle.files} for number, bundle in bundles.items()}
    return [(event.kind, event.reason, {**event.body, "folder": None}) for event in events], files


def done_again(name, root):
    """Do an operation in this process; return what the registry holds then."""
    OPERATIONS[name].change(open_registry(root))
    return told(root)


def test_killed_at_any_call_the_old_or_the_new_state_stands_and_the_next_try_needs_no_repair(name, before, tmp_path):
    """Each kill comes just before a call, so that all before it have happened and neither it nor any later one has."""
    root = copied(before, tmp_path / "registry")
    old = told(root)
    ran, calls = run_traced(name, root)
    assert (0, "done\n") == (ran.returncode, ran.stdout), ran.stderr
    new = told(root)
    assert OPERATIONS[name].is_told == (old != new)
    twice = done_again(name, root)

    places = touching(calls, root)
    assert len(places) > 60
    found = []
    for place in places:
        copied(before, root)
        ran, calls = run_traced(name, root, place)
        assert (-9, "") == (ran.returncode, ran.stdout), f"{place}: {ran.stderr}"
        assert (place.name, place.number) == (calls[-1].name, calls[-1].number)
        assert touching(calls[-1:], root), f"{calls[-1]} was hit in place of {place}"
        found.append(told(root))
        assert found[-1] in (old, new), place
        assert (new if found[-1] == old else twice) == done_again(name, root), place
    assert sorted(found, key=[old, new].index) == found, "a later kill never leaves less"
    assert old in found
    assert new in found


def synced(calls):
    """Return the paths that the calls synced."""
    return {call.opened for call in calls if call.name in {"fsync", "fdatasync"} and call.done}


def test_every_file_is_on_the_disk_before_it_is_named(name, before, tmp_path):
    """Written, synced, and not written any more; then linked to its name."""
    root = copied(before, tmp_path / "registry")
    calls = touching(run_traced(name, root)[1], root)
    links = [place for place, call in enumerate(calls) if call.name in NAMING - MAKING]
    assert links
    for place in links:
        source = calls[place].paths[0]
        last = max(at for at, call in enumerate(calls) if call.name == "write" and call.opened == source)
        assert source in synced(calls[last:place]), calls[place]


def named(calls):
    """Return the place and the path of every name that the calls gave and that is meant to last."""
    given = [(place, call) for place, call in enumerate(calls) if call.name in NAMING and call.done]
    paths = [(place, Path(call.paths[-1])) for place, call in given]
    return [(place, path) for place, path in paths if not path.name.startswith(".tmp-")]


def event_in(calls):
    """Return the place at which the operation's one event got its name, and its path."""
    (event,) = [(place, path) for place, path in named(calls) if path.parent.name == "log"]
    return event


def test_every_name_is_on_the_disk_before_the_event_that_leads_to_it(name, before, tmp_path):
    """Of the files and folders that are new: the folder that holds the name is synced after it was given."""
    root = copied(before, tmp_path / "registry")
    calls = touching(run_traced(name, root)[1], tmp_path)
    event, _ = event_in(calls)
    for place, path in named(calls[:event]):
        assert str(path.parent) in synced(calls[place:event]), f"{path} might be lost, and the event not"


def test_success_is_told_when_it_outlasts_a_power_cut(name, before, tmp_path):
    """The log's folder is synced after the event got its name, and only then is anything written to the terminal."""
    root = copied(before, tmp_path / "registry")
    calls = run_traced(name, root)[1]
    event, path = event_in(calls)
    (written,) = [place for place, call in enumerate(calls) if call.name == "write" and call.text.startswith("1<")]
    assert str(path.parent) in synced(calls[event:written])
