"""gc: what is needed stays, what nobody needs goes, and being killed in the midst of it harms nothing."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import UnknownVersionError, UsageError
from gamesales.registry import log
from gamesales.registry.refs import Ref, parse_ref
from gamesales.registry.retention import Retention, find_waste, forget, held_since
from gamesales.registry.times import utc
from support.operations import evaluate, open_registry, promote, publish, roll_back
from support.runs import gamesales
from support.tracing import needs_strace, touching, traced
from support.versions import ROOT

NOTHING = Retention(newest=0, held_days=0, orphan_days=1)
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


def bundles(root):
    return {path.name for path in (root / "game-earnings/bundles").iterdir()}


def clean(registry, retention=NOTHING, *, after=LATER, dry_run=False):
    return forget(registry, retention, "for a test", datetime.now(UTC) + after, dry_run=dry_run)


def in_use(registry):
    state = registry.state()
    return [number for number in state.numbers if not state.is_retired(number)]


def test_what_an_alias_names_or_named_in_the_last_days_stays(registry, root):
    done = clean(registry, Retention(newest=0, held_days=400))
    assert [1, 5, 6] == done.waste.versions
    assert [2, 3, 4] == in_use(registry)
    assert 3 == len(bundles(root))
    registry.verify()


def test_what_was_live_longer_ago_goes(registry):
    assert [1, 2, 5, 6] == clean(registry, Retention(newest=0, held_days=1)).waste.versions
    assert [3, 4] == in_use(registry)


def test_the_newest_stay(registry):
    assert [1, 2] == clean(registry, Retention(newest=2, held_days=0)).waste.versions
    assert [3, 4, 5, 6] == in_use(registry)


def test_by_default_little_goes(registry):
    done = clean(registry, Retention())
    assert ([], [], 0) == (done.waste.versions, done.waste.folders, done.files)


def test_what_went_stays_in_the_history_and_is_no_longer_found(registry):
    clean(registry)
    assert 6 == registry.state().newest
    events = [event for event in registry.events() if event.kind == log.VERSION_RETIRED]
    assert [(1, "for a test"), (2, "for a test"), (5, "for a test"), (6, "for a test")] == [
        (event.body["version"], event.reason) for event in events
    ]
    with pytest.raises(UnknownVersionError, match=r"version 5 of game-earnings was retired on .* by .*: for a test"):
        registry.resolve(parse_ref("5"))
    assert 7 == publish(registry, b"another")


def test_what_went_can_neither_be_promoted_nor_rolled_back_to(registry):
    clean(registry)
    with pytest.raises(UnknownVersionError, match="version 5 of game-earnings was retired"):
        promote(registry, 5)
    with pytest.raises(UnknownVersionError, match="version 2 of game-earnings was retired"):
        roll_back(registry)


def test_a_dry_run_tells_the_same_and_changes_nothing(registry, root):
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    told = clean(registry, dry_run=True)
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert told == clean(registry)


def test_a_second_time_there_is_nothing_left(registry):
    clean(registry)
    done = clean(registry)
    assert ([], [], 0, 0) == (done.waste.versions, done.waste.folders, done.files, done.leavings)


def test_files_that_no_event_names_go_once_they_are_old(registry, root):
    old, young, odd = "20250101T000000Z-0123456789ab", f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-0123456789ab", "by_hand"
    for name in (old, young, odd):
        (root / "game-earnings/bundles" / name).mkdir()
        (root / "game-earnings/bundles" / name / "scorer.onnx").write_bytes(b"x")
    done = clean(registry, Retention(newest=99), after=timedelta(0))
    assert [f"game-earnings/bundles/{old}"] == done.waste.folders
    assert {young, odd} < bundles(root)
    assert old not in bundles(root)


def test_what_killed_writers_left_goes_once_it_is_old(registry, root):
    for name, age in (("old", 8), ("young", 1)):
        path = root / f"game-earnings/log/.tmp-{name}"
        path.write_bytes(b"half an event")
        written = (datetime.now(UTC) - timedelta(age)).timestamp()
        os.utime(path, (written, written))
    assert 1 == clean(registry, Retention(newest=99), after=timedelta(0)).leavings
    assert [".tmp-young"] == [path.name for path in (root / "game-earnings/log").glob(".tmp-*")]


def test_files_that_two_versions_share_stay_as_long_as_either_needs_them(root):
    """Equal content that is published in the same second lies in one folder."""
    registry = open_registry(root)
    while len(registry.events()) < 2 or len(bundles(root)) > 1:
        shutil.rmtree(root, ignore_errors=True)
        publish(registry)
        publish(registry)
    promote(registry, 1)
    done = clean(registry)
    assert ([2], []) == (done.waste.versions, done.waste.folders)
    registry.resolve(parse_ref("@champion"))[1].verify()


def test_a_version_that_somebody_promotes_meanwhile_stays(registry, monkeypatch):
    find = registry.bundle_keys
    asked = []

    def promoted_meanwhile():
        keys = find()
        if not asked:
            asked.append(promote(open_registry(registry.location), 5, "beta"))
        return keys

    monkeypatch.setattr(registry, "bundle_keys", promoted_meanwhile)
    assert [1, 2, 6] == clean(registry).waste.versions
    registry.resolve(parse_ref("@beta"))[1].verify()


def test_retirement_refuses_what_an_alias_names(registry):
    with pytest.raises(UsageError, match="version 4 is champion and can't be retired"):
        registry.retire(4, "")
    registry.delete_alias("champion", "for a test")
    assert registry.retire(4, "too high") is not None
    assert registry.retire(4, "again") is None


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_held_is_what_any_moment_since_then_says(tmp_path_factory, data):
    """Ask at the moment itself and after every later event: whatever an alias named then was held."""
    root = tmp_path_factory.mktemp("held")
    registry = open_registry(root)
    for _ in range(3):
        publish(registry)
    for _ in range(data.draw(st.integers(0, 8))):
        alias, number = data.draw(st.sampled_from(["champion", "beta"])), data.draw(st.integers(1, 3))
        if data.draw(st.booleans()):
            promote(registry, number, alias)
        elif registry.state().aliased(alias):
            registry.delete_alias(alias, "")
    events = registry.events()
    since = data.draw(st.sampled_from([event.time for event in events]))
    moments = [time for time in (event.time for event in events) if time >= since]
    named = {number for time in moments for number in registry.state(time).named.values()}
    before = [event.time for event in events if event.time < since]
    if before:
        named |= set(registry.state(before[-1]).named.values())
    assert named == held_since(events, since)
    kept = find_waste(events, registry.bundle_keys(), Retention(0, 10_000), datetime.now(UTC)).versions
    assert not set(kept) & set(registry.state().named.values())
    shutil.rmtree(root)


def test_nonsense_is_refused():
    with pytest.raises(UsageError, match="0 or more"):
        Retention(newest=-1)


def test_the_command_tells_what_goes_and_what_went(registry, tmp_path):
    arguments = ["gc", "--keep-newest", "0", "--keep-days", "0"]
    ran = gamesales(tmp_path, *arguments, "--dry-run")
    assert (0, "") == (ran.returncode, ran.stderr)
    assert "retired     1, 2, 5, 6" in ran.stdout
    assert "would be removed" in ran.stdout
    ran = gamesales(tmp_path, *arguments, "--json")
    done = json.loads(ran.stdout)
    assert ([1, 2, 5, 6], 12, False) == (done["versions"], done["files"], done["dry_run"])
    assert 0 == gamesales(tmp_path, "verify").returncode
    assert 2 == gamesales(tmp_path, "gc", "--keep-newest", "-1").returncode


GC = """
from datetime import UTC, datetime, timedelta
from support.operations import open_registry
from gamesales.registry.retention import Retention, forget
forget(open_registry(sys.argv[1]), Retention(0, 0), "for a test", datetime.now(UTC) + timedelta(2), dry_run=False)
print("done")
"""


@pytest.mark.slow
@needs_strace
def test_killed_at_any_call_it_leaves_a_sound_registry_and_the_next_one_does_the_rest(registry, root, tmp_path):
    evaluate(registry, 1)
    untouched = Path(shutil.copytree(root, tmp_path / "untouched"))
    script = f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\n{GC}"
    command = [sys.executable, "-B", "-c", script, str(root)]
    ran, calls = traced(command, tmp_path / "trace")
    assert (0, "done\n") == (ran.returncode, ran.stdout), ran.stderr
    left, after = bundles(root), [4, 3]
    for place in touching(calls, root):
        shutil.rmtree(root)
        shutil.copytree(untouched, root)
        ran, _ = traced(command, tmp_path / "trace", place)
        assert -9 == ran.returncode, f"{place}: {ran.stderr}"
        registry.verify()
        for number in in_use(registry):
            registry.resolve(Ref("game-earnings", version=number))[1].verify()
        assert after == [registry.state().aliased("champion"), registry.state().aliased("challenger")]
        clean(registry)
        assert (left, [3, 4]) == (bundles(root), in_use(registry)), place


def test_nothing_was_held_before_anything_was_promoted(registry):
    events = registry.events()
    assert set() == held_since(events[:6], utc(datetime.now(UTC)))
    assert {4, 3} == held_since(events, utc(datetime.now(UTC)))
