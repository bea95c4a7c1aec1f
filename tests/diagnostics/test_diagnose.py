"""The diagnosis of models with known faults, and the report page that shows it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gamesales.data.contract import Column, Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.data.simulate import compute_expected_earnings
from gamesales.diagnostics.diagnose import TrainedModel, diagnose
from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.report.version_page import render_version_page
from gamesales.report.version_plots import plot_learning_curve
from gamesales.training.baselines import Baselines, BoostingSettings
from gamesales.training.refits import CURVE, Refits, make_report_folds, plan_refits
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import IntervalsSpec, ReportSpec, load_job
from gamesales.training.workers import LateCall
from support.pages import HOSTILE, Outline, make_page, read_text
from support.titles import titles
from support.versions import DATA, FEATURES

NO_FURTHER_NETWORKS = ReportSpec(folds=0, learning_curve=False, seeds=0)


def make_titles(features, earnings):
    return LabeledTitles(Path("titles.csv"), "ab" * 32, features, earnings, np.arange(1, len(earnings) + 1))


def make_model(predict, *, rows=400, contract=None, baseline=1.5):
    """A model that is a function of the features; the baseline has this many times its errors."""
    training, test = make_titles(*titles(1000)[:2]), make_titles(*titles(rows, 4)[:2])
    predicted = predict(test.features)
    job = load_job(DATA.parent / "jobs/train.toml")
    return TrainedModel(
        job=job.model_copy(update={"report": NO_FURTHER_NETWORKS}),
        contract=contract or Contract.from_toml(DATA / "contract.toml"),
        training_titles=training,
        fit_titles=training,
        test_titles=test,
        training_predictions=predict(training.features),
        test_predictions=predicted,
        baselines=Baselines(BoostingSettings(), {"a line": test.earnings + baseline * (predicted - test.earnings)}, {}),
        folds={},
        predict=predict,
        scaling=Scaling(FEATURES, "total_earnings", np.full(10, 1 / 300_000), np.zeros(10)),
        intervals=None,
        refits=Refits(job.network, {}, LateCall),
    )


def formula(features):
    """What the simulated store's titles earn on average."""
    return compute_expected_earnings(dict(zip(FEATURES, features.T, strict=True)))


def misses_portables(features):
    return formula(features) * (1 + 0.04 * features[:, FEATURES.index("is_portable")])


def render(evaluation, model, **changes):
    mae = float(np.abs(model.errors).mean())
    metrics = {"mae": mae, "scaled_mse": 1e-5, "rmse": 1.0, "r2": 0.9, "mape_percent": 1.0}
    page = make_page(
        actual=model.test_titles.earnings,
        predicted=model.test_predictions,
        metrics={"this version": metrics},
        evaluation=evaluation,
        **changes,
    )
    return render_version_page(page)


@pytest.fixture(scope="module")
def faultless():
    model = make_model(formula)
    return model, diagnose(model)


@pytest.fixture(scope="module")
def faultless_page(faultless):
    model, evaluation = faultless
    return render(evaluation, model)


# --- The document.


def test_faultless_model_has_no_warning(faultless):
    """A faultless model is as accurate as the noise allows, and only shared features are noted."""
    model, evaluation = faultless
    assert ["twins"] == [notice["about"] for notice in evaluation["notices"]]
    scaled_mse = np.mean(model.errors**2) / 300_000**2
    assert evaluation["noise"]["scaled_mse"]["value"] == pytest.approx(scaled_mse, rel=0.2)
    assert evaluation["noise"]["p"] > 0.001
    assert not any(group["is_worse"] for group in evaluation["slices"])
    assert not any(correlation["is_clear"] for correlation in evaluation["residuals"]["columns"])


def test_document_is_plain_json(faultless):
    """The document survives JSON, and its numbers have six digits."""
    _, evaluation = faultless
    assert evaluation == json.loads(json.dumps(evaluation, allow_nan=False))
    numbers = [group["mae"]["value"] for group in evaluation["slices"]]
    assert numbers == [float(f"{number:.6g}") for number in numbers]


def test_old_spelling_of_document(faultless):
    """The document carries the old keys too, and a document with the old keys alone is read."""
    _, evaluation = faultless
    both = add_old_keys(evaluation)
    assert both["holdout"]["lead"]["over"] == evaluation["holdout"]["lead"]["best_baseline"]
    group, old_group = evaluation["slices"][0], both["slices"][0]
    new_keys = ("grouping", "interval_coverage", "relative_error")
    assert [group[key] for key in new_keys] == [old_group[key] for key in ("family", "held", "times")]
    assert both["residuals"]["columns"][0]["of"] == evaluation["residuals"]["columns"][0]["correlated_with"]
    for key in new_keys:
        del old_group[key]
    assert group == drop_old_keys(both)["slices"][0]


def test_fault_is_located():
    """If portable titles are predicted 4% too high, their group, their column and the fit show it."""
    model = make_model(misses_portables)
    evaluation = diagnose(model)
    worse = [(group["grouping"], group["label"]) for group in evaluation["slices"] if group["is_worse"]]
    assert [("is_portable", "yes")] == worse
    columns = evaluation["residuals"]["columns"]
    assert "is_portable" in [correlation["correlated_with"] for correlation in columns if correlation["is_clear"]]
    assert {"worse slice", "lack of fit"} <= {notice["about"] for notice in evaluation["notices"]}
    document = render(evaluation, model)
    assert 1 == document.count('<tr class="marked">')
    text = read_text(document)
    assert "Too high or too low (bias) Yes: +$" in text
    assert "Correlation with a feature Yes: is_portable (+0." in text
    assert "times the noise, so most of it can be learned" in text


@pytest.mark.parametrize("purpose", ["folds", CURVE])
def test_networks_without_numbers_are_a_notice(purpose):
    """Further networks that predict NaN are reported, not measured."""

    class BrokenRefits(Refits):
        def get(self, purpose):
            return [lambda values: np.full(len(values), np.nan)] * len(self._plan[purpose])

    model = make_model(formula)
    report = ReportSpec(folds=2 if purpose == "folds" else 0, learning_curve=purpose == CURVE, seeds=0)
    job = model.job.model_copy(update={"report": report, "intervals": IntervalsSpec(method="none")})
    plan = plan_refits(job, model.contract, model.training_titles, model.fit_titles)
    refits, folds = BrokenRefits(job.network, plan, LateCall), make_report_folds(job, model.training_titles, plan)
    evaluation = diagnose(dataclasses.replace(model, job=job, refits=refits, folds=folds))
    failures = [notice["text"] for notice in evaluation["notices"] if notice["about"] == "failed networks"]
    assert failures
    assert all("not finite numbers" in text for text in failures)
    assert {"plain": None, "grouped": None} == evaluation["kfold"]
    assert evaluation["learning_curve"] is None


# --- The page.


@pytest.mark.parametrize(
    ("baseline", "sentence"),
    [
        (0.5, " higher than the average error of a line (95% confidence interval)."),
        (-1.0, "Chance may explain the difference from a line: "),
    ],
)
def test_page_compares_with_best_baseline(baseline, sentence):
    """The page shows the confidence interval of the lead over the best baseline."""
    model = make_model(formula, baseline=baseline)
    assert sentence in read_text(render(diagnose(model), model))


def test_page_shows_lower_error(faultless_page):
    """The page says by how much the error is lower than the error of the best baseline."""
    assert " lower than the average error of a line (95% confidence interval)." in read_text(faultless_page)


def test_page_judges_last_doubling():
    """The page says whether more titles are likely to help."""
    for change, sentence in (
        ((-400.0, -500.0, -300.0), "more titles are likely to help"),
        ((40.0, -90.0, 120.0), "within chance, so more titles may not help"),
        ((400.0, 300.0, 500.0), "training may be too short"),
        ((-400.0, None, None), "within chance"),
    ):
        points = [{"titles": 125, "mae": {"value": 900.0, "low": None, "high": None}}] * 2
        curve = {"points": points, "last_doubling": dict(zip(("value", "low", "high"), change, strict=True))}
        assert sentence in plot_learning_curve(curve).caption


def test_page_is_well_formed(faultless, faultless_page):
    """A page with all sections is well-formed and small, and is always the same."""
    model, evaluation = faultless
    document = faultless_page
    outline = Outline(document)
    assert [] == outline.open
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert all(attributes.get("scope") for tag, attributes in outline.tags if tag == "th")
    assert len(document) < 300_000
    assert document == render(evaluation, model)
    assert "script" not in document


def test_page_escapes_column_names():
    """Columns of any name are shown as text."""
    contract = Contract.from_toml(DATA / "contract.toml")
    names = [f"{HOSTILE} $x$ 名前 {index}" for index in range(9)]
    columns = tuple(
        dataclasses.replace(column, name=name) for column, name in zip(contract.features, names, strict=True)
    )
    model = make_model(formula, contract=dataclasses.replace(contract, features=columns))
    document = render(diagnose(model), model)
    assert "<script" not in document
    assert [] == Outline(document).open
    assert names[0] in read_text(document)


def test_constant_columns_have_no_plot():
    """The page counts the columns without variation."""

    def constant(features):
        return np.full(len(features), 100_000.0)

    model = make_model(constant)
    for sample in (model.training_titles, model.test_titles):
        sample.features[:] = sample.features[0]
    evaluation = diagnose(model)
    assert 9 == [notice["about"] for notice in evaluation["notices"]].count("constant column")
    text = read_text(render(evaluation, model))
    assert "No plot for 9 features without variation in the training titles." in text


def test_page_uses_units_of_columns():
    """A column of money with many values is drawn in dollars."""
    contract = Contract(
        Column("total_earnings", "money"),
        (*Contract.from_toml(DATA / "contract.toml").features[:8], Column("budget", "money", "US dollars")),
    )
    training, test = titles(1000, continuous=True)[:2], titles(400, 4, continuous=True)[:2]
    for features, _ in (training, test):
        features[:, 8] *= 1000
    model = dataclasses.replace(
        make_model(lambda features: 2 * features[:, 8], contract=contract),
        training_titles=make_titles(*training),
        fit_titles=make_titles(*training),
        test_titles=make_titles(*test),
        test_predictions=2 * test[0][:, 8],
        training_predictions=2 * training[0][:, 8],
        baselines=Baselines(BoostingSettings(), {"a line": test[1] * 3}, {}),
        folds={},
    )
    evaluation = diagnose(model)
    assert evaluation["noise"] is None
    (budget,) = (dependence for dependence in evaluation["dependence"] if dependence["columns"] == ["budget"])
    assert 12 == len(budget["values"])
    text = read_text(render(evaluation, model))
    assert "from $20k to $70k, all else equal" in text
    assert "The noise" not in text
    assert "Noise: " not in text
