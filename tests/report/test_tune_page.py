"""The page of a search: its words, and that it is one small and self-contained file."""

import dataclasses
import re

import pytest

from gamesales.report.tune_page import TrialSummary, render_tune_page
from support.pages import HOSTILE, Outline, read_text
from support.tune_pages import make_search, make_tune_page


@pytest.fixture(scope="module")
def document():
    return render_tune_page(**make_tune_page())


def test_same_search_same_bytes(document):
    """The page does not depend on the time or on chance."""
    assert document == render_tune_page(**make_tune_page())


def test_page_is_self_contained(document):
    """The page has no scripts and addresses, unique ids, and a limited size."""
    tags = Outline(document).tags
    assert "://" not in document
    assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in tags}
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert len(document) < 400_000


def test_headline_names_smallest_network(document):
    """The headline says how small the network may be."""
    page = make_tune_page()
    best, smallest = (page["trials"][page["search"][role]["trial"]] for role in ("best", "smallest"))
    text = read_text(document)
    assert (
        f"{smallest.parameters} parameters ({smallest.network}) are enough: the error is within 10% of the lowest error"
        in text
    )
    assert f"which needs {best.parameters} parameters." in text
    assert f"Error of the smallest network {smallest.final_error:.2e}" in text
    same = read_text(render_tune_page(**page | {"search": make_search(best.number, best.number, 40)}))
    assert "The best network is also the smallest network within 10% of its error:" in same


def test_hyperparameters_ordered_by_importance(document):
    """The page plots the hyperparameters that vary, the most important first."""
    headings = [
        attributes["aria-label"].partition(".")[0]
        for _, attributes in Outline(document).tags
        if attributes.get("role") == "img"
    ]
    assert [
        "Error by size",
        "Error by trial",
        "Hyperparameter importance",
        "Learning rate",
        "Units 1",
        "Activation",
    ] == headings


def test_too_few_trials_for_importance():
    """With too few trials the page says that importances are missing."""
    text = read_text(render_tune_page(**make_tune_page(size=7, importances={})))
    assert "There are too few trials to estimate the importance of hyperparameters." in text
    assert "fANOVA" not in text


def test_table_lists_finalists_first(document):
    """The table has complete trials only, and trials of the final round come first."""
    summaries = make_tune_page()["trials"]
    shown = [summaries[int(number)] for number in re.findall(r"(\d+): \d+ (?:relu|silu)", read_text(document))]
    assert [trial.number for trial in shown[:2]] == sorted((1, 4), key=lambda number: summaries[number].final_error)
    assert {"complete"} == {trial.state for trial in shown}
    errors = [trial.error for trial in shown[2:]]
    assert errors == sorted(errors)
    assert 15 == len(shown)


def test_single_trial_makes_page():
    """A search of one trial has a page."""
    trial = TrialSummary(0, "complete", 100, 1e-5, 2e-5, "9 relu", {"layers": 1, "units_1": 9})
    text = read_text(render_tune_page("m", "train.csv", make_search(0, 0, 1, importances={}), [trial]))
    assert "best, smallest, start" in text


def test_hostile_names_are_escaped():
    """Names from a job file never become markup."""
    summaries = [
        dataclasses.replace(trial, network=HOSTILE, hyperparameters={"activation": HOSTILE})
        for trial in make_tune_page()["trials"]
    ]
    summaries[0] = dataclasses.replace(summaries[0], hyperparameters={"activation": "relu"})
    search = make_search(1, 4, 40, study=HOSTILE)
    page = render_tune_page(HOSTILE, HOSTILE, search, summaries)
    assert not {"script", "img"} & {tag for tag, _ in Outline(page).tags}
