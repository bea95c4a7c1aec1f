"""Examining a version, without a network: what is found of a model of known faults, and what the page says of it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gamesales.data.contract import Column, Contract
from gamesales.data.labeled_titles import Titles
from gamesales.diagnostics.diagnose import Subject, examine
from gamesales.report.version_page import render_version_page
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import ReportSpec, load_job
from support.pages import HOSTILE, Outline, make_page, read
from support.titles import titles
from support.versions import DATA, FEATURES

NONE = ReportSpec(folds=0, learning_curve=False, seeds=0)


def as_titles(drawn):
    features, earned, _ = drawn
    return Titles(Path("titles.csv"), "ab" * 32, features, earned, np.arange(1, len(earned) + 1))


def make_subject(predict, *, rows=400, contract=None, rival=1.5):
    """What is known after training of a model that is a function of the features."""
    past, test = as_titles(titles(1000)), as_titles(titles(rows, 4))
    predicted = predict(test.features)
    scaling = Scaling(FEATURES, "total_earnings", np.full(10, 1 / 300_000), np.zeros(10))
    return Subject(
        load_job(DATA.parent / "jobs/train.toml").model_copy(update={"report": NONE}),
        contract or Contract.from_toml(DATA / "contract.toml"),
        past,
        past,
        test,
        predict(past.features),
        predicted,
        {"a line": test.earnings + rival * (predicted - test.earnings)},
        predict,
        scaling,
        None,
    )


def formula(features):
    """What the simulated store's titles earn on average."""
    from gamesales.data.simulate import expected_earnings

    return expected_earnings(dict(zip(FEATURES, features.T, strict=True)))


def misses_portables(features):
    return formula(features) * (1 + 0.04 * features[:, FEATURES.index("is_portable")])


def page_of(evaluation, subject, **changes):
    mae = float(np.abs(subject.errors).mean())
    own = {"mae": mae, "scaled_mse": 1e-5, "rmse": 1.0, "r2": 0.9, "mape_percent": 1.0}
    page = make_page(
        actual=subject.test.earnings,
        predicted=subject.predicted,
        metrics={"this version": own},
        evaluation=evaluation,
        **changes,
    )
    return render_version_page(page)


@pytest.fixture(scope="module")
def faultless():
    subject = make_subject(formula)
    return subject, examine(subject, print)


def test_a_faultless_model_is_warned_of_nothing_and_is_as_good_as_the_noise_allows(faultless):
    subject, found = faultless
    assert ["twins"] == [one["about"] for one in found["notices"]]
    scaled = np.mean(subject.errors**2) / 300_000**2
    assert found["noise"]["scaled_mse"]["value"] == pytest.approx(scaled, rel=0.2)
    assert found["noise"]["p"] > 0.001
    assert not any(one["is_worse"] for one in found["slices"])
    assert not any(one["is_clear"] for one in found["residuals"]["columns"])


def test_what_was_found_is_plain_json_of_six_digits(faultless):
    _, found = faultless
    assert found == json.loads(json.dumps(found, allow_nan=False))
    numbers = [one["mae"]["value"] for one in found["slices"]]
    assert numbers == [float(f"{number:.6g}") for number in numbers]


def test_a_fault_is_named_where_it_is():
    """Portable titles are predicted 4 % too high: their slices, their column and the fit show it."""
    subject = make_subject(misses_portables)
    found = examine(subject, print)
    assert [("is_portable", "yes")] == [(one["family"], one["label"]) for one in found["slices"] if one["is_worse"]]
    assert "is_portable" in [one["of"] for one in found["residuals"]["columns"] if one["is_clear"]]
    assert {"worse slice", "lack of fit"} <= {one["about"] for one in found["notices"]}
    document = page_of(found, subject)
    assert 1 == document.count('<tr class="worse">')
    text = read(document)
    assert "Do they lean? Yes: +$" in text
    assert "Do they go with a column? Yes: is_portable (+0." in text
    assert "times the noise, so most of it could be learnt" in text


@pytest.mark.parametrize(
    ("rival", "sentence"),
    [
        (1.5, "on all such titles, it is closer than a line by $"),
        (0.5, "on all such titles, a line is closer by $"),
        (-1.0, "Chance may explain the difference from a line: "),
    ],
)
def test_the_page_says_how_surely_a_version_beats_the_best_baseline(rival, sentence):
    subject = make_subject(formula, rival=rival)
    assert sentence in read(page_of(examine(subject, print), subject))


def test_a_last_doubling_is_judged_by_chance(faultless):
    subject, found = faultless
    for change, told in (
        ((-400.0, -500.0, -300.0), "more titles are likely to help"),
        ((40.0, -90.0, 120.0), "within chance: more titles may not help"),
        ((400.0, 300.0, 500.0), "training may be too short"),
        ((-400.0, None, None), "within chance"),
    ):
        points = [{"titles": 125, "mae": {"value": 900.0, "low": None, "high": None}}] * 2
        curve = {"points": points, "last_doubling": dict(zip(("value", "low", "high"), change, strict=True))}
        assert told in read(page_of({**found, "learning_curve": curve}, subject))


def test_a_page_with_all_sections_is_well_formed_and_small(faultless):
    subject, found = faultless
    document = page_of(found, subject)
    outline = Outline(document)
    assert [] == outline.open
    ids = [of["id"] for _, of in outline.tags if of.get("id")]
    assert len(ids) == len(set(ids))
    assert all(of.get("scope") for tag, of in outline.tags if tag == "th")
    assert len(document) < 300_000
    assert document == page_of(found, subject)
    assert "script" not in document


def test_columns_of_any_name_are_shown_as_text():
    contract = Contract.from_toml(DATA / "contract.toml")
    names = [f"{HOSTILE} $x$ 名前 {place}" for place in range(9)]
    columns = tuple(
        dataclasses.replace(column, name=name) for column, name in zip(contract.features, names, strict=True)
    )
    subject = make_subject(formula, contract=dataclasses.replace(contract, features=columns))
    document = page_of(examine(subject, print), subject)
    assert "<script" not in document
    assert [] == Outline(document).open
    assert names[0] in read(document)


def test_columns_that_never_change_have_no_plot():
    def constant(features):
        return np.full(len(features), 100_000.0)

    subject = make_subject(constant)
    for one in (subject.past, subject.test):
        one.features[:] = one.features[0]
    found = examine(subject, print)
    assert 9 == [one["about"] for one in found["notices"]].count("constant column")
    text = read(page_of(found, subject))
    assert "9 columns without a plot, being constant in training." in text


def test_a_column_of_money_and_a_column_of_many_values_are_drawn_in_their_units():
    contract = Contract(
        Column("total_earnings", "money"),
        (*Contract.from_toml(DATA / "contract.toml").features[:8], Column("budget", "money", "US dollars")),
    )
    past, test = titles(1000, continuous=True), titles(400, 4, continuous=True)
    for one in (past, test):
        one[0][:, 8] *= 1000
    subject = dataclasses.replace(
        make_subject(lambda features: 2 * features[:, 8], contract=contract),
        past=as_titles(past),
        learnt=as_titles(past),
        test=as_titles(test),
        predicted=2 * test[0][:, 8],
        predicted_past=2 * past[0][:, 8],
        guesses={"a line": test[1] * 3},
    )
    found = examine(subject, print)
    assert found["noise"] is None
    (budget,) = (one for one in found["dependence"] if one["columns"] == ["budget"])
    assert 12 == len(budget["values"])
    text = read(page_of(found, subject))
    assert "from $20k to $70k, all else equal" in text
    assert "The noise" not in text


@pytest.mark.parametrize("module", ["training.kfold", "diagnostics.learning_curve"])
def test_networks_of_the_report_that_predict_no_numbers_are_told_and_not_measured(monkeypatch, module):
    def learner(*arguments):
        return lambda features, earnings: lambda values: np.full(len(values), np.nan)

    monkeypatch.setattr(f"gamesales.{module}.learner", learner)
    report = ReportSpec(folds=2 if "kfold" in module else 0, learning_curve="learning_curve" in module, seeds=0)
    subject = make_subject(formula)
    subject = dataclasses.replace(subject, job=subject.job.model_copy(update={"report": report}))
    found = examine(subject, print)
    failed = [one["text"] for one in found["notices"] if one["about"] == "failed networks"]
    assert failed
    assert all("no finite numbers" in text for text in failed)
    assert {"plain": None, "grouped": None} == found["kfold"]
    assert found["learning_curve"] is None
