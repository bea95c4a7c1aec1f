"""Measure how much wider the prediction intervals of unfamiliar titles must be.

No title outside of the training range has known earnings, so the errors there can't be measured. Two things can. The
networks of the folds, which agree in training, disagree outside. And what the network predicts beyond the last training
value is a guess: the truth may go on, or stay as it is there. A category that training did not have may be like any
other. docs/explanation/intervals.md has the rule, and how often
its intervals contain the earnings of simulated titles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.categories import list_codes
from gamesales.data.contract import Contract
from gamesales.data.screen import find_extremes
from gamesales.scoring.familiarity import MAX_COMBINATIONS, MAX_FLAGS, ONE_FLAG_DIFFERS, FlagCombinations, encode_flags
from gamesales.scoring.prediction_interval import PredictionInterval
from gamesales.scoring.scorer import get_target_range
from gamesales.training.fit import PredictFunction

# The distances that are measured, in units of the column's range in training. Intervals beyond the last are withheld.
_DISTANCES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# At this distance, half of the change that the network predicts beyond the range is doubted.
_HALF_DOUBT = 0.25
# More titles hardly change a quantile.
_MAX_TITLES = 2_000
# The titles are repeated this many times, each with another flag changed.
_FLAG_DRAWS = 4
# An unseen category is compared with this number of frequent categories. This number of unseen categories is tried.
_KNOWN_CODES, _UNSEEN_CODES = 12, 3


def record_combinations(contract: Contract, features: FloatArray) -> dict[str, Any]:
    """Return the manifest's entry of the combinations of flags in training.

    Args:
        contract: names the k features.
        features: (n, k), not scaled.
    """
    columns = [index for index, column in enumerate(contract.features) if column.kind == "flag"]
    seen = None
    if 0 < len(columns) <= MAX_FLAGS:
        codes = np.unique(encode_flags([features[:, index] for index in columns]))
        seen = codes.tolist() if len(codes) <= MAX_COMBINATIONS else None
    return {"columns": [contract.features[index].name for index in columns], "seen": seen}


class WideningFit:
    """The networks of a version, which are compared on titles that are moved out of the training range.

    Args:
        contract: the columns.
        features: the training titles, (n, k), not scaled.
        interval: the prediction intervals of familiar titles.
        predict: predicts with the published network.
        networks: predict with the networks of the folds.
        seed: draws the titles.
    """

    def __init__(
        self,
        contract: Contract,
        features: FloatArray,
        interval: PredictionInterval,
        predict: PredictFunction,
        networks: Sequence[PredictFunction],
        seed: int,
    ) -> None:
        self._contract, self._interval = contract, interval
        self._predict, self._networks = predict, networks
        self._random = np.random.default_rng([seed, 5])
        self._low, self._high = np.array([find_extremes(column) for column in features.T]).T
        rows = min(len(features), _MAX_TITLES)
        self._titles = features[np.sort(self._random.permutation(len(features))[:rows])]
        self._features = features
        self._combinations = FlagCombinations.from_manifest(
            {"flag_combinations": record_combinations(contract, features)}, contract
        )

    def measure(self) -> dict[str, Any]:
        """Return the manifest's entry: the growth of the half width at each distance; see ``Widening``."""
        with np.errstate(invalid="ignore", over="ignore"):  # far outside, predictions may not be finite
            columns = [entry for index in range(len(self._low)) if (entry := self._measure_column(index))]
            combination = self._measure_combination()
        return {"distances": list(_DISTANCES), "columns": columns, "combination": combination}

    def _measure_column(self, index: int) -> dict[str, Any] | None:
        """Measure the growth on both sides of the range of a column; None without a range, or if it is not finite."""
        column = self._contract.features[index]
        if column.kind == "category":
            return self._measure_category(index)
        if column.kind == "flag" or self._low[index] >= self._high[index]:
            return None
        below, above = self._measure_side(index, -1), self._measure_side(index, 1)
        if not np.isfinite([below, above]).all():
            return None
        return {"name": column.name, "below": below.tolist(), "above": above.tolist()}

    def _measure_category(self, index: int) -> dict[str, Any] | None:
        """Measure the growth for a category that training did not have; None if it had all, or only one.

        Codes have no distances, so the growth is the same at each distance. The doubt is the largest difference from
        the same title with a frequent category.
        """
        column = self._contract.features[index]
        seen, rows = np.unique(self._features[:, index], return_counts=True)
        unseen = np.setdiff1d(np.arange(len(list_codes(column))), seen)
        if not len(unseen) or len(seen) < 2:
            return None
        frequent = seen[np.argsort(-rows, kind="stable")][:_KNOWN_CODES]
        with_frequent = [self._clip(self._predict(self._move(index, code))) for code in frequent]
        growths = []
        for code in np.unique(unseen[np.linspace(0, len(unseen) - 1, _UNSEEN_CODES).astype(int)]):
            predicted, disagreement = self._compare_networks(self._move(index, float(code)))
            doubted = np.max([np.abs(other - predicted) for other in with_frequent], axis=0)
            growths.append(self._compute_growth(np.maximum(disagreement, doubted), predicted))
        growth = max(growths)
        if not np.isfinite(growth):
            return None
        return {"name": column.name, **dict.fromkeys(("below", "above"), [growth] * len(_DISTANCES))}

    def _measure_side(self, index: int, direction: int) -> FloatArray:
        """Measure the growth at each distance below (-1) or above (1) the range of a column."""
        edge = self._high[index] if direction > 0 else self._low[index]
        span = self._high[index] - self._low[index]
        at_edge = self._clip(self._predict(self._move(index, edge)))
        growths = []
        for distance in _DISTANCES:
            titles = self._move(index, edge + direction * distance * span)
            predicted, disagreement = self._compare_networks(titles)
            doubted = np.abs(predicted - at_edge) * distance / (distance + _HALF_DOUBT)
            growths.append(self._compute_growth(np.maximum(disagreement, doubted), predicted))
        return np.maximum.accumulate(growths)

    def _measure_combination(self) -> float | None:
        """Measure the growth for a combination of flags that differs by one flag from the combinations of training.

        The doubt is the largest difference from the same title with a combination of training next to its own.
        """
        if self._combinations is None or self._combinations.seen is None:
            return None
        flags = np.flatnonzero(self._combinations.flags)
        titles = np.repeat(self._titles, _FLAG_DRAWS, axis=0)
        changed = flags[self._random.integers(0, len(flags), len(titles))]
        titles = _flip(titles, changed)
        distances = self._combinations.compare(list(titles.T))
        if distances is None:
            return None
        titles = titles[distances == ONE_FLAG_DIFFERS]
        predicted, disagreement = self._compare_networks(titles)
        difference = np.zeros(len(titles))
        for flag in flags:
            neighbors = _flip(titles, np.full(len(titles), flag))
            compared = self._combinations.compare(list(neighbors.T))
            is_seen = np.ones(len(titles), bool) if compared is None else compared == 0
            change = np.abs(self._clip(self._predict(neighbors)) - predicted)
            difference = np.where(is_seen, np.maximum(difference, change), difference)
        growth = self._compute_growth(difference + disagreement, predicted)
        return growth if np.isfinite(growth) else None

    def _move(self, index: int, value: float) -> FloatArray:
        titles = self._titles.copy()
        titles[:, index] = value
        return titles

    def _compare_networks(self, titles: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the predictions, and the largest difference of a network of the folds from each, (m,) both."""
        predicted = self._clip(self._predict(titles))
        others = [self._clip(network(titles)) for network in self._networks]
        return predicted, np.max([np.abs(other - predicted) for other in others], axis=0)

    def _clip(self, predictions: FloatArray) -> FloatArray:
        return np.clip(predictions, *get_target_range(self._contract))

    def _compute_growth(self, errors: FloatArray, predicted: FloatArray) -> float:
        scale = self._interval.floor + self._interval.slope * np.abs(predicted)
        return float(np.quantile(errors / scale, self._interval.coverage, method="higher"))


def _flip(titles: FloatArray, flags: Any) -> FloatArray:
    """Change one flag of each title; ``flags`` has its index, (m,)."""
    changed = titles.copy()
    rows = np.arange(len(titles))
    changed[rows, flags] = 1 - changed[rows, flags]
    return changed
