"""How often does a run drift: by chance, when its titles come from training, and when a column has changed?

Titles come from the simulated store, and predictions from its formula. The random numbers are seeded: the same release
of NumPy prints the same table.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from benchmarks.studies import format_row
from gamesales.arrays import FloatArray
from gamesales.data.simulate import COLUMNS, GENRES, TARGET, compute_expected_earnings, simulate
from gamesales.scoring import drift
from gamesales.training.evaluation import profile_column, profile_columns

FEATURES = tuple(name for name in COLUMNS if name != TARGET)
PAST_TITLES, STORE_TITLES = 1_000, 100_000
# Titles in a run, and the number of runs that are drawn from training.
RUNS = {10: 50_000, 20: 50_000, 30: 50_000, 100: 50_000, 300: 50_000, 1_000: 5_000}
CHANGED_RUNS = 500
# Smaller runs cannot detect a change.
MIN_CHANGED_ROWS = 30
LOWER_THRESHOLD = 0.1

Draw = Callable[[np.random.Generator, int], FloatArray]  # returns (n, 10): the features and the predictions


class Study:
    """The training titles with their profiles, and the titles of the store."""

    def __init__(self) -> None:
        self.past, self.store = simulate_titles(PAST_TITLES, 1), simulate_titles(STORE_TITLES, 2)
        manifest = {
            "training_profile": profile_columns(FEATURES, self.past[:, :-1]),
            "prediction_profile": profile_column("predicted_earnings", self.past[:, -1]),
        }
        self.profiles = drift.read_profiles(manifest, FEATURES) or ()

    def measure(self, titles: FloatArray, threshold: float = drift.PSI_THRESHOLD) -> drift.Drift:
        counts = [drift.count_bins(profile, column) for profile, column in zip(self.profiles, titles.T, strict=True)]
        return drift.measure_drift(self.profiles, counts, [0] * len(FEATURES) + [None], len(titles), threshold)

    def draw_expensive(self, random: np.random.Generator, rows: int) -> FloatArray:
        """Draw from the store, with every price 20 dollars higher."""
        titles = self.store[random.integers(0, len(self.store), rows)].copy()
        titles[:, FEATURES.index("unit_price")] += 20
        return titles

    def make_doubled_draw(self, genre: str) -> Draw:
        """Return a function that draws from a store in which a genre is twice as frequent."""
        flags = self.store[:, FEATURES.index(genre)]
        of_genre, others = self.store[flags == 1], self.store[flags == 0]

        def draw(random: np.random.Generator, rows: int) -> FloatArray:
            count = random.binomial(rows, 2 * GENRES[genre] / 1_000)
            return np.concatenate([random.choice(of_genre, count), random.choice(others, rows - count)])

        return draw

    def measure_false_alarms(self, rows: int, runs: int) -> tuple[float, float, float]:
        """Return the shares of runs from training with drift, and above the threshold in predictions and anywhere."""
        random, results = np.random.default_rng(rows), []
        for _ in range(runs):
            result = self.measure(self.past[random.integers(0, len(self.past), rows)])
            above = [column.psi > drift.PSI_THRESHOLD for column in result.columns]
            results.append((bool(result.drifted), above[-1], any(above)))
        return tuple(np.mean(results, axis=0).tolist())

    def measure_detection(self, draw: Draw, column: str, threshold: float, rows: int) -> float:
        """Return the share of changed runs in which the changed column has drifted."""
        random = np.random.default_rng(rows)
        drifted = (self.measure(draw(random, rows), threshold).drifted for _ in range(CHANGED_RUNS))
        return sum(column in columns for columns in drifted) / CHANGED_RUNS


def build_lines() -> Iterator[str]:
    """Yield the shares in the text, and then the table."""
    study = Study()
    _, predictions, any_column = study.measure_false_alarms(30, RUNS[30])
    shares = f"{predictions:.0%} in the predictions, {any_column:.0%} in at least one column"
    yield f"of 30 titles: {shares}\n"
    role_playing, sports = (study.make_doubled_draw(genre) for genre in ("is_role_playing", "is_sports"))
    changes = {
        "all prices 20 dollars up": (study.draw_expensive, "unit_price", drift.PSI_THRESHOLD),
        "role-playing 35% to 69%": (role_playing, "is_role_playing", drift.PSI_THRESHOLD),
        "sports 19% to 37%": (sports, "is_sports", drift.PSI_THRESHOLD),
        f"the same, threshold {LOWER_THRESHOLD}": (sports, "is_sports", LOWER_THRESHOLD),
    }
    yield format_row(["titles in a run", "false alarms", *changes])
    yield "|" + "---:|" * (2 + len(changes))
    for rows, runs in RUNS.items():
        alarms = f"{study.measure_false_alarms(rows, runs)[0]:.1%}"
        if rows >= MIN_CHANGED_ROWS:
            cells = [f"{study.measure_detection(*change, rows):.0%}" for change in changes.values()]
        else:
            cells = [""] * len(changes)
        yield format_row([f"{rows:,}", alarms, *cells])


def simulate_titles(rows: int, seed: int) -> FloatArray:
    """Simulate titles, and the predictions of a version that knows the store."""
    table = pa.Table.from_batches(simulate(rows, seed=seed))
    return np.column_stack(
        [*(np.asarray(table[name], np.float64) for name in FEATURES), compute_expected_earnings(table)]
    )
