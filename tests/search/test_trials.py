"""What a search decides: whom to give up, who is near enough to the best, what to try, what mattered."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.search.sampler import FEWEST_FOR_IMPORTANCE, importances, propose
from gamesales.search.space import COURSE_CANDIDATE, Space
from gamesales.search.trials import Trial, derived_seed, finalists, front, is_hopeless, ranking, smallest_within
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
).map(lambda told: [make_trial(number, *one) for number, one in enumerate(told)])


# --- Errors and what they cost.


def test_a_trial_s_error_is_the_mean_of_its_folds_and_its_spread_their_standard_deviation():
    trial = Trial(0, NETWORK, 100, "complete", (1.0, 2.0, 6.0), 1.0)
    assert (3.0, 1.5) == (trial.error, trial.error_after(2))
    assert np.std([1.0, 2.0, 6.0], ddof=1) == trial.spread
    assert (math.inf, 0.0) == (make_trial(state="failed").error, make_trial(state="failed").spread)


@given(st.integers(1, 10**6), st.floats(1e-6, 1.0), st.floats(0, 1))
def test_half_the_parameters_are_worth_the_tolerance_in_error(parameters, error, tolerance):
    large, half = make_trial(0, 2 * parameters, error), make_trial(1, parameters, error * (1 + tolerance))
    assert large.price_after(2, tolerance) == pytest.approx(half.price_after(2, tolerance))
    assert large.price_after(2, 0.0) == pytest.approx(error)


@given(TRIALS)
def test_the_front_holds_those_that_none_beats_in_both(trials):
    found = front(trials)
    done = [trial for trial in trials if trial.state == "complete"]
    assert [trial.parameters for trial in found] == sorted({trial.parameters for trial in found})
    assert [trial.error for trial in found] == sorted({trial.error for trial in found}, reverse=True)
    for trial in done:
        assert any(one.parameters <= trial.parameters and one.error <= trial.error for one in found)


@given(TRIALS, st.integers(1, 12))
def test_the_final_is_of_the_front_first_and_then_of_the_lowest_errors(trials, number):
    chosen = finalists(trials, number)
    best = [trial.number for trial in sorted(front(trials), key=lambda trial: trial.error)]
    assert [trial.number for trial in chosen][: len(best)] == best[:number]
    assert len(chosen) == min(number, len(ranking(trials)))
    assert len({trial.number for trial in chosen}) == len(chosen)


@given(TRIALS, st.sampled_from([0.0, 0.1, 0.2]))
def test_the_smallest_is_near_enough_and_nothing_near_enough_is_smaller(trials, tolerance):
    done = ranking(trials)
    if not done:
        return
    chosen, allowed = smallest_within(done, tolerance), done[0].error * (1 + tolerance)
    assert chosen.error <= allowed
    assert all(trial.error > allowed for trial in done if trial.parameters < chosen.parameters)
    assert all(trial.error >= chosen.error for trial in done if trial.parameters == chosen.parameters)


# --- Giving up.


def test_a_trial_is_given_up_if_it_does_worse_than_the_median_after_as_many_folds():
    done = [Trial(number, NETWORK, 100, "complete", (1.0 + number, 0.0), 1.0) for number in range(5)]
    assert not is_hopeless(done, Trial(5, NETWORK, 100, "complete", (3.0,), 0.0), 0.1)
    assert is_hopeless(done, Trial(5, NETWORK, 100, "complete", (3.01,), 0.0), 0.1)
    assert is_hopeless(done, Trial(5, NETWORK, 100, "complete", (3.0, 0.1), 0.0), 0.1)
    # A network half as large may have 10 % more error.
    assert not is_hopeless(done, Trial(5, NETWORK, 50, "complete", (3.29,), 0.0), 0.1)


def test_nothing_is_given_up_before_five_trials_are_complete():
    done = [make_trial(number) for number in range(4)]
    others = [make_trial(number, state="pruned") for number in range(4, 20)]
    assert not is_hopeless([*done, *others], make_trial(20, error=1e9), 0.1)


# --- Optuna's part.


def try_out(trials, error_of, seed=1, tolerance=0.1, space=SPACE):
    """Go on with a search in which a formula gives the errors."""
    candidate = propose(space, trials, seed, tolerance) if trials else COURSE_CANDIDATE
    size, error = candidate.parameters(9), error_of(candidate)
    return [*trials, Trial(len(trials), candidate, size, "complete" if error else "failed", (error,) * bool(error), 1)]


def search(number, error_of, **settings):
    trials = []
    for _ in range(number):
        trials = try_out(trials, error_of, **settings)
    return trials


def by_rate(candidate):
    return 1e-5 * (1 + (math.log10(candidate.learning_rate) + 2) ** 2)


def test_the_same_trials_and_seed_propose_the_same_and_another_seed_something_else():
    trials = search(15, by_rate)
    assert propose(SPACE, trials, 1, 0.1) == propose(SPACE, list(trials), 1, 0.1)
    assert propose(SPACE, trials, 1, 0.1) != propose(SPACE, trials, 2, 0.1)
    assert trials == search(15, by_rate)


def test_proposals_come_from_the_space_and_no_two_are_the_same():
    trials = search(40, lambda candidate: None if candidate.learning_rate > 0.01 else by_rate(candidate))
    assert {"complete", "failed"} == {trial.state for trial in trials}
    assert all(SPACE.holds(trial.candidate) for trial in trials[1:])
    assert 40 == len({trial.candidate for trial in trials})


def test_proposals_draw_near_to_what_was_good():
    rates = [math.log10(trial.candidate.learning_rate) for trial in search(50, by_rate, tolerance=0.0)]
    assert np.mean(np.abs(np.add(rates[35:], 2))) < 0.5 * np.mean(np.abs(np.add(rates[1:11], 2)))


def test_of_equally_good_networks_smaller_ones_are_looked_for_if_there_is_a_tolerance():
    def sizes(tolerance):
        return np.log([trial.parameters for trial in search(50, lambda _: 1e-5, tolerance=tolerance)[30:]])

    assert np.mean(sizes(0.1)) < np.mean(sizes(0.0)) - 0.5


def test_failed_trials_are_kept_away_from():
    def error_of(candidate):
        return None if candidate.activation == "relu" else 1e-5

    trials = search(50, error_of, tolerance=0.0)
    assert sum(trial.state == "failed" for trial in trials[30:]) < 5


def test_a_space_that_was_tried_out_proposes_nothing():
    space = Space.model_validate({"layers": 1, "units": [2, 3], "activation": ["relu", "silu"]})
    trials = search(5, lambda candidate: 1e-5 * sum(candidate.units), space=space)
    assert 5 == len({trial.candidate for trial in trials})
    assert propose(space, trials, 1, 0.1) is None


def test_what_mattered_is_what_the_error_depends_on():
    trials = search(40, by_rate)
    shares = importances(SPACE, trials, 1)
    assert {"layers", "units", "activation", "learning_rate"} == set(shares)
    assert "learning_rate" == next(iter(shares))
    assert shares["learning_rate"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert shares == importances(SPACE, trials, 1)


def test_what_mattered_can_not_be_told_from_few_trials_nor_from_equal_errors_nor_without_a_choice():
    fixed = Space.model_validate({"layers": 1, "units": 3, "activation": "relu"})
    assert {} == importances(SPACE, search(FEWEST_FOR_IMPORTANCE - 1, by_rate), 1)
    assert {} == importances(SPACE, search(20, lambda _: 1e-5), 1)
    assert {} == importances(fixed, [make_trial(number) for number in range(20)], 1)
    # The mean of the units does not tell these apart, so nothing explains their errors.
    alike = [NETWORK.model_copy(update={"units": (2 + number, 62 - number)}) for number in range(20)]
    trials = [make_trial(number, error=1e-5 * (1 + number), candidate=one) for number, one in enumerate(alike)]
    space = Space.model_validate({"layers": 2, "units": {"low": 2, "high": 64}, "activation": "relu"})
    assert all(space.holds(one) for one in alike)
    assert {} == importances(space, trials, 1)


def test_derived_seeds_differ_by_every_number():
    seeds = {derived_seed(*numbers) for numbers in [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (1, 0)]}
    assert 5 == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
