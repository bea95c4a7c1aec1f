"""Rounds: every contender once, in an order that each round begins elsewhere, so that what drifts hits all alike.

Nothing is dropped: a slow round stays in the spread. There is no warm-up round either; what warms the caches is the
check that every contender passes before it is timed, and reading the input before every run.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.measure import Measured, measure

Run = dict[str, Any]
Skipped = dict[str, str]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Cell:
    """One thing to measure: who, on what, and how many rows.

    ``command`` makes the command of a round, and what it needs; ``answer`` is a JSON file that the command writes,
    kept with the run; ``fault`` says what is wrong with the output, if anything; ``most_rounds`` is for what costs
    much and tells no ratio.
    """

    contender: str
    case: str
    rows: int
    command: Callable[[int], list[str]]
    answer: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    fault: Callable[[], str | None] = lambda: None
    most_rounds: int = sys.maxsize


@dataclass(frozen=True)
class Patience:
    """How many rounds a cell takes part in, by the seconds that its first one took: the dearer, the fewer.

    ``steps`` are pairs (seconds, rounds), the cheapest first: a run that took less has so many rounds. From ``FEWEST``
    rounds on, another one begins only if it would end ``until`` then, on ``time.monotonic``, if each of its cells took
    as long as in the round before.
    """

    steps: Sequence[tuple[float, int]]
    until: float = math.inf

    def rounds(self, wall_s: float) -> int:
        """Return the rounds of a cell whose first run took so long."""
        return next(rounds for limit_s, rounds in self.steps if wall_s < limit_s)

    @property
    def most(self) -> int:
        """Return the rounds of the cheapest cells."""
        return self.steps[0][1]


# The interval of a ratio is 1.0 standard deviations to each side with six rounds, 1.6 with four, 2.5 with three, and 9
# with two, which is the least that gives any: figures.py.
QUICK = Patience([(math.inf, 6)])
FEWEST = 2
FULL = Patience([(3.0, 7), (10.0, 5), (60.0, 3), (math.inf, 1)])


def turned(cells: Sequence[_T], number: int, patience: Patience) -> list[_T]:
    """Return the order of a round; each begins elsewhere: with three, the second begins a third of the way in.

    If it is not known how many there will be, each begins far from all before it: a half in, a quarter, three quarters.
    """
    share = number / patience.most if patience.until == math.inf else _halves(number)
    start = int(share * len(cells) + 1e-9)
    return [*cells[start:], *cells[:start]]


def _halves(number: int) -> float:
    """Return 0, 1/2, 1/4, 3/4, 1/8, 5/8 …: the digits in base 2 mirrored, as van der Corput (1935) spreads points."""
    return int(f"{number:b}"[::-1], 2) / 2 ** max(number.bit_length(), 1)


def measure_rounds(cells: Sequence[Cell], patience: Patience) -> tuple[list[Run], list[Skipped]]:
    """Measure all cells in the first round, and in each later one those that patience still reaches.

    Every cell of a round is thus in all rounds before it too, so that two cells share the rounds of the dearer one.

    Returns: the runs, each with contender, case, rows, round, the measurements and the command's own answer; and
    what was given up after it failed, with the reason.
    """
    runs: list[Run] = []
    failed: list[Skipped] = []
    left, took = [patience.most] * len(cells), [0.0] * len(cells)
    for number in range(patience.most):
        order = turned([place for place in range(len(cells)) if left[place] > number], number, patience)
        for done, place in enumerate(order, 1):
            cell, began = cells[place], time.monotonic()
            measured = measure(cell.command(number), environment=cell.environment)
            fault = measured.failure or cell.fault()
            what = cell.case + (f", {cell.rows:,} rows" if cell.rows > 1 else "")
            told = fault or f"{measured.wall_s:.2f} s"
            say(f"  round {number + 1}, {done} of {len(order)}: {cell.contender}, {what}: {told}")
            if fault:
                failed.append(skipped(cell.contender, what, fault))
                left[place] = 0
                continue
            runs.append(as_run(cell, number, measured))
            if number == 0:
                left[place] = min(cell.most_rounds, patience.rounds(measured.wall_s))
            took[place] = time.monotonic() - began
        next_s = sum(seconds for seconds, rounds in zip(took, left, strict=True) if rounds > number + 1)
        if number + 1 >= FEWEST and time.monotonic() + next_s > patience.until:
            break
    return runs, failed


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
