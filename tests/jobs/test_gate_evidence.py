"""The comparison with the champion that training makes for its report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv

from gamesales.data.labeled_titles import read_titles
from gamesales.jobs.gate_evidence import GatePreview, preview_gate
from gamesales.jobs.loading import open_registry
from support.labeled import make_labeled_table
from support.versions import publish_simple, simple_earnings

SCALE = 1e-5
ERROR = 1_000.0  # the absolute error of the champion on each test title, in dollars


@pytest.fixture
def registry(cli, tmp_path):
    """A registry with a champion."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish_simple(registry)
    assert 0 == cli("promote", "1").code
    return registry


@pytest.fixture
def preview(registry, contract):
    """Preview the gate for a version that predicts some dollars more than the champion."""
    for name, rows in (("past", 60), ("test", 400)):
        csv.write_csv(make_labeled_table(rows, ERROR), f"{name}.csv")
    past, test = (read_titles(Path(f"{name}.csv"), contract) for name in ("past", "test"))

    def run(bias, *, training=past, opened=registry):
        return preview_gate(opened, training, test, simple_earnings(test.features, bias), SCALE)

    run.test = test
    return run


def test_better_version_passes(preview):
    """Both versions are compared on the test titles."""
    result = preview(0.0)
    assert (1, "", True) == (result.champion, result.refusal, result.comparison["passes"])
    assert (ERROR, ERROR) == pytest.approx((result.metrics["mae"], result.comparison["candidate_mae"]))


def test_intervals_of_champion(preview, cli):
    """The champion's confidence intervals are those of its newest evaluation on the test titles, as in the log."""
    assert preview(0.0).intervals is None
    document = cli("evaluate", "1", "--data", "test.csv", "--json").document
    assert document["intervals"]["mae"] == preview(0.0).intervals["mae"]


def test_worse_version_is_refused(preview, cli):
    """The refusal is that of a promotion."""
    refusal = preview(1_500.0).refusal
    assert refusal.startswith("its mean absolute error on 400 rows is 1,500.00, against 1,000.00 for version 1: ")


def test_training_data_as_test_titles(preview, tmp_path):
    """Test titles that are the training titles are refused, with a champion and without."""
    words = "it is the training data of version"
    assert words in preview(0.0, training=preview.test).refusal
    empty = open_registry(tmp_path / "empty", "game-earnings")
    assert f"{words} 1" == preview(0.0, training=preview.test, opened=empty).refusal
    assert GatePreview() == preview(0.0, opened=empty)


@pytest.mark.parametrize("damage", ["scorer.onnx", "test.csv"])
def test_failures_do_not_stop_training(preview, registry, damage):
    """A damaged champion, or test titles that changed, are a refusal and not an error."""
    folder = Path(registry.location) / registry.find_version(1).folder
    path = folder / damage if damage == "scorer.onnx" else Path(damage)
    path.write_bytes(path.read_bytes()[:-2] + b"??")
    result = preview(0.0)
    assert (1, None, None) == (result.champion, result.metrics, result.comparison)
    assert "version 1 can't be scored on the holdout: " in result.refusal
    assert "was changed" in result.refusal


def test_rejected_titles(preview, registry):
    """A version that rejects titles that the champion scores is refused."""
    titles = preview.test.take(np.arange(399))
    result = preview_gate(registry, titles, titles, simple_earnings(titles.features), SCALE)
    assert "it rejects 1 row of test.csv that version 1 scores" in result.refusal
    assert result.metrics["mae"] == pytest.approx(ERROR)
    assert replace(result, refusal="").comparison is None
