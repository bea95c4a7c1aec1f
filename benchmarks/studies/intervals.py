"""Do prediction intervals reach the requested coverage? For familiar titles, and for titles unlike the training titles.

Each random split of a file trains and calibrates the network of ``jobs/train.toml`` as ``gamesales train`` does, and
measures the coverage on the held-back titles. Each simulated store does the same, and measures the coverage of other
titles of the store after one change. The networks of all splits and of all stores are trained together.
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
from gamesales.data.simulate import TARGET, compute_expected_earnings, simulate
from gamesales.scoring.familiarity import FlagCombinations
from gamesales.scoring.prediction_interval import PredictionInterval, Widening
from gamesales.training import intervals as calibration
from gamesales.training.fit import PredictFunction
from gamesales.training.folds import make_plain_folds
from gamesales.training.widening import WideningFit, record_combinations

CONTRACT = Contract.from_toml(ROOT / "data/contract.toml")
SPLITS = 100
# The share of titles that each split holds back.
HELD_BACK = 0.2
COVERAGES = (0.8, 0.9, 0.95)
FOLDS = 5
CALIBRATION_SHARE = 0.2
# Simulated stores with few prices, and with any price from 20 to 70 dollars.
STORES, STORE_TITLES = 20, 1_000
# Titles with other prices, as multiples of the lowest or highest price in training; and with other flags.
PRICES = (0.25, 0.5, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)
NEW_FLAGS = "flags never seen"

Result = list[tuple[float, float]]  # for each requested coverage: the coverage, and the median width


def build_lines() -> Iterator[str]:
    """Yield both tables."""
    yield from build_split_lines()
    yield from build_unfamiliar_lines()


def build_split_lines() -> Iterator[str]:
    """Yield the table of familiar titles: a row for each file, method and requested coverage."""
    yield f"{SPLITS} splits, {HELD_BACK:.0%} held back\n"
    yield "| titles | method | requested | mean coverage | least to most | median width |"
    yield "|---|---|---|---|---|---|"
    for name, path in (("simulated store", "data/sales_data_training.csv"), ("`TITLES`", os.environ.get("TITLES"))):
        if not path:
            continue
        titles = read_titles(ROOT / path, CONTRACT)
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
    results = []
    for (past, test), (published, _, predicted) in zip(splits, _train_cv([past for past, _ in splits]), strict=True):
        scale = calibration.fit_scale(predicted, past.earnings)
        results.append(_measure(scale, predicted, past.earnings, published(test.features), test))
    return results


def _train_cv(parts: Sequence[LabeledTitles]) -> Iterator[tuple[PredictFunction, list[PredictFunction], FloatArray]]:
    """Yield for each part the published network, the networks of its folds, and the predictions out of fold."""
    folds = [make_plain_folds(len(part), FOLDS, seed) for seed, part in enumerate(parts)]
    others = [
        part.take(np.setdiff1d(np.arange(len(part)), fold))
        for part, folds_of_part in zip(parts, folds, strict=True)
        for fold in folds_of_part
    ]
    fold_networks = iter(_train(others))
    for part, folds_of_part, published in zip(parts, folds, _train(parts), strict=True):
        networks, predicted = [next(fold_networks) for _ in folds_of_part], np.empty(len(part))
        for fold, network in zip(folds_of_part, networks, strict=True):
            predicted[fold] = network(part.features[fold])
        yield published, networks, predicted


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


def build_unfamiliar_lines() -> Iterator[str]:
    """Yield the table of unfamiliar titles; widths are shares of the median earnings of the changed titles."""
    yield f"\n{STORES} stores of {STORE_TITLES:,} titles each, 90% requested\n"
    yield "| prices in training | changed titles | withheld | coverage before | after | least | width before | after |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, continuous in (("three", False), ("any, $20 to $70", True)):
        stores = [_simulate(seed, continuous) for seed in range(2 * STORES)]
        trained = zip(stores, stores[STORES:], _train_cv(stores[:STORES]), strict=False)
        results = np.array([_measure_changes(past, test.features, *networks) for past, test, networks in trained])
        for place, change in enumerate((*(f"price × {factor:g}" for factor in PRICES), NEW_FLAGS)):
            withheld, before, after, *widths = results[:, place].mean(axis=0)
            cells = (withheld, before, after, results[:, place, 2].min(), *widths)
            yield format_row([name, change, *(f"{cell:.0%}".replace("nan%", "-") for cell in cells)])


def _simulate(seed: int, continuous: bool) -> LabeledTitles:
    titles = next(simulate(STORE_TITLES, seed=1 + seed, continuous=continuous))
    features = np.column_stack([np.asarray(titles[name], np.float64) for name in CONTRACT.feature_names])
    return LabeledTitles(ROOT, "", features, np.asarray(titles[TARGET], np.float64), np.arange(STORE_TITLES))


def _measure_changes(
    past: LabeledTitles,
    titles: FloatArray,
    published: PredictFunction,
    networks: Sequence[PredictFunction],
    predicted: FloatArray,
) -> FloatArray:
    """Return for each change the share withheld, coverage before and after, and median width before and after."""
    scale, low, high = calibration.fit_scale(predicted, past.earnings), past.features.min(0), past.features.max(0)
    scores = calibration.compute_nonconformity_scores(predicted, past.earnings, *scale)
    interval = PredictionInterval(0.9, *scale, calibration.compute_conformal_quantile(scores, 0.9), whole_units=True)
    entry = WideningFit(CONTRACT, past.features, interval, published, networks, seed=1).measure()
    rule = Widening.from_manifest({"interval": {"widening": entry}}, CONTRACT.feature_names)
    record = {"flag_combinations": record_combinations(CONTRACT, past.features)}
    seen, results = FlagCombinations.from_manifest(record, CONTRACT), []
    for factor in (*PRICES, None):
        changed = titles.copy()
        if factor is None:
            new = np.setdiff1d(np.arange(1 << sum(seen.flags)), seen.seen)
            changed[:, 1:-1] = np.random.default_rng(1).choice(new, len(titles))[:, None] >> np.arange(7) & 1
        else:
            changed[:, -1] = factor * (high if factor > 1 else low)[-1]
        columns, predictions = list(changed.T), np.maximum(published(changed), 0)
        outside = [(column < a) | (column > b) for column, a, b in zip(columns, low, high, strict=True)]
        growth = rule.compute(columns, outside, (low, high), seen.compare(columns))
        earnings = compute_expected_earnings(dict(zip(CONTRACT.feature_names, columns, strict=True)))
        given, bounds = np.isfinite(growth), (interval.bounds(predictions), interval.bounds(predictions, growth))
        coverage = [(a <= earnings) & (earnings <= b) for a, b in bounds]
        widths = [(b - a) / np.median(earnings) for a, b in bounds]
        after = (coverage[1][given].mean(), np.median(widths[1][given])) if given.any() else (np.nan, np.nan)
        results.append([1 - given.mean(), coverage[0].mean(), after[0], np.median(widths[0]), after[1]])
    return np.array(results)
