"""Checkpoints: what they spare, and that nothing is believed because a checkpoint says it."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError, NothingPromotedError, UsageError
from gamesales.registry import sealing
from gamesales.registry.index import EVERY, KEPT, Index
from gamesales.registry.refs import parse_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import replay
from gamesales.registry.store import LocalStore
from support.operations import evaluate, open_registry, promote, publish, roll_back

CHAMPION = parse_ref("@champion")


class Counted(LocalStore):
    """A store that counts what is read of it."""

    def __init__(self, root):
        super().__init__(root)
        self.keys = []

    def read(self, key, limit=None):
        self.keys.append(key)
        return super().read(key, limit)


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """A registry with some three checkpoints' worth of events."""
    root = tmp_path_factory.mktemp("long") / "registry"
    registry = open_registry(root)
    for number in range(1, EVERY):
        publish(registry, f"version {number}".encode())
        evaluate(registry, number)
        promote(registry, number, "challenger" if number % 3 else "champion")
    return root


@pytest.fixture
def root(tmp_path, long_log):
    return Path(shutil.copytree(long_log, tmp_path / "registry"))


def checkpoints(root):
    return sorted((root / "game-earnings/checkpoints").glob("*.json"))


def facts(state):
    """Tell all that a state says."""
    versions = {number: (one.digest, one.evaluations, one.retired) for number, one in state.versions.items()}
    return versions, state.aliases, state.named, state.newest


def test_the_state_is_the_one_that_all_events_add_up_to(root):
    registry = open_registry(root)
    assert facts(replay(registry.events())) == facts(registry.state())
    assert replay(registry.events()).index == registry.state().index


def test_the_newest_ones_stay(root):
    last = 3 * (EVERY - 1) // EVERY * EVERY
    assert [last - EVERY * back for back in range(KEPT)][::-1] == [int(path.stem) for path in checkpoints(root)]


def test_the_champion_is_found_by_its_own_events_and_the_last_ones(root):
    """Not by all: a registry stays as fast as it was on its first day."""
    store = Counted(root)
    version, _ = ModelRegistry(store).resolve(CHAMPION)
    events = [key for key in store.keys if "/log/" in key]
    assert version.number % 3 == 0
    assert len(events) <= EVERY + 3
    deciding = {json.loads((root / key).read_bytes())["event"]["kind"] for key in events[-2:]}
    assert {"alias.set", "version.registered"} == deciding, "they are read, whatever the checkpoint says"


@pytest.mark.parametrize("damage", ["removed", "cut", "flipped", "empty", "of another release", "a folder"])
def test_a_damaged_one_is_passed_over_and_named_by_verify(root, damage):
    before = facts(open_registry(root).state())
    path = checkpoints(root)[-1]
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        (path / "x").mkdir(parents=True)
    elif damage != "removed":
        other, _ = sealing.seal("checkpoint", {"format": 99, "index": {}})
        damaged = {"cut": whole[:-9], "flipped": b"[" + whole[1:], "empty": b"", "of another release": other}
        path.write_bytes(damaged[damage])
    registry = open_registry(root)
    assert before == facts(registry.state())
    assert "champion" in registry.state().aliases
    publish(registry, b"another")
    if damage in ("removed", "a folder"):
        registry.verify()
    else:
        with pytest.raises(IntegrityError, match=path.name):
            registry.verify()


def test_one_that_says_what_the_log_does_not_say_is_named_by_verify(root):
    path = checkpoints(root)[-1]
    fields = json.loads(path.read_bytes())["checkpoint"]
    fields["index"]["aliases"]["champion"].pop()
    path.write_bytes(sealing.seal("checkpoint", fields)[0])
    with pytest.raises(IntegrityError, match="does not say what the log says") as refused:
        open_registry(root).verify()
    assert path.name in str(refused.value)


@pytest.mark.parametrize("change", ["digest", "version", "alias"])
def test_one_that_points_elsewhere_is_caught_when_the_event_is_read(root, change):
    registry = open_registry(root)
    while len(registry.events()) % EVERY:  # so that none after it decides
        evaluate(registry, 1)
    path = checkpoints(root)[-1]
    fields = json.loads(path.read_bytes())["checkpoint"]
    aliases, versions = fields["index"]["aliases"], fields["index"]["versions"]
    if change == "digest":
        aliases["champion"][-1][1] = "0" * 64
    elif change == "version":
        aliases["champion"][-1] = versions["3"]
    else:
        versions["63"] = versions["1"]
        aliases["champion"] = [aliases["champion"][-1]]
    path.write_bytes(sealing.seal("checkpoint", fields)[0])
    with pytest.raises(IntegrityError, match=r"checkpoint|verify|digest"):
        open_registry(root).resolve(CHAMPION)


def test_a_log_whose_end_was_cut_off_below_a_checkpoint_is_refused(root):
    """A chain of digests alone can't show that."""
    last = int(checkpoints(root)[-1].stem)
    log = root / "game-earnings/log"
    for path in sorted(log.iterdir()):
        if int(path.stem) >= last - 1:
            path.unlink()
    registry = open_registry(root)
    for use in (registry.state, lambda: publish(registry, b"another"), lambda: registry.resolve(CHAMPION)):
        with pytest.raises(IntegrityError, match="is missing; a checkpoint was made after that event") as refused:
            use()
        assert "delete the folder checkpoints" in refused.value.hint
    shutil.rmtree(root / "game-earnings/checkpoints")
    assert last - 2 == len(registry.events())
    registry.verify()


def test_a_registry_without_them_works_and_makes_them_again(root):
    shutil.rmtree(root / "game-earnings/checkpoints")
    registry = open_registry(root)
    while len(registry.events()) % EVERY:
        evaluate(registry, 1)
    assert [len(registry.events())] == [int(path.stem) for path in checkpoints(root)]
    registry.verify()


def test_a_link_in_the_place_of_the_folder_leads_nobody_out(root):
    registry = open_registry(root)
    before = len(registry.events())
    shutil.rmtree(root / "game-earnings/checkpoints")
    (root / "game-earnings/checkpoints").symlink_to(root)
    with pytest.raises(IntegrityError, match="symbolic link"):
        evaluate(registry, 1)
    assert before == len(registry.events())


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_an_index_comes_back_from_json_as_it_was(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("index")
    registry = open_registry(root)
    publish(registry)
    changes = (
        lambda: publish(registry),
        lambda: evaluate(registry, 1),
        lambda: promote(registry, 1),
        lambda: promote(registry, registry.state().newest, "challenger"),
        lambda: roll_back(registry),
        lambda: registry.delete_alias("challenger", ""),
        lambda: registry.retire(registry.state().newest, ""),
    )
    for change in data.draw(st.lists(st.sampled_from(changes), max_size=12)):
        try:
            change()
        except (NothingPromotedError, UsageError, LookupError):
            continue
    index = registry.state().index
    assert index == Index.from_json(json.loads(json.dumps(index.as_json())))
    shutil.rmtree(root)
