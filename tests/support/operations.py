"""What is done to a registry by a process that tests kill, or through a proxy: ``python operations.py publish FOLDER``.

Each operation is a row of a table, with what must be in the registry before it. It imports no numeric library, so
that a process starts, works and ends in a moment. ``done`` is printed once the operation has reported its success.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gamesales.jobs.copy import copy_version
from gamesales.jobs.retention import Retention, collect_garbage
from gamesales.registry.refs import CHAMPION, Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import open_store

EVALUATION = {"data": "test.csv", "data_sha256": "0" * 64, "rows": 400, "metrics": {"mae": 1000.0}}
UNFORCED = {"findings": [], "forced": False}


def open_registry(root) -> ModelRegistry:
    """Open the registry in a folder or at a URL."""
    return ModelRegistry(open_store(root))


def open_source(registry) -> ModelRegistry:
    """Open the registry beside a registry, from which versions are copied."""
    return open_registry(f"{registry.location.rstrip('/').rpartition('/')[0]}/source")


def publish(registry, content=b"a graph"):
    files = {"scorer.onnx": content, "report.html": b"<p>a page</p>"}
    return registry.publish(files, {"seed": 7}, "for a test")


def publish_numbered(registry):
    """Publish a version whose page names its number, as training does."""
    return registry.publish_numbered(lambda number: {"scorer.onnx": b"a graph", "report.html": b"%d" % number}, {}, "")


def promote(registry, number, alias=CHAMPION):
    return registry.set_alias(alias, number, "for a test", lambda state, version: UNFORCED)


def roll_back(registry, alias=CHAMPION):
    return registry.roll_back(alias, "for a test", lambda state, version: UNFORCED)


def evaluate(registry, number):
    return registry.record_evaluation(number, EVALUATION, "for a test")


def copy(registry):
    """Copy version 1 of the registry beside this one."""
    source = open_source(registry)
    return copy_version(source, Ref(source.model, version=1), registry, "for a test")


def collect(registry):
    """Retire the versions that no alias names, and remove their files."""
    return collect_garbage(registry, Retention(newest=0, alias_days=0), dry_run=False)


def sign(registry):
    """Approve, as alice, that version 3 is promoted."""
    from gamesales.registry.policy import make_promotion_statement
    from support.signing import sign_as

    def make_statement(state):
        return make_promotion_statement(registry.model, state, state.read_version(3), CHAMPION)

    return registry.record_signature(make_statement, sign_as("alice"), "for a test")


def set_policy(registry):
    """Set a policy that alice has approved."""
    from support.signing import make_policy

    return registry.set_policy(make_policy(2, "alice", "bob"), "for a test")


def three_guarded_versions(registry):
    """Require an approval by alice, who has approved the next policy."""
    from gamesales.registry.policy import make_policy_statement
    from support.signing import make_policy, sign_as

    three_versions(registry)
    registry.set_policy(make_policy(1, "alice"), "for a test")
    policy = make_policy(2, "alice", "bob")
    registry.record_signature(
        lambda state: make_policy_statement(registry.model, state, policy), sign_as("alice"), "for a test"
    )


def three_versions_and_a_source(registry):
    three_versions(registry)
    publish(open_source(registry), b"a copied graph")


def nothing(registry):
    """Leave the registry as it is: there is none."""


def three_versions(registry):
    """Publish three versions and promote two of them in turn, so that there is much to roll back to."""
    for content in (b"1", b"2", b"3"):
        publish(registry, content)
    for number in (1, 2, 1):
        promote(registry, number)


@dataclass(frozen=True)
class Operation:
    """A change, and what makes the registry that it is tried on."""

    before: Callable[[ModelRegistry], object]
    change: Callable[[ModelRegistry], object]


OPERATIONS = {
    "publish the first": Operation(nothing, publish),
    "publish": Operation(three_versions, publish),
    "publish with its number": Operation(three_versions, publish_numbered),
    "promote": Operation(three_versions, lambda registry: promote(registry, 3)),
    "evaluate": Operation(three_versions, lambda registry: evaluate(registry, 3)),
    "roll back": Operation(three_versions, roll_back),
    "copy": Operation(three_versions_and_a_source, copy),
    "retire": Operation(three_versions, lambda registry: registry.retire(3, "for a test")),
    "sign": Operation(three_versions, sign),
    "set a policy": Operation(three_guarded_versions, set_policy),
}
# What depends on time or on chance.
VARYING = ("folder", "previous_change", "signature")


def read_contents(registry):
    """Read everything in a registry except what depends on time, and check every byte."""
    events = registry.read_events()
    if not events:
        return [], {}
    registry.verify()
    assert list(range(1, len(events) + 1)) == [event.sequence for event in events]
    versions = registry.read_state().read_versions()
    assert list(range(1, len(versions) + 1)) == list(versions)
    versions = {number: version for number, version in versions.items() if not registry.is_removed(version)}
    bundles = {number: registry.open_bundle(version) for number, version in versions.items()}
    files = {number: {name: bundle.read(name) for name in bundle.files} for number, bundle in bundles.items()}
    bodies = [{key: value for key, value in event.body.items() if key not in VARYING} for event in events]
    return [(event.kind, event.reason, body) for event, body in zip(events, bodies, strict=True)], files


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    OPERATIONS[sys.argv[1]].change(open_registry(sys.argv[2]))
    sys.stdout.write("done\n")
