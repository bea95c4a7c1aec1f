"""Checkpoints: they save reads, and their content is never trusted."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError, NothingPromotedError, UsageError
from gamesales.registry.event import seal_json
from gamesales.registry.index import CHECKPOINTS_KEPT, EVENTS_PER_CHECKPOINT, Index
from gamesales.registry.refs import parse_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import replay
from gamesales.storage.store import LocalStore
from support.operations import evaluate, open_registry, promote, publish, roll_back

CHAMPION = parse_ref("@champion")


class RecordingStore(LocalStore):
    """A store that records the keys that are read."""

    def __init__(self, root):
        super().__init__(root)
        self.keys = []

    def read(self, key, limit=None):
        self.keys.append(key)
        return super().read(key, limit)


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """A registry with events for about three checkpoints."""
    root = tmp_path_factory.mktemp("long") / "registry"
    registry = open_registry(root)
    for number in range(1, EVENTS_PER_CHECKPOINT):
        publish(registry, f"version {number}".encode())
        evaluate(registry, number)
        promote(registry, number, "challenger" if number % 3 else "champion")
    return root


@pytest.fixture
def root(tmp_path, long_log):
    return Path(shutil.copytree(long_log, tmp_path / "registry"))


def list_checkpoints(root):
    return sorted((root / "game-earnings/checkpoints").glob("*.json"))


def read_facts(state):
    """Read everything that a state holds."""
    versions = {
        number: (version.digest, version.read_evaluations(), version.retirement)
        for number, version in state.read_versions().items()
    }
    return versions, state.read_alias_stacks(), state.read_targets(), state.newest


def test_state_equals_replay(root):
    """The state by a checkpoint equals the replay of all events."""
    registry = open_registry(root)
    assert read_facts(replay(registry.read_events())) == read_facts(registry.read_state())
    assert replay(registry.read_events()).index == registry.read_state().index


def test_newest_checkpoints_are_kept(root):
    """Only the newest checkpoints are kept."""
    last = 3 * (EVENTS_PER_CHECKPOINT - 1) // EVENTS_PER_CHECKPOINT * EVENTS_PER_CHECKPOINT
    assert [last - EVENTS_PER_CHECKPOINT * back for back in range(CHECKPOINTS_KEPT)][::-1] == [
        int(path.stem) for path in list_checkpoints(root)
    ]


def test_champion_needs_few_reads(root):
    """To find the champion, its own events and the last events are read, never all events."""
    store = RecordingStore(root)
    version, _ = ModelRegistry(store).resolve(CHAMPION)
    events = [key for key in store.keys if "/log/" in key]
    assert version.number % 3 == 0
    assert len(events) <= EVENTS_PER_CHECKPOINT + 3
    kinds = {json.loads((root / key).read_bytes())["event"]["kind"] for key in events[-2:]}
    assert {"alias.set", "version.registered"} == kinds, "they are read, although the checkpoint locates them"


@pytest.mark.parametrize("damage", ["removed", "cut", "flipped", "empty", "of another release", "a folder"])
def test_damaged_checkpoint_is_skipped(root, damage):
    """A damaged checkpoint is skipped when reading and named by verify."""
    before = read_facts(open_registry(root).read_state())
    path = list_checkpoints(root)[-1]
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        (path / "x").mkdir(parents=True)
    elif damage != "removed":
        other, _ = seal_json("checkpoint", {"format": 99, "index": {}})
        damaged = {"cut": whole[:-9], "flipped": b"[" + whole[1:], "empty": b"", "of another release": other}
        path.write_bytes(damaged[damage])
    registry = open_registry(root)
    assert before == read_facts(registry.read_state())
    assert "champion" in registry.read_state().read_alias_stacks()
    publish(registry, b"another")
    if damage in ("removed", "a folder"):
        registry.verify()
    else:
        with pytest.raises(IntegrityError, match=path.name):
            registry.verify()


def test_wrong_checkpoint_is_named(root):
    """Verify names a checkpoint that differs from the log."""
    path = list_checkpoints(root)[-1]
    fields = json.loads(path.read_bytes())["checkpoint"]
    fields["index"]["aliases"]["champion"].pop()
    path.write_bytes(seal_json("checkpoint", fields)[0])
    with pytest.raises(IntegrityError, match="does not match the log") as refused:
        open_registry(root).verify()
    assert path.name in str(refused.value)


@pytest.mark.parametrize("change", ["digest", "version", "alias"])
def test_misleading_checkpoint_is_refused(root, change):
    """A checkpoint with a wrong reference is refused when the event is read."""
    registry = open_registry(root)
    while len(registry.read_events()) % EVENTS_PER_CHECKPOINT:  # so that no later event sets the alias
        evaluate(registry, 1)
    path = list_checkpoints(root)[-1]
    fields = json.loads(path.read_bytes())["checkpoint"]
    aliases, versions = fields["index"]["aliases"], fields["index"]["versions"]
    if change == "digest":
        aliases["champion"][-1][1] = "0" * 64
    elif change == "version":
        aliases["champion"][-1] = versions["3"]
    else:
        versions["63"] = versions["1"]
        aliases["champion"] = [aliases["champion"][-1]]
    path.write_bytes(seal_json("checkpoint", fields)[0])
    with pytest.raises(IntegrityError, match=r"checkpoint|verify|digest"):
        open_registry(root).resolve(CHAMPION)


def test_truncated_log_is_refused(root):
    """A checkpoint shows that the end of the log was cut off; the chain of digests alone can't."""
    last = int(list_checkpoints(root)[-1].stem)
    log = root / "game-earnings/log"
    for path in sorted(log.iterdir()):
        if int(path.stem) >= last - 1:
            path.unlink()
    registry = open_registry(root)
    for use in (registry.read_state, lambda: publish(registry, b"another"), lambda: registry.resolve(CHAMPION)):
        with pytest.raises(IntegrityError, match="is missing; a checkpoint was made after that event") as refused:
            use()
        assert "delete the folder checkpoints" in refused.value.hint
    shutil.rmtree(root / "game-earnings/checkpoints")
    assert last - 2 == len(registry.read_events())
    registry.verify()


def test_deleted_checkpoints_are_rebuilt(root):
    """A registry works without its checkpoints and makes them again."""
    shutil.rmtree(root / "game-earnings/checkpoints")
    registry = open_registry(root)
    while len(registry.read_events()) % EVENTS_PER_CHECKPOINT:
        evaluate(registry, 1)
    assert [len(registry.read_events())] == [int(path.stem) for path in list_checkpoints(root)]
    registry.verify()


def test_linked_folder_is_refused(root):
    """A symbolic link in place of the folder is refused."""
    registry = open_registry(root)
    before = len(registry.read_events())
    shutil.rmtree(root / "game-earnings/checkpoints")
    (root / "game-earnings/checkpoints").symlink_to(root)
    with pytest.raises(IntegrityError, match="symbolic link"):
        evaluate(registry, 1)
    assert before == len(registry.read_events())


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_index_round_trips_as_json(tmp_path_factory, data):
    """An index comes back from JSON as it was."""
    root = tmp_path_factory.mktemp("index")
    registry = open_registry(root)
    publish(registry)
    changes = (
        lambda: publish(registry),
        lambda: evaluate(registry, 1),
        lambda: promote(registry, 1),
        lambda: promote(registry, registry.read_state().newest, "challenger"),
        lambda: roll_back(registry),
        lambda: registry.delete_alias("challenger", ""),
        lambda: registry.retire(registry.read_state().newest, ""),
    )
    for change in data.draw(st.lists(st.sampled_from(changes), max_size=12)):
        try:
            change()
        except (NothingPromotedError, UsageError, LookupError):
            continue
    index = registry.read_state().index
    assert index == Index.from_json(json.loads(json.dumps(index.as_json())))
    shutil.rmtree(root)
