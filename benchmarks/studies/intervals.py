"""Do prediction intervals hold the share of titles that they promise? Asked over many random divisions of a file.

Each division trains the network of ``jobs/train.toml``, and calibrates it, as ``gamesales train`` does; what is held
back then says how many titles the intervals hold. The networks of all divisions are trained at once.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import numpy as np

from benchmarks.assets import ROOT
from benchmarks.studies.many import Recipe, learn
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import Titles, read_titles
from gamesales.scoring.scorer import Interval
from gamesales.training import folds
from gamesales.training import intervals as calibration

DIVISIONS = 100
# Titles that each division holds back; the others train.
HELD_BACK = 0.2
COVERAGES = (0.8, 0.9, 0.95)
FOLDS = 5
CALIBRATION_SHARE = 0.2

Found = list[tuple[float, float]]


def lines() -> Iterator[str]:
    """Yield the rows of the table: for each file and method, coverage and width over the divisions."""
    yield f"{DIVISIONS} divisions, {100 * HELD_BACK:.0f} % held back\n"
    yield "| titles | method | asked | held, mean | least to most | median width |"
    yield "|---|---|---|---|---|---|"
    files = {"the simulated store's": "data/sales_data_training.csv", "those of `TITLES`": os.environ.get("TITLES")}
    for name, path in files.items():
        if not path:
            continue
        titles = read_titles(ROOT / path, Contract.from_toml(ROOT / "data/contract.toml"))
        for method, divide in (("cv", _by_folds), ("split", _by_split)):
            found = np.array(divide(titles))
            for place, coverage in enumerate(COVERAGES):
                held, width = found[:, place].T
                yield (
                    f"| {name} | {method} | {100 * coverage:.0f} % | {100 * held.mean():.1f} % "
                    f"| {100 * held.min():.1f} % to {100 * held.max():.1f} % | ${np.median(width):,.0f} |"
                )


def _by_split(titles: Titles) -> list[Found]:
    """Return what each division finds where a share of the titles is not learnt from."""
    divisions = []
    for seed in range(DIVISIONS):
        past, test = _divided(titles, 1_000 + seed)
        known, aside = calibration.set_aside(len(past), CALIBRATION_SHARE, seed)
        divisions.append((past.take(known), past.take(aside), test))
    learnt = _learn([known for known, _, _ in divisions])
    found = []
    for (known, aside, test), predict in zip(divisions, learnt, strict=True):
        scale = calibration.fit_scale(predict(known.features), known.earnings)
        found.append(_held(scale, predict(aside.features), aside.earnings, predict(test.features), test))
    return found


def _by_folds(titles: Titles) -> list[Found]:
    """Return what each division finds where further networks each learn from four fifths, the published from all."""
    divisions = [_divided(titles, 1_000 + seed) for seed in range(DIVISIONS)]
    parts = [folds.cut(len(past), FOLDS, seed) for seed, (past, _) in enumerate(divisions)]
    others = [
        past.take(np.setdiff1d(np.arange(len(past)), part))
        for (past, _), cut in zip(divisions, parts, strict=True)
        for part in cut
    ]
    beside, published = iter(_learn(others)), _learn([past for past, _ in divisions])
    found = []
    for (past, test), cut, predict in zip(divisions, parts, published, strict=True):
        learners = itertools.islice(beside, FOLDS)
        predicted = np.empty(len(past))
        for part, one in zip(cut, learners, strict=True):
            predicted[part] = one(past.features[part])
        scale = calibration.fit_scale(predicted, past.earnings)
        found.append(_held(scale, predicted, past.earnings, predict(test.features), test))
    return found


def _divided(titles: Titles, seed: int) -> tuple[Titles, Titles]:
    """Hold some titles back: the others and these."""
    past, test = calibration.set_aside(len(titles), HELD_BACK, seed)
    return titles.take(past), titles.take(test)


def _learn(parts: list[Titles]) -> list[folds.Predict]:
    return learn(Recipe.of_default_job(), [(part.features, part.earnings) for part in parts], 1)


def _held(
    scale: tuple[float, float],
    predicted: folds.FloatArray,
    actual: folds.FloatArray,
    answers: folds.FloatArray,
    test: Titles,
) -> Found:
    """Calibrate, and return for each coverage the share of the test titles that is held, and the median width."""
    scores, results = calibration.scores(predicted, actual, *scale), []
    for coverage in COVERAGES:
        interval = Interval(coverage, *scale, calibration.conformal_quantile(scores, coverage), whole_units=True)
        low, high = interval.bounds(answers)
        results.append((float(interval.holds(answers, test.earnings).mean()), float(np.median(high - low))))
    return results
