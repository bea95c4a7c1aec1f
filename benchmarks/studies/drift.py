"""How often a night is called drifted: by chance, when its titles are training's own, and when a column did change.

Titles come from the simulated store, and predictions from the formula that it follows. The random numbers are seeded:
the same release of NumPy prints the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.data.simulate import COLUMNS, GENRES, TARGET, expected_earnings, simulate
from gamesales.scoring import drift
from gamesales.training.metrics import column_profile, training_profile

FEATURES = tuple(name for name in COLUMNS if name != TARGET)
PAST_TITLES, STORE_TITLES = 1_000, 100_000
# Titles in a night, and how many such nights are drawn from training.
NIGHTS = {10: 50_000, 20: 50_000, 30: 50_000, 100: 50_000, 300: 50_000, 1_000: 5_000}
CHANGED_NIGHTS = 500
# Smaller nights are too small to find anything in.
FEWEST_CHANGED = 30
LOWER = 0.1

Night = npt.NDArray[np.float64]  # (n, 10): the features, and what they earn
Draw = Callable[[np.random.Generator, int], Night]


class Study:
    """The titles of training with their profile, and those of the store that nights come from."""

    def __init__(self) -> None:
        self.past, self.store = titles(PAST_TITLES, 1), titles(STORE_TITLES, 2)
        manifest = {
            "training_profile": training_profile(FEATURES, self.past[:, :-1]),
            "prediction_profile": column_profile("predicted_earnings", self.past[:, -1]),
        }
        profiles = drift.profiles_of(manifest, FEATURES)
        assert profiles is not None
        self.profiles = profiles

    def judge(self, night: Night, threshold: float = drift.PSI_THRESHOLD) -> drift.Drift:
        counts = [drift.count(profile, column) for profile, column in zip(self.profiles, night.T, strict=True)]
        return drift.judge(self.profiles, counts, [0] * len(FEATURES) + [None], len(night), threshold)

    def from_training(self, random: np.random.Generator, rows: int) -> Night:
        return self.past[random.integers(0, len(self.past), rows)]

    def dearer(self, random: np.random.Generator, rows: int) -> Night:
        """Draw from the store, every price 20 dollars up."""
        night = self.store[random.integers(0, len(self.store), rows)].copy()
        night[:, FEATURES.index("unit_price")] += 20
        return night

    def doubled(self, genre: str) -> Draw:
        """Return how to draw from a store in which a genre is twice as frequent."""
        flags = self.store[:, FEATURES.index(genre)]
        of_it, others = self.store[flags == 1], self.store[flags == 0]

        def draw(random: np.random.Generator, rows: int) -> Night:
            many = random.binomial(rows, 2 * GENRES[genre] / 1_000)
            return np.concatenate([random.choice(of_it, many), random.choice(others, rows - many)])

        return draw

    def false_alarms(self, rows: int, nights: int) -> float:
        """Return the share of nights drawn from training in which any column is called drifted."""
        random = np.random.default_rng(rows)
        return sum(bool(self.judge(self.from_training(random, rows)).drifted) for _ in range(nights)) / nights

    def found(self, draw: Draw, column: str, threshold: float, rows: int) -> float:
        """Return the share of changed nights in which the column that changed is called drifted."""
        random = np.random.default_rng(rows)
        judged = (self.judge(draw(random, rows), threshold).drifted for _ in range(CHANGED_NIGHTS))
        return sum(column in drifted for drifted in judged) / CHANGED_NIGHTS

    def above_threshold(self, rows: int, nights: int) -> tuple[float, float]:
        """Return the shares of nights drawn from training with a PSI above the threshold: predictions, any column."""
        random = np.random.default_rng(rows)
        above = np.array(
            [
                [one.psi > drift.PSI_THRESHOLD for one in self.judge(self.from_training(random, rows)).columns]
                for _ in range(nights)
            ]
        )
        return float(above[:, -1].mean()), float(above.any(axis=1).mean())


def lines() -> Iterator[str]:
    """Yield the figures of the text, and then the table."""
    study = Study()
    predictions, any_column = study.above_threshold(30, NIGHTS[30])
    yield f"of 30 titles: {_share(predictions)} in the predictions, {_share(any_column)} in at least one column\n"
    changes = {
        "all prices 20 dollars up": (study.dearer, "unit_price", drift.PSI_THRESHOLD),
        "role-playing 35 % to 69 %": (study.doubled("is_role_playing"), "is_role_playing", drift.PSI_THRESHOLD),
        "sports 19 % to 37 %": (study.doubled("is_sports"), "is_sports", drift.PSI_THRESHOLD),
        f"the same, threshold {LOWER}": (study.doubled("is_sports"), "is_sports", LOWER),
    }
    yield _row("titles in a night", "false alarms", *changes)
    yield "|" + "---:|" * (2 + len(changes))
    for rows, nights in NIGHTS.items():
        alarms = f"{100 * study.false_alarms(rows, nights):.1f} %"
        shares = [_share(study.found(*change, rows)) if rows >= FEWEST_CHANGED else "" for change in changes.values()]
        yield _row(f"{rows:,}", alarms, *shares)


def titles(rows: int, seed: int) -> Night:
    """Simulate titles, and what a version that knows the store predicts for them."""
    table = pa.Table.from_batches(simulate(rows, seed=seed))
    return np.column_stack([*(np.asarray(table[name], np.float64) for name in FEATURES), expected_earnings(table)])


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  ", "| ")
