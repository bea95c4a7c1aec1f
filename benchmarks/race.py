"""Race many writers for one registry, and compare their results with its content; and time lookups without writers.

Each writer registers versions, and after each version sets an alias of its own to it. Without a history, a shared alias
could not show whose change was lost. Processes are forked after the imports, and before a registry is opened.
"""

import importlib
import multiprocessing
import os
import re
import shutil
import timeit
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from types import ModuleType
from typing import Any, TypeVar

Pair = tuple[str, str]
_T = TypeVar("_T")
MAX_WAIT_S = 300
ALIAS, LOOKUPS = "champion", 5
_FORK = multiprocessing.get_context("fork")


@dataclass
class WriterRecord:
    """The confirmed calls of one writer, versions with their tokens and changes of its alias, and its errors.

    ``possible`` holds the versions that its alias may have at the end: the last confirmed version, and versions whose
    change failed later.
    """

    alias: str
    versions: list[Pair] = field(default_factory=list)
    moves: list[Pair] = field(default_factory=list)
    possible: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0


@dataclass
class RegistryContent:
    """The content of the registry after the race; ``moves`` is None without a history."""

    versions: list[Pair]
    aliases: dict[str, str | None]
    moves: list[Pair] | None = None


def main(name: str, folder: str, writers: str, versions: str) -> dict[str, Any]:
    module = load_registry(name)
    records, content = run_race(module, Path(folder), int(writers), int(versions))
    return summarize_race(records, content, numbered=getattr(module, "NUMBERED", True))


def fill_registry(name: str, folder: str, versions: str, moves: str) -> None:
    """Register versions in a new registry, then set the alias to the last two versions in turn."""
    module = load_registry(name)
    create_registry(module, Path(folder))
    registry = module.Registry(Path(folder))
    registered = [registry.publish(f"version-{number}") for number in range(int(versions))]
    for turn in range(int(moves)):
        registry.set_alias(ALIAS, registered[-1 - turn % 2])


def time_lookups(name: str, folder: str) -> dict[str, float]:
    """Return the number of versions, and seconds: of opening and resolving once, and medians of repeated lookups."""
    module = load_registry(name)
    began = perf_counter()
    registry = module.Registry(Path(folder))
    registry.resolve(ALIAS)
    values = {"first_s": perf_counter() - began, "versions": len(registry.versions())}
    for key, look_up in (("again_s", lambda: registry.resolve(ALIAS)), ("list_s", registry.versions)):
        values[key] = median(timeit.repeat(look_up, number=1, repeat=LOOKUPS))
    return {key: round(value, 6) for key, value in values.items()}


def load_registry(name: str) -> ModuleType:
    module = importlib.import_module(f"benchmarks.registries.{name}")
    os.environ.update(getattr(module, "SETTINGS", {}))
    for library in module.IMPORTS:
        importlib.import_module(library)
    return module


def create_registry(module: ModuleType, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    registry = module.Registry(folder)
    if hasattr(registry, "create"):
        registry.create()


def run_race(
    module: ModuleType, folder: Path, writers: int, versions: int
) -> tuple[list[WriterRecord], RegistryContent]:
    """Start all writers at once, and read the registry after their end, each in a process of its own."""
    _fork(lambda _number: create_registry(module, folder), 1)
    barrier = _FORK.Barrier(writers)
    records = _fork(lambda number: _write_versions(module, folder, number, versions, barrier), writers)
    return records, _fork(lambda _number: _read_content(module, folder, records), 1)[0]


def _write_versions(module: ModuleType, folder: Path, number: int, versions: int, barrier: Any) -> WriterRecord:
    record, registry = WriterRecord(f"writer_{number}"), module.Registry(folder)
    barrier.wait(MAX_WAIT_S)
    record.began = monotonic()
    for turn in range(versions):
        try:
            version = registry.publish(f"{number}-{turn}")
            record.versions.append((version, f"{number}-{turn}"))
            record.possible.append(version)
            registry.set_alias(record.alias, version)
            record.moves.append((record.alias, version))
            record.possible = [version]
        except Exception as error:  # a library may raise any error; the call is not repeated
            record.errors.append(f"{type(error).__name__}: {shorten(str(error))}")
    record.ended = monotonic()
    return record


def _read_content(module: ModuleType, folder: Path, records: Sequence[WriterRecord]) -> RegistryContent:
    registry = module.Registry(folder)
    content = RegistryContent(registry.contents(), {}, registry.moves() if hasattr(registry, "moves") else None)
    for record in records:
        try:
            content.aliases[record.alias] = str(registry.resolve(record.alias))
        except Exception:  # an alias that cannot be resolved has no version
            content.aliases[record.alias] = None
    return content


def shorten(message: str) -> str:
    """Return the beginning of a message, with paths cut to their last part."""
    return re.sub(r"/(?:[^\s'\":/]+/)+", "", " ".join(message.split()))[:150].rstrip(". ")


def summarize_race(records: Sequence[WriterRecord], content: RegistryContent, *, numbered: bool) -> dict[str, Any]:
    """Count calls, failures, losses and duplicates; ``seconds`` is from the first begin to the last end.

    Lost are confirmed versions and changes of aliases that are missing; without a history, aliases that have no
    possible version. Duplicates are versions confirmed twice, tokens stored twice, and changes recorded twice.
    """
    errors = Counter(error for record in records for error in record.errors)
    versions = [pair for record in records for pair in record.versions]
    moves = [pair for record in records for pair in record.moves]
    lost = set(versions) - set(content.versions)
    if content.moves is None:
        wrong = [record for record in records if record.moves and content.aliases[record.alias] not in record.possible]
    else:
        wrong = set(moves) - set(content.moves)
    unique = [version for version, _ in versions], [token for _, token in content.versions], content.moves or []
    numbers = {int(version) for version, _ in content.versions} if numbered else set()
    return {
        "writers": len(records),
        "calls": len(versions) + len(moves) + errors.total(),
        "failed": errors.total(),
        "error": errors.most_common(1)[0][0] if errors else None,
        "lost": len(lost) + len(wrong),
        "doubled": sum(len(values) - len(set(values)) for values in unique),
        "gaps": max(numbers, default=0) - len(numbers) if numbered else None,
        "history": content.moves is not None,
        "seconds": round(max(record.ended for record in records) - min(record.began for record in records), 4),
    }


def _fork(function: Callable[[int], _T], processes: int) -> list[_T]:
    """Call a function with 0, 1, 2, … in forked processes, which inherit it, so that it need not be pickled."""
    with ProcessPoolExecutor(processes, _FORK, _inherited.append, (function,)) as pool:
        return list(pool.map(_call_inherited, range(processes)))


_inherited: list[Callable[[int], Any]] = []


def _call_inherited(number: int) -> Any:
    return _inherited[-1](number)
