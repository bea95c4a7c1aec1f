"""Rounds: every contender once, in an order that each round begins elsewhere, so that what drifts hits all alike.

Nothing is dropped: a slow round stays in the spread. There is no warm-up round either; what warms the caches is the
check that every contender passes before it is timed, and reading the input once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Measured, measure

Run = dict[str, Any]
Skipped = dict[str, str]


@dataclass(frozen=True)
class Cell:
    """One thing to measure: who, on what, and how many rows.

    ``command`` makes the command of a round, and what it needs; ``answer`` is a JSON file that the command writes,
    kept with the run; ``fault`` says what is wrong with the output, if anything; ``most_rounds`` is for what is slow.
    """

    contender: str
    case: str
    rows: int
    command: Callable[[int], list[str]]
    answer: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    fault: Callable[[], str | None] = lambda: None
    most_rounds: int | None = None


def turns(cells: Sequence[Cell], rounds: int) -> Iterator[tuple[int, Cell]]:
    """Yield round after round, each from another place: with three rounds, the second begins a third of the way in."""
    for number in range(rounds):
        start = number * len(cells) // rounds
        for cell in [*cells[start:], *cells[:start]]:
            if cell.most_rounds is None or number < cell.most_rounds:
                yield number, cell


def measure_rounds(cells: Sequence[Cell], rounds: int) -> tuple[list[Run], list[Skipped]]:
    """Measure all cells in each round.

    Returns: the runs, each with contender, case, rows, round, the measurements and the command's own answer; and
    what was given up after it failed, with the reason.
    """
    runs: list[Run] = []
    failed: dict[int, Skipped] = {}
    in_all = sum(1 for _ in turns(cells, rounds))
    for done, (number, cell) in enumerate(turns(cells, rounds), 1):
        if id(cell) in failed:
            continue
        measured = measure(cell.command(number), environment=cell.environment)
        fault = measured.failure or cell.fault()
        told = fault or f"{measured.wall_s:.2f} s"
        say(f"  {done:4} of {in_all}  {cell.contender}, {cell.case}, {cell.rows:,} rows: {told}")
        if fault:
            failed[id(cell)] = skipped(cell.contender, f"{cell.case}, {cell.rows:,} rows", fault)
        else:
            runs.append(as_run(cell, number, measured))
    return runs, list(failed.values())


def skipped(contender: str, what: str, reason: str) -> Skipped:
    """Say what was not measured, and why; nothing is left out in silence."""
    return {"contender": contender, "what": what, "reason": reason}


def as_run(cell: Cell, number: int, measured: Measured) -> Run:
    """Return a measurement as the results keep it."""
    figures = asdict(measured)
    kept = {key: figures[key] for key in ("wall_s", "cpu_s", "peak_bytes")}
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in kept.items()}
    answer = {"answer": json.loads(cell.answer.read_bytes())} if cell.answer else {}
    return {"contender": cell.contender, "case": cell.case, "rows": cell.rows, "round": number, **rounded, **answer}


def say(line: str) -> None:
    """Tell the person who waits."""
    print(line, file=sys.stderr, flush=True)
