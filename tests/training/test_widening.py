"""How much wider the intervals of unfamiliar titles are: the record of combinations, and the measured growth."""

import numpy as np
import pytest

from gamesales.scoring.familiarity import MAX_COMBINATIONS, FlagCombinations
from gamesales.scoring.prediction_interval import PredictionInterval, Widening
from gamesales.training.widening import WideningFit, record_combinations
from support.mixed import MIXED, mixed_sales, mixed_values
from support.runs import CONTRACT
from support.versions import FEATURES, FLAGS, simple_earnings, title_values

INTERVAL = PredictionInterval(0.9, 100.0, 0.0, 2.0, whole_units=True)


def measure(titles, *slopes, coverage=0.9):
    """Measure the growth for networks that differ from each other by a slope of the price alone."""
    interval = PredictionInterval(coverage, 100.0, 0.0, 2.0, whole_units=True)

    def make_network(slope):
        return lambda values: simple_earnings(values) + slope * (values[:, -1] - 59.99)

    predict, *networks = map(make_network, slopes)
    return WideningFit(CONTRACT, titles, interval, predict, networks, seed=1).measure()


def test_growth_of_disagreement():
    """Where networks disagree more than the change is doubted, the disagreement decides: here exactly."""
    titles = title_values(300)
    entry = measure(titles, 0.0, 100.0, -50.0)
    (price,) = [column for column in entry["columns"] if column["name"] == "unit_price"]
    # The range is 20 dollars. The largest disagreement is 100 dollars for each dollar of distance, in units of $100.
    assert price["above"] == pytest.approx([20.0 * distance for distance in entry["distances"]], abs=0.01)
    assert entry["distances"][0] == 0


def test_growth_of_doubt():
    """Where networks agree, a growing share of the change beyond the range is doubted."""
    entry = measure(title_values(300), 100.0, 100.0)
    (price,) = [column for column in entry["columns"] if column["name"] == "unit_price"]
    # The change is 110 dollars for each dollar of distance.
    doubted = [0.22 * 100 * d * d / (d + 0.25) for d in entry["distances"]]
    assert price["above"] == pytest.approx(doubted, rel=1e-3, abs=1e-3)


def test_rule_can_be_read():
    """The entry of the manifest is a rule that scoring reads."""
    entry = measure(title_values(300), 0.0, 10.0)
    rule = Widening.from_manifest({"interval": {"widening": entry}}, FEATURES)
    for name, below, above in zip(FEATURES, rule.below, rule.above, strict=True):
        assert (below is None) == (above is None) == (name in FLAGS)


def test_growth_of_combinations():
    """A new combination is compared with the combinations of training that differ by one flag."""
    titles = title_values(400)
    titles[:, 1:-1] = 0
    titles[::2, 1] = 1
    entry = measure(titles, 0.0, 0.0)
    # Neighbors differ by 100 to 700 dollars, the weights of the flags; 90% of the draws are at most 700.
    assert entry["combination"] == pytest.approx(7.0)


def test_all_combinations_seen():
    """If every neighbor of a combination was seen, no growth can be measured, and none is needed."""
    codes = np.arange(128)
    titles = title_values(128)
    titles[:, 1:-1] = (codes[:, None] >> np.arange(7)) & 1
    assert measure(titles, 0.0, 0.0)["combination"] is None


def test_constant_column():
    """A column with one value in training has no range, so its rule is absent."""
    titles = title_values(100)
    titles[:, 0] = 4.0
    assert [column["name"] for column in measure(titles, 0.0, 0.0)["columns"]] == ["unit_price"]


def test_infinite_predictions():
    """A column outside of whose range predictions are not finite has no rule."""
    titles = title_values(100)

    def predict(values):
        return np.where(values[:, -1] > 100, np.inf, simple_earnings(values))

    entry = WideningFit(CONTRACT, titles, INTERVAL, predict, [predict], seed=1).measure()
    assert [column["name"] for column in entry["columns"]] == ["critic_rating"]


def test_growth_of_unseen_category():
    """An unseen category may be like any known one; a column whose categories were all seen has no rule."""
    titles = mixed_values(400)
    titles[:, 0] = 1 + titles[:, 0] % 3
    interval = PredictionInterval(0.9, 4.0, 0.0, 2.0, whole_units=False)
    entry = WideningFit(MIXED, titles, interval, mixed_sales, [mixed_sales], seed=1).measure()
    columns = {column["name"]: column for column in entry["columns"]}
    # Genres 1 to 3 are 2, 4 and 8, and genre 0 is 1: the largest difference is 7, in units of 4.
    assert columns["genre"]["below"] == columns["genre"]["above"] == [1.75] * len(entry["distances"])
    assert {"genre", "publisher", "released", "year"} == {*columns}
    rule = Widening.from_manifest({"interval": {"widening": entry}}, MIXED.feature_names)
    title, ranges = [np.array([value]) for value in (0.0, 1, 1, 15_000, 2000, 0)], (np.ones(6), np.full(6, 3.0))
    growth = rule.compute(title, [np.array([True]), *[None] * 5], ranges, None)
    assert [1.75] == growth.tolist()


def test_record_combinations():
    """The record lists each combination of training once, in ascending order."""
    titles = title_values(500)
    record = record_combinations(CONTRACT, titles)
    assert record["columns"] == list(FLAGS)
    codes = (titles[:, 1:-1] @ (1 << np.arange(7))).astype(int)
    assert record["seen"] == sorted(set(codes.tolist()))
    combinations = FlagCombinations.from_manifest({"flag_combinations": record}, CONTRACT)
    assert combinations.compare(list(titles.T)) is None


@pytest.mark.parametrize(("rows", "is_recorded"), [(MAX_COMBINATIONS, True), (MAX_COMBINATIONS + 1, False)])
def test_too_many_combinations(rows, is_recorded):
    """More combinations than the limit are not recorded."""
    from dataclasses import replace

    flag = CONTRACT.features[1]
    contract = replace(CONTRACT, features=tuple(replace(flag, name=f"flag_{number}") for number in range(13)))
    titles = ((np.arange(rows)[:, None] >> np.arange(13)) & 1).astype(np.float64)
    assert (record_combinations(contract, titles)["seen"] is not None) == is_recorded
