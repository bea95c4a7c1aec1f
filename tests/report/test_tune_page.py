"""The page of a search: what it says, and that it is one small file which needs nothing else."""

import dataclasses
import re

import numpy as np
import pytest

from gamesales.report.tune_page import TunePage, render_tune_page
from gamesales.report.tune_plots import Attempt
from support.pages import HOSTILE, Outline, read

ACTIVATIONS = ("relu", "silu")


def make_page(trials=40, **changes):
    """Make the page of a search in which large networks and slow ones do better; the last but one trial failed."""
    random = np.random.default_rng(7)
    attempts = []
    for number in range(trials):
        units, rate = int(random.integers(4, 100)), float(10 ** random.uniform(-3, -1.5))
        error = float(1e-5 * (1 + 10 / units + 20 * rate) * random.uniform(1, 1.5))
        state = "failed" if number == trials - 2 else "pruned" if number % 3 == 2 else "complete"
        parts = {"layers": 1, "units_1": units, "activation": ACTIVATIONS[number % 2], "learning_rate": rate, "l2": 0.0}
        attempts.append(
            Attempt(
                number=number,
                state=state,
                parameters=11 * units + 1,
                error=None if state == "failed" else error,
                final_error=1.1 * error if number in (1, 4) else None,
                network=f"{units} {ACTIVATIONS[number % 2]}",
                parts=parts,
            )
        )
    best, smallest = sorted((1, 4), key=lambda number: attempts[number].parameters, reverse=True)
    page = TunePage(
        model="game-earnings",
        attempts=attempts,
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


def test_the_same_search_gives_the_same_bytes(document):
    assert document == render_tune_page(make_page())


def test_the_page_needs_nothing_from_elsewhere(document):
    tags = Outline(document).tags
    assert "://" not in document
    assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in tags}
    ids = [of["id"] for _, of in tags if "id" in of]
    assert len(set(ids)) == len(ids)
    assert len(document) < 400_000


def test_the_page_answers_first_how_small_it_may_be(document):
    page = make_page()
    best, smallest = page.attempts[page.best], page.attempts[page.smallest]
    text = read(document)
    assert f"{smallest.parameters} parameters ({smallest.network}) are enough: within 10 % of the best" in text
    assert f"which has {best.parameters}." in text
    assert f"Error of the smallest {smallest.final_error:.2e}" in text
    same = read(render_tune_page(dataclasses.replace(page, smallest=page.best)))
    assert "The best network is also the smallest within 10 %:" in same


def test_the_page_draws_what_differed_those_that_mattered_most_first(document):
    headings = [
        tag["aria-label"].partition(".")[0] for tag in (of for _, of in Outline(document).tags) if "aria-label" in tag
    ]
    assert [
        "Error against size",
        "Trial by trial",
        "What mattered",
        "Learning rate",
        "Units 1",
        "Activation",
    ] == headings


def test_with_few_trials_the_page_says_that_what_mattered_can_not_be_told():
    text = read(render_tune_page(make_page(trials=7, importances={})))
    assert "There were too few trials to tell which part matters." in text
    assert "by fANOVA" not in text


def test_the_table_has_the_finalists_first_and_no_trial_that_was_given_up(document):
    attempts = make_page().attempts
    shown = [attempts[int(number)] for number in re.findall(r"(\d+): \d+ (?:relu|silu)", read(document))]
    assert [attempt.number for attempt in shown[:2]] == sorted((1, 4), key=lambda number: attempts[number].final_error)
    assert {"complete"} == {attempt.state for attempt in shown}
    errors = [attempt.error for attempt in shown[2:]]
    assert errors == sorted(errors)
    assert 15 == len(shown)


def test_a_single_trial_makes_a_page():
    attempt = Attempt(0, "complete", 100, 1e-5, 2e-5, "9 relu", {"layers": 1, "units_1": 9})
    text = read(render_tune_page(make_page(attempts=[attempt], best=0, smallest=0, front=[0], importances={})))
    assert "best, smallest, start" in text


def test_what_a_job_says_can_not_become_markup():
    attempts = [
        dataclasses.replace(one, network=HOSTILE, parts={"activation": HOSTILE}) for one in make_page().attempts
    ]
    attempts[0] = dataclasses.replace(attempts[0], parts={"activation": "relu"})
    page = make_page(model=HOSTILE, attempts=attempts, facts={HOSTILE: HOSTILE})
    assert not {"script", "img"} & {tag for tag, _ in Outline(render_tune_page(page)).tags}
