"""The input and the result of the checks of a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.diagnostics.residuals import Correlation, GroupErrors
from gamesales.stats.same_features import NoiseEstimate

# With fewer test titles, metrics are more chance than fact.
MIN_TEST_TITLES = 50


@dataclass(frozen=True)
class Notice:
    """A warning or a note. ``about`` identifies the check for programs."""

    level: Literal["warning", "note"]
    about: str
    text: str


@dataclass(frozen=True)
class CheckInput:
    """Everything that a check can use.

    Attributes:
        contract: names the columns.
        training: the n training titles.
        test: the m test titles.
        training_clusters: int64 (n,), equal for titles with the same features.
        test_clusters: int64 (m,), also equal to the cluster of training titles with the same features.
        errors: float64 (m,), predicted minus actual earnings of the test titles.
        noise: the noise of the earnings. None if it is unknown.
        groups: the errors of each group of test titles.
        order: the correlation of each error with the error of the row before.
        fold_errors: by kind of k-fold, the absolute out-of-fold errors, float64 (n,). Kinds may be missing.
        seed_errors: the mean absolute errors of the same network with other seeds.
    """

    contract: Contract
    training: LabeledTitles
    test: LabeledTitles
    training_clusters: IntArray
    test_clusters: IntArray
    errors: FloatArray
    noise: NoiseEstimate | None
    groups: Sequence[GroupErrors]
    order: Correlation
    fold_errors: Mapping[str, FloatArray]
    seed_errors: Sequence[float]
