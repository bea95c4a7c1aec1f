"""How often does the gate accept a candidate, by its quality and by the number of titles in the holdout?

Errors are drawn from a normal distribution in pairs, as correlated as the errors of two versions on the shipped test
titles. The bound is the bound of the normal distribution; a test compares it with the bootstrap. The random numbers are
seeded: the same release of NumPy prints the same table.
"""

from collections.abc import Iterator
from unittest import mock

import numpy as np

from benchmarks.studies import format_row
from gamesales.arrays import FloatArray
from gamesales.registry.gate import compare_with_champion
from gamesales.stats import bootstrap

ROWS = (30, 200, 400, 1_000, 2_000, 5_000)
PAIRS = 2_000
# Correlation of the errors: jobs/train.toml with seeds 1 and 3; jobs/train.toml and --preset course.
RETRAINED, ANOTHER = 0.92, 0.43
# The excess of the candidate's error over the champion's error, and the correlation of their errors.
CANDIDATES = {
    f"{name}, {quality}": (excess, correlation)
    for name, correlation in (("retrained", RETRAINED), ("another network", ANOTHER))
    for quality, excess in (("5% better", -0.05), ("equal", 0.0), ("5% worse", 0.05), ("10% worse", 0.10))
}


def build_lines() -> Iterator[str]:
    yield format_row(["titles", *CANDIDATES])
    yield "|" + "---:|" * (1 + len(CANDIDATES))
    for rows in ROWS:
        shares = [f"{measure_acceptance(rows, *candidate):.0%}" for candidate in CANDIDATES.values()]
        yield format_row([f"{rows:,}", *shares])


def measure_acceptance(rows: int, excess: float, correlation: float) -> float:
    """Return the share of pairs of versions in which the candidate passes."""
    random = np.random.default_rng(rows)
    with mock.patch.object(bootstrap, "MAX_RESAMPLED_ROWS", 0):
        pairs = (draw_errors(random, rows, excess, correlation) for _ in range(PAIRS))
        return sum(compare_with_champion(*pair, seed=1).passes for pair in pairs) / PAIRS


def draw_errors(
    random: np.random.Generator, rows: int, excess: float, correlation: float
) -> tuple[FloatArray, FloatArray]:
    """Draw the errors of a champion and of a candidate on the same titles, (rows,) each."""
    champion, own = random.normal(size=(2, rows))
    return champion, (1 + excess) * (correlation * champion + (1 - correlation**2) ** 0.5 * own)
