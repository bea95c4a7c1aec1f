"""Sixteen processes publish, promote and evaluate in one registry at once, and no event is lost or duplicated."""

from collections import Counter
from itertools import pairwise

import pytest

from gamesales.registry.event import ALIAS_SET, EVALUATION_RECORDED, VERSION_REGISTERED
from support.operations import EVALUATION, open_registry
from support.racing import race
from support.sampling import many

WRITERS = 16
TURNS = 25
ROUNDS = many(25, 2)  # each in its own registry, as every writer reads the whole log at every turn
KINDS = [VERSION_REGISTERED, ALIAS_SET, EVALUATION_RECORDED]

# Publishes, promotes under its own alias, evaluates, and so on. The reason of each event is its writer and turn.
WRITER = f"""
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import LocalStore
registry, writer = ModelRegistry(LocalStore(sys.argv[1])), sys.argv[2]
wait_for_start()
for turn in range({TURNS}):
    reason = f"{{writer}} {{turn}}"
    if turn % 3 == 0:
        number = registry.publish({{"scorer.onnx": reason.encode()}}, {{}}, reason)
    elif turn % 3 == 1:
        registry.set_alias(f"writer_{{writer}}", number, reason, lambda state, version: {{"newest": state.newest}})
    else:
        registry.record_evaluation(number, {EVALUATION}, reason)
"""


@pytest.mark.slow
@pytest.mark.parametrize("_round", range(ROUNDS))
def test_contended_events_are_kept(tmp_path, _round):
    """No event of sixteen contending processes is lost or duplicated."""
    race(WRITER, [[tmp_path / "registry", writer] for writer in range(WRITERS)])
    registry = open_registry(tmp_path / "registry")
    events = registry.read_events()

    assert list(range(1, WRITERS * TURNS + 1)) == [event.sequence for event in events]
    assert {f"{writer} {turn}": 1 for writer in range(WRITERS) for turn in range(TURNS)} == Counter(
        e.reason for e in events
    )
    turns = sum(event.reason.split()[0] != following.reason.split()[0] for event, following in pairwise(events))
    assert turns > 2 * WRITERS, "they ran one after another: nothing was tested"
    for writer in range(WRITERS):
        own = [event for event in events if event.reason.split()[0] == str(writer)]
        assert [f"{writer} {turn}" for turn in range(TURNS)] == [event.reason for event in own], "in order"
        assert [KINDS[turn % 3] for turn in range(TURNS)] == [event.kind for event in own]
        moves = [event.body for event in own if event.kind == ALIAS_SET]
        assert [None, *(move["version"] for move in moves[:-1])] == [move["previous_version"] for move in moves]
    check_versions(registry, events)


def check_versions(registry, events):
    """Check that numbers follow the order of the log, and that each version has the bytes of its publisher."""
    published = [event for event in events if event.kind == VERSION_REGISTERED]
    assert list(range(1, len(published) + 1)) == [event.body["version"] for event in published]
    newest = {event.sequence: sum(earlier.sequence < event.sequence for earlier in published) for event in events}
    for event in events:
        if event.kind == ALIAS_SET:
            assert newest[event.sequence] == event.body["evidence"]["newest"], "judged on all events before its own"
    for version in registry.read_state().read_versions().values():
        assert version.registration.reason.encode() == registry.open_bundle(version).read("scorer.onnx")
    assert (len(events), 2 * len(published)) == registry.verify()
