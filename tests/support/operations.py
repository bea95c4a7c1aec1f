"""What is done to a registry in a process that tests kill: ``python operations.py publish FOLDER``.

Each operation is a row of a table, with what must be in the registry before it. It imports no numeric library, so
that a process starts, works and ends in a moment. ``done`` is printed once the operation has told of its success.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gamesales.jobs.copy import copy_version
from gamesales.registry.refs import CHAMPION, Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import LocalStore

EVALUATION = {"data": "test.csv", "data_sha256": "0" * 64, "rows": 400, "metrics": {"mae": 1000.0}}
UNFORCED = {"findings": [], "forced": False}


def open_registry(root) -> ModelRegistry:
    return ModelRegistry(LocalStore(root))


def publish(registry, content=b"a graph"):
    files = {"scorer.onnx": content, "report.html": b"<p>a page</p>"}
    return registry.publish(files, {"seed": 7}, "for a test")


def promote(registry, number, alias=CHAMPION):
    return registry.set_alias(alias, number, "for a test", lambda state, version: UNFORCED)


def roll_back(registry, alias=CHAMPION):
    return registry.roll_back(alias, "for a test", lambda state, version: UNFORCED)


def evaluate(registry, number):
    return registry.record_evaluation(number, EVALUATION, "for a test")


def copy(registry):
    """Copy version 1 of the registry beside this one."""
    source = open_registry(Path(registry.location).with_name("source"))
    return copy_version(source, Ref(source.model, version=1), registry, "for a test")


def three_versions_and_a_source(registry):
    three_versions(registry)
    publish(open_registry(Path(registry.location).with_name("source")), b"a copied graph")


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
    """A change, what makes the registry that it is tried on, and whether the log tells of it."""

    before: Callable[[ModelRegistry], object]
    change: Callable[[ModelRegistry], object]
    is_told: bool = True


OPERATIONS = {
    "publish the first": Operation(nothing, publish),
    "publish": Operation(three_versions, publish),
    "promote": Operation(three_versions, lambda registry: promote(registry, 3)),
    "evaluate": Operation(three_versions, lambda registry: evaluate(registry, 3)),
    "roll back": Operation(three_versions, roll_back),
    "copy": Operation(three_versions_and_a_source, copy),
}

if __name__ == "__main__":
    OPERATIONS[sys.argv[1]].change(open_registry(sys.argv[2]))
    sys.stdout.write("done\n")
