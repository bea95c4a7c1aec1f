"""Garbage collection: needed versions stay, other versions go, and a kill does no harm."""

import json
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import UnknownVersionError, UsageError
from gamesales.jobs.retention import Retention, collect_garbage, find_aliased_versions, find_garbage
from gamesales.registry.event import VERSION_RETIRED, format_time
from gamesales.registry.refs import Ref, parse_ref
from support.operations import evaluate, open_registry, promote, publish, roll_back
from support.runs import gamesales
from support.tracing import needs_strace, sample_kills, touching, traced
from support.versions import ROOT

NOTHING = Retention(newest=0, alias_days=0, orphan_days=1)
LATER = timedelta(days=2)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
def registry(root):
    """Six versions: 2 and then 4 were champion, 3 is the challenger."""
    registry = open_registry(root)
    for number in range(1, 7):
        publish(registry, f"version {number}".encode())
    promote(registry, 2)
    promote(registry, 4)
    promote(registry, 3, "challenger")
    return registry


def list_bundles(root):
    return {path.name for path in (root / "game-earnings/bundles").iterdir()}


def collect(registry, retention=NOTHING, *, after=LATER, dry_run=False):
    return collect_garbage(registry, retention, dry_run=dry_run, now=datetime.now(UTC) + after)


def list_in_use(registry):
    state = registry.read_state()
    return [number for number in state.numbers if not state.is_retired(number)]


def test_aliased_versions_are_kept(registry, root):
    """Versions that an alias names, or named in the last days, are kept."""
    done = collect(registry, Retention(newest=0, alias_days=400))
    assert [1, 5, 6] == done.versions
    assert [2, 3, 4] == list_in_use(registry)
    assert 3 == len(list_bundles(root))
    registry.verify()


def test_old_champions_are_retired(registry):
    """A version that was champion longer ago is retired."""
    assert [1, 2, 5, 6] == collect(registry, Retention(newest=0, alias_days=1)).versions
    assert [3, 4] == list_in_use(registry)


def test_newest_versions_are_kept(registry):
    """The newest versions are kept."""
    assert [1, 2] == collect(registry, Retention(newest=2, alias_days=0)).versions
    assert [3, 4, 5, 6] == list_in_use(registry)


def test_default_keeps_all(registry):
    """The default retention keeps all six versions."""
    done = collect(registry, Retention())
    assert ([], [], 0) == (done.versions, done.bundles, done.files)


def test_retired_version_stays_in_history(registry):
    """A retired version stays in the history, but no longer resolves."""
    collect(registry)
    assert 6 == registry.read_state().newest
    events = [event for event in registry.read_events() if event.kind == VERSION_RETIRED]
    reason = "gc: no alias named it for 0 days, and it is not among the newest 0 versions"
    assert [(number, reason) for number in (1, 2, 5, 6)] == [(event.body["version"], event.reason) for event in events]
    with pytest.raises(UnknownVersionError, match=rf"version 5 of game-earnings was retired on .* by .*: {reason}"):
        registry.resolve(parse_ref("5"))
    assert 7 == publish(registry, b"another")


def test_retired_version_cannot_be_promoted(registry):
    """A retired version can't be promoted, by a rollback either."""
    collect(registry)
    with pytest.raises(UnknownVersionError, match="version 5 of game-earnings was retired"):
        promote(registry, 5)
    with pytest.raises(UnknownVersionError, match="version 2 of game-earnings was retired"):
        roll_back(registry)


def test_dry_run_changes_nothing(registry, root):
    """A dry run returns the same result and changes nothing."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    preview = collect(registry, dry_run=True)
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert replace(preview, dry_run=False) == collect(registry)


def test_second_run_finds_nothing(registry):
    """A second run finds no garbage."""
    collect(registry)
    done = collect(registry)
    assert ([], [], 0, 0) == (done.versions, done.bundles, done.files, done.temporary_files)


def test_old_orphans_are_removed(registry, root):
    """Files that no event names are removed when they are old."""
    old, young, odd = "20250101T000000Z-0123456789ab", f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-0123456789ab", "by_hand"
    for name in (old, young, odd):
        (root / "game-earnings/bundles" / name).mkdir()
        (root / "game-earnings/bundles" / name / "scorer.onnx").write_bytes(b"x")
    done = collect(registry, Retention(newest=99), after=timedelta(0))
    assert [f"game-earnings/bundles/{old}"] == done.bundles
    assert {young, odd} < list_bundles(root)
    assert old not in list_bundles(root)


def test_old_temporary_files_are_removed(registry, root):
    """Temporary files of killed writers are removed when they are old."""
    for name, age in (("old", 8), ("young", 1)):
        path = root / f"game-earnings/log/.tmp-{name}"
        path.write_bytes(b"half an event")
        written = (datetime.now(UTC) - timedelta(age)).timestamp()
        os.utime(path, (written, written))
    assert 1 == collect(registry, Retention(newest=99), after=timedelta(0)).temporary_files
    assert [".tmp-young"] == [path.name for path in (root / "game-earnings/log").glob(".tmp-*")]


def test_shared_files_are_kept(root):
    """Two versions with equal content share a folder, which stays while either is needed."""
    registry = open_registry(root)
    while len(registry.read_events()) < 2 or len(list_bundles(root)) > 1:
        shutil.rmtree(root, ignore_errors=True)
        publish(registry)
        publish(registry)
    promote(registry, 1)
    done = collect(registry)
    assert ([2], []) == (done.versions, done.bundles)
    registry.resolve(parse_ref("@champion"))[1].verify()


def test_version_promoted_meanwhile_is_kept(registry, monkeypatch):
    """A version that another writer promotes meanwhile is kept."""
    list_keys = registry.list_bundle_keys
    promotions = []

    def list_and_promote():
        keys = list_keys()
        if not promotions:
            promotions.append(promote(open_registry(registry.location), 5, "beta"))
        return keys

    monkeypatch.setattr(registry, "list_bundle_keys", list_and_promote)
    assert [1, 2, 6] == collect(registry).versions
    registry.resolve(parse_ref("@beta"))[1].verify()


def test_aliased_version_is_not_retired(registry):
    """A version that an alias names can't be retired."""
    with pytest.raises(UsageError, match="version 4 is champion and can't be retired"):
        registry.retire(4, "")
    registry.delete_alias("champion", "for a test")
    assert registry.retire(4, "too high") is not None
    assert registry.retire(4, "again") is None


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_aliased_versions_match_past_states(tmp_path_factory, data):
    """The aliased versions since a time are those of the states at that time and after each event."""
    root = tmp_path_factory.mktemp("aliased")
    registry = open_registry(root)
    for _ in range(3):
        publish(registry)
    for _ in range(data.draw(st.integers(0, 8))):
        alias, number = data.draw(st.sampled_from(["champion", "beta"])), data.draw(st.integers(1, 3))
        if data.draw(st.booleans()):
            promote(registry, number, alias)
        elif registry.read_state().target_of(alias):
            registry.delete_alias(alias, "")
    events = registry.read_events()
    since = data.draw(st.sampled_from([event.time for event in events]))
    moments = [time for time in (event.time for event in events) if time >= since]
    aliased = {number for time in moments for number in registry.read_state(time).read_targets().values()}
    before = [event.time for event in events if event.time < since]
    if before:
        aliased |= set(registry.read_state(before[-1]).read_targets().values())
    assert aliased == find_aliased_versions(events, since)
    retired, _ = find_garbage(events, registry.list_bundle_keys(), Retention(0, 10_000), datetime.now(UTC))
    assert not set(retired) & set(registry.read_state().read_targets().values())
    shutil.rmtree(root)


def test_negative_retention_is_refused():
    """A negative number of versions is refused."""
    with pytest.raises(UsageError, match="0 or more"):
        Retention(newest=-1)


def test_gc_command_lists_versions(registry, tmp_path):
    """The command lists the versions, with and without --dry-run."""
    arguments = ["gc", "--keep-newest", "0", "--keep-days", "0"]
    ran = gamesales(tmp_path, *arguments, "--dry-run")
    assert (0, "") == (ran.returncode, ran.stderr)
    first, *_, last, end = ran.stdout.splitlines()
    assert ("would retire  1, 2, 5, 6", "nothing was changed") == (first, end)
    assert "would remove  12 files of bundles and 0 temporary files" == last
    ran = gamesales(tmp_path, *arguments, "--json")
    done = json.loads(ran.stdout)
    assert ([1, 2, 5, 6], 12, False) == (done["versions"], done["files"], done["dry_run"])
    assert 0 == gamesales(tmp_path, "verify").returncode
    assert 2 == gamesales(tmp_path, "gc", "--keep-newest", "-1").returncode


GC = """
from datetime import UTC, datetime, timedelta
from support.operations import open_registry
from gamesales.jobs.retention import Retention, collect_garbage
now = datetime.now(UTC) + timedelta(2)
collect_garbage(open_registry(sys.argv[1]), Retention(0, 0), dry_run=False, now=now)
print("done")
"""


def collect_traced(root, kill=None):
    """Collect garbage in a process, killed at a call if it is set; return the process and its calls in the registry."""
    script = f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\n{GC}"
    ran, calls = traced([sys.executable, "-B", "-c", script, str(root)], root.with_name("trace"), kill)
    return ran, touching(calls, root)


def is_vital(call):
    """Return whether a call names an event or removes the folder of a bundle."""
    return (call.name == "link" and "/.tmp-" not in call.paths[-1]) or (call.name == "rmdir" and call.done)


@pytest.mark.slow
@needs_strace
def test_killed_gc_is_resumed(registry, root, tmp_path):
    """A kill at any call leaves a sound registry, and the next run does the rest."""
    evaluate(registry, 1)
    untouched = Path(shutil.copytree(root, tmp_path / "untouched"))
    ran, calls = collect_traced(root)
    assert (0, "done\n") == (ran.returncode, ran.stdout), ran.stderr
    remaining, targets = list_bundles(root), [4, 3]
    for kill in sample_kills("calls of gc", calls, is_vital, 4):
        shutil.rmtree(root)
        shutil.copytree(untouched, root)
        ran, _ = collect_traced(root, kill)
        assert -9 == ran.returncode, f"{kill}: {ran.stderr}"
        registry.verify()
        for number in list_in_use(registry):
            registry.resolve(Ref("game-earnings", version=number))[1].verify()
        assert targets == [registry.read_state().target_of("champion"), registry.read_state().target_of("challenger")]
        collect(registry)
        assert (remaining, [3, 4]) == (list_bundles(root), list_in_use(registry)), kill


@pytest.mark.slow
@needs_strace
def test_removal_is_synced(registry, root):
    """Each removal is on the disk before the next: a manifest that came back would list files that are gone."""
    _, calls = collect_traced(root)
    places = [i for i, call in enumerate(calls) if call.name == "unlink" and call.done and "/bundles/" in call.path]
    assert 12 == len(places)
    for place, end in zip(places, [*places[1:], len(calls)], strict=True):
        folder = Path(calls[place].path).parent
        synced = {Path(call.opened) for call in calls[place:end] if call.name == "fsync" and call.done}
        assert synced & {folder, folder.parent}, calls[place]


def test_no_alias_before_promotion(registry):
    """No version was aliased before the first promotion."""
    events = registry.read_events()
    assert set() == find_aliased_versions(events[:6], format_time(datetime.now(UTC)))
    assert {4, 3} == find_aliased_versions(events, format_time(datetime.now(UTC)))
