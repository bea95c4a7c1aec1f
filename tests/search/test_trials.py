"""The decisions of a search: pruning, finalists, the smallest network, proposals, importance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.search.fold_errors import Task
from gamesales.search.sampler import MIN_TRIALS_FOR_IMPORTANCE, propose, rank_hyperparameters
from gamesales.search.trials import (
    Trial,
    compute_limits,
    find_pareto_front,
    find_smallest_within,
    mix_seed,
    rank_trials,
    select_finalists,
)
from gamesales.search.tune_job import COURSE_CANDIDATE, Space
from support.trials import NETWORK, make_trial

SPACE = Space.model_validate(
    {
        "layers": [1, 2],
        "units": {"low": 2, "high": 64, "log": True},
        "activation": ["relu", "silu"],
        "learning_rate": {"low": 0.0005, "high": 0.05, "log": True},
    }
)


TRIALS = st.lists(
    st.builds(
        lambda parameters, error, state: (parameters, error, state),
        st.integers(1, 6),
        st.sampled_from([1.0, 1.05, 1.1, 1.2, 3.0]),
        st.sampled_from(["complete", "complete", "pruned", "failed"]),
    ),
    min_size=1,
    max_size=12,
).map(lambda drawn: [make_trial(number, *arguments) for number, arguments in enumerate(drawn)])


# --- Errors and size.


def test_error_and_spread_of_trial():
    """The error is the mean over the folds, and the spread their standard deviation."""
    trial = Trial(0, NETWORK, 100, "complete", (1.0, 2.0, 6.0), 1.0)
    assert (3.0, 1.5) == (trial.error, trial.mean_error(2))
    assert np.std([1.0, 2.0, 6.0], ddof=1) == trial.spread
    assert (math.inf, 0.0) == (make_trial(state="failed").error, make_trial(state="failed").spread)


@given(st.integers(1, 10**6), st.floats(1e-6, 1.0), st.floats(0, 1))
def test_size_penalty(parameters, error, tolerance):
    """Half the parameters are worth the tolerance in error."""
    large, half = make_trial(0, 2 * parameters, error), make_trial(1, parameters, error * (1 + tolerance))
    assert large.penalized_error(2, tolerance) == pytest.approx(half.penalized_error(2, tolerance))
    assert large.penalized_error(2, 0.0) == pytest.approx(error)


@given(TRIALS)
def test_pareto_front(trials):
    """No trial beats a trial of the front in both error and size."""
    front = find_pareto_front(trials)
    complete = [trial for trial in trials if trial.state == "complete"]
    assert [trial.parameters for trial in front] == sorted({trial.parameters for trial in front})
    assert [trial.error for trial in front] == sorted({trial.error for trial in front}, reverse=True)
    for trial in complete:
        assert any(other.parameters <= trial.parameters and other.error <= trial.error for other in front)


@given(TRIALS, st.integers(1, 12))
def test_finalists_are_front_then_best(trials, count):
    """The finalists are the best of the front, followed by the best of all trials."""
    finalists = select_finalists(trials, count)
    best = [trial.number for trial in sorted(find_pareto_front(trials), key=lambda trial: trial.error)]
    assert [trial.number for trial in finalists][: len(best)] == best[:count]
    assert len(finalists) == min(count, len(rank_trials(trials)))
    assert len({trial.number for trial in finalists}) == len(finalists)


@given(TRIALS, st.sampled_from([0.0, 0.1, 0.2]))
def test_smallest_within_tolerance(trials, tolerance):
    """No smaller trial is within the tolerance."""
    ranked = rank_trials(trials)
    if not ranked:
        return
    smallest, limit = find_smallest_within(ranked, tolerance), ranked[0].error * (1 + tolerance)
    assert smallest.error <= limit
    assert all(trial.error > limit for trial in ranked if trial.parameters < smallest.parameters)
    assert all(trial.error >= smallest.error for trial in ranked if trial.parameters == smallest.parameters)


# --- Pruning.


def test_median_stopping_rule():
    """A trial is pruned if it is worse than the median after as many folds."""
    complete = [Trial(number, NETWORK, 100, "complete", (1.0 + number, 0.0), 1.0) for number in range(5)]
    limits = compute_limits(complete, 100, 3, 0.1)
    assert (3.0, 1.5) == pytest.approx(limits)
    task = Task(NETWORK, (1, 2, 3), (), limits)
    assert not task.is_over_limit((2.99,))
    assert task.is_over_limit((3.01,))
    assert task.is_over_limit((3.0, 0.1))
    assert not task.is_over_limit((9.0, 9.0, 9.0))
    # A network half as large may have 10% more error.
    assert (3.3, 1.65) == pytest.approx(compute_limits(complete, 50, 3, 0.1))


def test_first_trials_are_not_pruned():
    """No trial is pruned before five trials are complete."""
    complete = [make_trial(number) for number in range(4)]
    others = [make_trial(number, state="pruned") for number in range(4, 20)]
    assert () == compute_limits([*complete, *others], 100, 3, 0.1)


# --- The sampler.


def add_trial(trials, error_of, seed=1, tolerance=0.1, space=SPACE):
    """Add a trial to a search in which a formula gives the errors."""
    candidate = propose(space, trials, [], seed, tolerance) if trials else COURSE_CANDIDATE
    size, error = candidate.count_parameters(9), error_of(candidate)
    return [*trials, Trial(len(trials), candidate, size, "complete" if error else "failed", (error,) * bool(error), 1)]


def search(count, error_of, **settings):
    trials = []
    for _ in range(count):
        trials = add_trial(trials, error_of, **settings)
    return trials


def by_rate(candidate):
    return 1e-5 * (1 + (math.log10(candidate.learning_rate) + 2) ** 2)


def test_seed_decides_proposal():
    """The same trials and seed give the same proposal, another seed another one."""
    trials = search(15, by_rate)
    assert propose(SPACE, trials, [], 1, 0.1) == propose(SPACE, list(trials), [], 1, 0.1)
    assert propose(SPACE, trials, [], 1, 0.1) != propose(SPACE, trials, [], 2, 0.1)
    assert trials == search(15, by_rate)


def test_proposals_are_new():
    """Proposals are in the space, and no two are the same."""
    trials = search(40, lambda candidate: None if candidate.learning_rate > 0.01 else by_rate(candidate))
    assert {"complete", "failed"} == {trial.state for trial in trials}
    assert all(SPACE.contains(trial.candidate) for trial in trials[1:])
    assert 40 == len({trial.candidate for trial in trials})


def test_proposals_approach_optimum():
    """Later proposals are closer to the best learning rate than the first ones."""
    rates = [math.log10(trial.candidate.learning_rate) for trial in search(50, by_rate, tolerance=0.0)]
    assert np.mean(np.abs(np.add(rates[35:], 2))) < 0.5 * np.mean(np.abs(np.add(rates[1:11], 2)))


def test_tolerance_favors_small_networks():
    """With a tolerance, the search prefers smaller networks of the same error."""

    def sizes(tolerance):
        return np.log([trial.parameters for trial in search(50, lambda _: 1e-5, tolerance=tolerance)[30:]])

    assert np.mean(sizes(0.1)) < np.mean(sizes(0.0)) - 0.5


def test_failures_are_avoided():
    """The sampler avoids values whose trials failed."""

    def error_of(candidate):
        return None if candidate.activation == "relu" else 1e-5

    trials = search(50, error_of, tolerance=0.0)
    assert sum(trial.state == "failed" for trial in trials[30:]) < 5


def test_exhausted_space_has_no_proposal():
    """No candidate is proposed once all were tried."""
    space = Space.model_validate({"layers": 1, "units": [2, 3], "activation": ["relu", "silu"]})
    trials = search(5, lambda candidate: 1e-5 * sum(candidate.units), space=space)
    assert 5 == len({trial.candidate for trial in trials})
    assert propose(space, trials, [], 1, 0.1) is None


def test_importance_of_hyperparameters():
    """The hyperparameter that the error depends on is the most important."""
    trials = search(40, by_rate)
    shares = rank_hyperparameters(SPACE, trials, 1)
    assert {"layers", "units", "activation", "learning_rate"} == set(shares)
    assert "learning_rate" == next(iter(shares))
    assert shares["learning_rate"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert shares == rank_hyperparameters(SPACE, trials, 1)


def test_importance_without_evidence():
    """Few trials, equal errors or a single choice show no importance."""
    fixed = Space.model_validate({"layers": 1, "units": 3, "activation": "relu"})
    assert {} == rank_hyperparameters(SPACE, search(MIN_TRIALS_FOR_IMPORTANCE - 1, by_rate), 1)
    assert {} == rank_hyperparameters(SPACE, search(20, lambda _: 1e-5), 1)
    assert {} == rank_hyperparameters(fixed, [make_trial(number) for number in range(20)], 1)
    # All have the same mean of units, so no hyperparameter explains their errors.
    alike = [NETWORK.model_copy(update={"units": (2 + number, 62 - number)}) for number in range(20)]
    trials = [
        make_trial(number, error=1e-5 * (1 + number), candidate=candidate) for number, candidate in enumerate(alike)
    ]
    space = Space.model_validate({"layers": 2, "units": {"low": 2, "high": 64}, "activation": "relu"})
    assert all(space.contains(candidate) for candidate in alike)
    assert {} == rank_hyperparameters(space, trials, 1)


def test_mixed_seeds_differ():
    """Every number changes the seed."""
    seeds = {mix_seed(*numbers) for numbers in [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (1, 0)]}
    assert 5 == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
