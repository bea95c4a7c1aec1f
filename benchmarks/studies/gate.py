"""How often the gate lets a candidate through, by how good it really is and how many titles the holdout has.

Errors are drawn from a normal distribution, a pair for each title, as alike as those of two versions on the test titles
that are shipped. The bound is that of the normal distribution, which a test holds to the resampled one. The random
numbers are seeded: the same release of NumPy prints the same table.
"""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np

from gamesales.registry import gate
from gamesales.stats import bootstrap as resampling

ROWS = (30, 200, 400, 1_000, 2_000, 5_000)
PAIRS = 2_000
# Correlation of two versions' errors: jobs/train.toml with seeds 1 and 3; that, and --preset course.
RETRAINED, ANOTHER = 0.92, 0.43
# By how much of the champion's error the candidate's is above it, and how alike their errors are.
CANDIDATES = {
    f"{name}, {how}": (worse, alike)
    for name, alike in (("retrained", RETRAINED), ("another network", ANOTHER))
    for how, worse in (("5 % better", -0.05), ("as good", 0.0), ("5 % worse", 0.05), ("10 % worse", 0.10))
}


def lines() -> Iterator[str]:
    """Yield the table."""
    yield _row("titles", *CANDIDATES)
    yield "|" + "---:|" * (1 + len(CANDIDATES))
    for rows in ROWS:
        yield _row(f"{rows:,}", *(f"{100 * passing(rows, *one):.0f} %" for one in CANDIDATES.values()))


def passing(rows: int, worse: float, alike: float) -> float:
    """Return the share of pairs of versions in which the candidate passes."""
    random = np.random.default_rng(rows)
    with mock.patch.object(resampling, "MOST_ROWS", 0):
        return sum(gate.compare(*errors(random, rows, worse, alike), seed=1).passes for _ in range(PAIRS)) / PAIRS


def errors(
    random: np.random.Generator, rows: int, worse: float, alike: float
) -> tuple[gate.FloatArray, gate.FloatArray]:
    """Draw the errors of a champion and of a candidate on the same titles: float64 (rows,) each."""
    champion, own = random.normal(size=(2, rows))
    return champion, (1 + worse) * (alike * champion + (1 - alike**2) ** 0.5 * own)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
