"""How long one process takes to look something up in a registry that nobody else is using.

    python -m benchmarks.lookups fill NAME PLACE VERSIONS MOVES
    python -m benchmarks.lookups time NAME PLACE ANSWER

The first registers VERSIONS versions one after the other and then moves the alias ``champion`` MOVES times between the
two newest. The second, in a fresh process, times the alias and the listing; ANSWER gets

    versions    how many the listing told
    first_s     seconds to open the registry and resolve the alias once, imports and start of the process left out
    again_s     the median of resolving it again with the registry open
    list_s      the median of listing all versions
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.race import load

ALIAS = "champion"
REPEATS = 5


def fill(name: str, place: str, versions: str, moves: str) -> None:
    """Make the registry that is looked up in."""
    registry = load(name).Registry(Path(place))
    registry.create()
    registered = [registry.publish(f"version-{number}") for number in range(int(versions))]
    for turn in range(int(moves)):
        registry.set_alias(ALIAS, registered[-1 - turn % 2])


def time_lookups(name: str, place: str, answer: str) -> None:
    """Time what a scoring process does first, and what a person does who looks."""
    module = load(name)
    begun = time.perf_counter()
    registry = module.Registry(Path(place))
    registry.resolve(ALIAS)
    first = time.perf_counter() - begun
    told = {
        "versions": len(registry.versions()),
        "first_s": first,
        "again_s": _median(lambda: registry.resolve(ALIAS)),
        "list_s": _median(registry.versions),
    }
    rounded = {key: round(value, 6) for key, value in told.items()}
    Path(answer).write_text(json.dumps(rounded), encoding="utf-8")


def _median(do: Callable[[], Any]) -> float:
    return median(_seconds(do) for _ in range(REPEATS))


def _seconds(do: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


if __name__ == "__main__":
    {"fill": fill, "time": time_lookups}[sys.argv[1]](*sys.argv[2:])
