"""The page of a search: its words, and that it is one small and self-contained file."""

import dataclasses
import re

import numpy as np
import pytest

from gamesales.report.tune_page import TunePage, render_tune_page
from gamesales.report.tune_plots import TrialSummary
from support.pages import HOSTILE, Outline, read_text

ACTIVATIONS = ("relu", "silu")


def make_page(size=40, **changes):
    """Return the page of a search: large networks and low rates have lower errors; the last but one trial failed."""
    random = np.random.default_rng(7)
    summaries = []
    for number in range(size):
        units, rate = int(random.integers(4, 100)), float(10 ** random.uniform(-3, -1.5))
        error = float(1e-5 * (1 + 10 / units + 20 * rate) * random.uniform(1, 1.5))
        state = "failed" if number == size - 2 else "pruned" if number % 3 == 2 else "complete"
        hyperparameters = {
            "layers": 1,
            "units_1": units,
            "activation": ACTIVATIONS[number % 2],
            "learning_rate": rate,
            "l2": 0.0,
        }
        summaries.append(
            TrialSummary(
                number=number,
                state=state,
                parameters=11 * units + 1,
                error=None if state == "failed" else error,
                final_error=1.1 * error if number in (1, 4) else None,
                network=f"{units} {ACTIVATIONS[number % 2]}",
                hyperparameters=hyperparameters,
            )
        )
    best, smallest = sorted((1, 4), key=lambda number: summaries[number].parameters, reverse=True)
    page = TunePage(
        model="game-earnings",
        trials=summaries,
        best=best,
        smallest=smallest,
        chosen="smallest",
        tolerance=0.1,
        folds=5,
        front=[smallest, best],
        importances={"learning_rate": 0.7, "units": 0.25, "activation": 0.05},
        facts={"Study": "0" * 64},
    )
    return dataclasses.replace(page, **changes)


@pytest.fixture(scope="module")
def document():
    return render_tune_page(make_page())


def test_same_search_same_bytes(document):
    """The page does not depend on the time or on chance."""
    assert document == render_tune_page(make_page())


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
    page = make_page()
    best, smallest = page.trials[page.best], page.trials[page.smallest]
    text = read_text(document)
    assert (
        f"{smallest.parameters} parameters ({smallest.network}) are enough: the error is within 10% of the lowest error"
        in text
    )
    assert f"which needs {best.parameters} parameters." in text
    assert f"Error of the smallest network {smallest.final_error:.2e}" in text
    same = read_text(render_tune_page(dataclasses.replace(page, smallest=page.best)))
    assert "The best network is also the smallest network within 10% of its error:" in same


def test_hyperparameters_ordered_by_importance(document):
    """The page plots the hyperparameters that vary, the most important first."""
    headings = [
        tag["aria-label"].partition(".")[0] for tag in (of for _, of in Outline(document).tags) if "aria-label" in tag
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
    text = read_text(render_tune_page(make_page(size=7, importances={})))
    assert "There are too few trials to estimate the importance of hyperparameters." in text
    assert "fANOVA" not in text


def test_table_lists_finalists_first(document):
    """The table has complete trials only, and trials of the final round come first."""
    summaries = make_page().trials
    shown = [summaries[int(number)] for number in re.findall(r"(\d+): \d+ (?:relu|silu)", read_text(document))]
    assert [trial.number for trial in shown[:2]] == sorted((1, 4), key=lambda number: summaries[number].final_error)
    assert {"complete"} == {trial.state for trial in shown}
    errors = [trial.error for trial in shown[2:]]
    assert errors == sorted(errors)
    assert 15 == len(shown)


def test_single_trial_makes_page():
    """A search of one trial has a page."""
    trial = TrialSummary(0, "complete", 100, 1e-5, 2e-5, "9 relu", {"layers": 1, "units_1": 9})
    text = read_text(render_tune_page(make_page(trials=[trial], best=0, smallest=0, front=[0], importances={})))
    assert "best, smallest, start" in text


def test_hostile_names_are_escaped():
    """Names from a job file never become markup."""
    summaries = [
        dataclasses.replace(trial, network=HOSTILE, hyperparameters={"activation": HOSTILE})
        for trial in make_page().trials
    ]
    summaries[0] = dataclasses.replace(summaries[0], hyperparameters={"activation": "relu"})
    page = make_page(model=HOSTILE, trials=summaries, facts={HOSTILE: HOSTILE})
    assert not {"script", "img"} & {tag for tag, _ in Outline(render_tune_page(page)).tags}
