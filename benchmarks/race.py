"""Many writers, one registry: all start at once, and what they were told is then held against what is stored.

    python -m benchmarks.race NAME PLACE WRITERS EACH ANSWER

Each of WRITERS processes registers EACH versions, and after each makes its own alias name it: two calls. An alias of
its own, because a store that keeps no history could not show otherwise whose word was lost. Processes are forked after
the imports, before anything is opened. ANSWER gets what ``answer`` returns.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

Pair = tuple[str, str]
_T = TypeVar("_T")
# Beyond this a writer could not open the registry, and the others need not wait for it.
MOST_WAIT_S = 300
_FORK = multiprocessing.get_context("fork")


@dataclass
class Told:
    """What one writer was told: versions with their tokens, moves of its alias, errors; times are monotonic seconds.

    ``may_name`` is what its alias may name at the end: the last that it was told, or what failed later.
    """

    alias: str
    versions: list[Pair] = field(default_factory=list)
    moves: list[Pair] = field(default_factory=list)
    may_name: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    begun: float = 0.0
    ended: float = 0.0

    @property
    def succeeded(self) -> int:
        return len(self.versions) + len(self.moves)


@dataclass
class Found:
    """What a process that took no part reads afterwards; ``moves`` is None if the registry keeps no history."""

    versions: list[Pair]
    aliases: dict[str, str | None]
    moves: list[Pair] | None = None


def main(name: str, place: str, writers: str, each: str, answer_file: str) -> None:
    """Race, read, count, and write the answer."""
    module = load(name)
    told, found = race(module, Path(place), int(writers), int(each))
    counted = answer(told, found, numbered=getattr(module, "NUMBERED", True))
    Path(answer_file).write_text(json.dumps(counted), encoding="utf-8")


def load(name: str) -> ModuleType:
    """Return a registry's module, with all that it needs imported."""
    module = importlib.import_module(f"benchmarks.registries.{name}")
    os.environ.update(getattr(module, "SETTINGS", {}))
    for needed in module.IMPORTS:
        importlib.import_module(needed)
    return module


def race(module: ModuleType, place: Path, writers: int, each: int) -> tuple[list[Told], Found]:
    """Let the writers go at once; return what each was told, and what is there when all are done."""
    alone(lambda: module.Registry(place).create())
    barrier = _FORK.Barrier(writers)
    told = at_once(lambda number: write(module, place, number, each, barrier), writers)
    return told, alone(lambda: read(module, place, [one.alias for one in told]))


def write(module: ModuleType, place: Path, number: int, each: int, barrier: Any) -> Told:
    """Be one writer."""
    told = Told(f"writer_{number}")
    registry = module.Registry(place)
    barrier.wait(MOST_WAIT_S)
    told.begun = time.monotonic()
    for turn in range(each):
        _turn(registry, told, f"{number}-{turn}")
    told.ended = time.monotonic()
    return told


def _turn(registry: Any, told: Told, token: str) -> None:
    """Register a version and let the alias name it; a call that fails is noted, and not tried again."""
    version = None
    try:
        version = registry.publish(token)
        told.versions.append((version, token))
        told.may_name.append(version)
        registry.set_alias(told.alias, version)
        told.moves.append((told.alias, version))
        told.may_name = [version]
    except Exception as error:  # whatever a library raises is what its user is told
        told.errors.append(f"{type(error).__name__}: {_in_short(str(error))}")


def _in_short(message: str) -> str:
    """Return the beginning of a message, of paths only their last part: where the race was run is nobody's matter."""
    return re.sub(r"/(?:[^\s'\":/]+/)+", "", " ".join(message.split()))[:150].rstrip(". ")


def read(module: ModuleType, place: Path, aliases: Sequence[str]) -> Found:
    """Read all versions, all aliases and the history."""
    registry = module.Registry(place)
    return Found(registry.contents(), {alias: _resolved(registry, alias) for alias in aliases}, registry.moves())


def _resolved(registry: Any, alias: str) -> str | None:
    try:
        return str(registry.resolve(alias))
    except Exception:  # an alias that can't be resolved names nothing
        return None


def answer(told: Sequence[Told], found: Found, *, numbered: bool) -> dict[str, Any]:
    """Count calls, failures, what was lost and what was doubled; ``seconds`` is from the first call to the last end."""
    errors = Counter(error for one in told for error in one.errors)
    succeeded = sum(one.succeeded for one in told)
    return {
        "writers": len(told),
        "calls": succeeded + errors.total(),
        "failed": errors.total(),
        "error": errors.most_common(1)[0][0] if errors else None,
        "lost": lost(told, found),
        "doubled": doubled(told, found),
        "gaps": gaps(found) if numbered else None,
        "history": found.moves is not None,
        "seconds": round(max(one.ended for one in told) - min(one.begun for one in told), 4),
    }


def lost(told: Sequence[Told], found: Found) -> int:
    """Count what a writer was told and nobody finds: versions with their tokens, moves or, without history, aliases."""
    versions = {pair for one in told for pair in one.versions} - set(found.versions)
    if found.moves is not None:
        return len(versions) + len({pair for one in told for pair in one.moves} - set(found.moves))
    return len(versions) + sum(found.aliases[one.alias] not in one.may_name for one in told if one.moves)


def doubled(told: Sequence[Told], found: Found) -> int:
    """Count the versions that were told to two writers, the tokens that are stored twice, and the moves noted twice."""
    numbers = [version for one in told for version, _ in one.versions]
    return sum(map(_repeated, (numbers, [token for _, token in found.versions], found.moves or [])))


def gaps(found: Found) -> int:
    """Count the numbers from 1 to the newest version's that no version has."""
    numbers = {int(version) for version, _ in found.versions}
    return max(numbers, default=0) - len(numbers)


def _repeated(values: Sequence[object]) -> int:
    return len(values) - len(set(values))


def alone(do: Callable[[], _T]) -> _T:
    """Do something in a process of its own, so that no connection outlives it here."""
    return at_once(lambda _number: do(), 1)[0]


def at_once(do: Callable[[int], _T], processes: int) -> list[_T]:
    """Do something in each of some forked processes, which are told their numbers; it must not end before all began."""
    with ProcessPoolExecutor(processes, _FORK, _keep, (do,)) as pool:
        return list(pool.map(_call, range(processes)))


# What a forked process is to do: it inherits the function, so that none of it need be pickled.
_kept: list[Callable[[int], Any]] = []


def _keep(do: Callable[[int], Any]) -> None:
    _kept.append(do)


def _call(number: int) -> Any:
    return _kept[-1](number)


if __name__ == "__main__":
    main(*sys.argv[1:])
