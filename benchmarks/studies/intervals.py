"""Do prediction intervals reach the requested coverage? Measured over many random splits of a file.

Each split trains and calibrates the network of ``jobs/train.toml`` as ``gamesales train`` does, and measures the
coverage on the held-back titles. The networks of all splits are trained together.
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.measure import ROOT
from benchmarks.studies import format_row
from benchmarks.studies.many import Recipe, train_networks
from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles, read_titles
from gamesales.scoring.scorer import PredictionInterval
from gamesales.training import intervals as calibration
from gamesales.training.fit import PredictFunction
from gamesales.training.folds import make_plain_folds

SPLITS = 100
# The share of titles that each split holds back.
HELD_BACK = 0.2
COVERAGES = (0.8, 0.9, 0.95)
FOLDS = 5
CALIBRATION_SHARE = 0.2

Result = list[tuple[float, float]]  # for each requested coverage: the coverage, and the median width


def build_lines() -> Iterator[str]:
    """Yield the table: coverage and width over the splits for each file, method and requested coverage."""
    yield f"{SPLITS} splits, {HELD_BACK:.0%} held back\n"
    yield "| titles | method | requested | mean coverage | least to most | median width |"
    yield "|---|---|---|---|---|---|"
    for name, path in (("simulated store", "data/sales_data_training.csv"), ("`TITLES`", os.environ.get("TITLES"))):
        if not path:
            continue
        titles = read_titles(ROOT / path, Contract.from_toml(ROOT / "data/contract.toml"))
        for method, measure in (("cv", measure_cv), ("split", measure_split)):
            results = np.array(measure(titles))
            for place, requested in enumerate(COVERAGES):
                coverage, width = results[:, place].T
                shares = [f"{share:.1%}" for share in (coverage.mean(), coverage.min(), coverage.max())]
                cells = [name, method, f"{requested:.0%}", shares[0], f"{shares[1]} to {shares[2]}"]
                yield format_row([*cells, f"${np.median(width):,.0f}"])


def measure_split(titles: LabeledTitles) -> list[Result]:
    """Return the result of each split if a share of the titles calibrates and is not used for training."""
    splits = [_split(titles, HELD_BACK, 1_000 + seed) for seed in range(SPLITS)]
    parts = [_split(past, CALIBRATION_SHARE, seed) for seed, (past, _) in enumerate(splits)]
    networks, results = _train([train for train, _ in parts]), []
    for (train, calibrate), (_, test), predict in zip(parts, splits, networks, strict=True):
        scale = calibration.fit_scale(predict(train.features), train.earnings)
        results.append(_measure(scale, predict(calibrate.features), calibrate.earnings, predict(test.features), test))
    return results


def measure_cv(titles: LabeledTitles) -> list[Result]:
    """Return the result of each split if networks of five folds calibrate, and all titles train the published one."""
    splits = [_split(titles, HELD_BACK, 1_000 + seed) for seed in range(SPLITS)]
    folds = [make_plain_folds(len(past), FOLDS, seed) for seed, (past, _) in enumerate(splits)]
    others = [
        past.take(np.setdiff1d(np.arange(len(past)), fold))
        for (past, _), folds_of_split in zip(splits, folds, strict=True)
        for fold in folds_of_split
    ]
    fold_networks, published, results = iter(_train(others)), _train([past for past, _ in splits]), []
    for (past, test), folds_of_split, predict in zip(splits, folds, published, strict=True):
        predicted = np.empty(len(past))
        for fold in folds_of_split:
            predicted[fold] = next(fold_networks)(past.features[fold])
        scale = calibration.fit_scale(predicted, past.earnings)
        results.append(_measure(scale, predicted, past.earnings, predict(test.features), test))
    return results


def _split(titles: LabeledTitles, share: float, seed: int) -> tuple[LabeledTitles, LabeledTitles]:
    """Return the other titles, and a random share of the titles."""
    others, part = calibration.split_calibration_rows(len(titles), share, seed)
    return titles.take(others), titles.take(part)


def _train(parts: Sequence[LabeledTitles]) -> list[PredictFunction]:
    return train_networks(Recipe.of_default_job(), [(part.features, part.earnings) for part in parts], 1)


def _measure(
    scale: tuple[float, float], predicted: FloatArray, actual: FloatArray, published: FloatArray, test: LabeledTitles
) -> Result:
    """Calibrate with predictions and actual earnings, and measure the published predictions of the test titles."""
    scores, results = calibration.compute_nonconformity_scores(predicted, actual, *scale), []
    for requested in COVERAGES:
        quantile = calibration.compute_conformal_quantile(scores, requested)
        interval = PredictionInterval(requested, *scale, quantile, whole_units=True)
        low, high = interval.bounds(published)
        coverage = interval.contains(published, test.earnings).mean()
        results.append((float(coverage), float(np.median(high - low))))
    return results
