"""Sixteen processes that publish, promote and evaluate in one registry at once: nothing is lost, nothing is doubled."""

from collections import Counter
from itertools import pairwise

import pytest

from gamesales.registry import log
from support.operations import EVALUATION, open_registry
from support.racing import race

WRITERS = 16
TURNS = 25
ROUNDS = 25  # each in a registry of its own, as every writer reads its whole log at every turn
ACTS = [log.VERSION_REGISTERED, log.ALIAS_SET, log.EVALUATION_RECORDED]

# Publishes, promotes under an alias of its own, evaluates, and so on; the reason of each event tells whose turn it is.
WRITER = f"""
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.store import LocalStore
registry, me = ModelRegistry(LocalStore(sys.argv[1])), sys.argv[2]
wait_for_start()
for turn in range({TURNS}):
    reason = f"{{me}} {{turn}}"
    if turn % 3 == 0:
        number = registry.publish({{"scorer.onnx": reason.encode()}}, {{}}, reason)
    elif turn % 3 == 1:
        registry.set_alias(f"writer_{{me}}", number, reason, lambda state, version: {{"newest": state.newest}})
    else:
        registry.record_evaluation(number, {EVALUATION}, reason)
"""


@pytest.mark.slow
@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_ten_thousand_contended_events_none_is_lost_and_none_doubled(tmp_path, _round):
    race(WRITER, [[tmp_path / "registry", who] for who in range(WRITERS)])
    registry = open_registry(tmp_path / "registry")
    events = registry.events()

    assert list(range(1, WRITERS * TURNS + 1)) == [event.sequence for event in events]
    assert {f"{who} {turn}": 1 for who in range(WRITERS) for turn in range(TURNS)} == Counter(e.reason for e in events)
    turns = sum(one.reason.split()[0] != other.reason.split()[0] for one, other in pairwise(events))
    assert turns > 2 * WRITERS, "they ran one after another: nothing was tested"
    for who in range(WRITERS):
        mine = [event for event in events if event.reason.split()[0] == str(who)]
        assert [f"{who} {turn}" for turn in range(TURNS)] == [event.reason for event in mine], "each in its order"
        assert [ACTS[turn % 3] for turn in range(TURNS)] == [event.kind for event in mine]
        moves = [event.body for event in mine if event.kind == log.ALIAS_SET]
        assert [None, *(move["version"] for move in moves[:-1])] == [move["previous_version"] for move in moves]
    check_versions(registry, events)


def check_versions(registry, events):
    """Check that numbers are given in the order of the log, and that each version holds what its publisher wrote."""
    published = [event for event in events if event.kind == log.VERSION_REGISTERED]
    assert list(range(1, len(published) + 1)) == [event.body["version"] for event in published]
    newest = {event.sequence: sum(one.sequence < event.sequence for one in published) for event in events}
    for event in events:
        if event.kind == log.ALIAS_SET:
            assert newest[event.sequence] == event.body["evidence"]["newest"], "judged on all events before its own"
    for version in registry.state().versions.values():
        assert version.registered.reason.encode() == registry.bundle(version).read("scorer.onnx")
    assert (len(events), 2 * len(published)) == registry.verify()
