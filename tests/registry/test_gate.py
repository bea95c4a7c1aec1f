"""The gate's arithmetic: who passes, on what figures, and that the same errors always give the same ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.studies.gate import RETRAINED, errors
from gamesales.errors import GateRefusedError
from gamesales.registry import gate
from gamesales.registry.gate import FEWEST_ROWS, MARGIN, Finding, compare, judge
from gamesales.stats import bootstrap as resampling
from gamesales.stats.bootstrap import mean_percentiles, seed_from

PAIRS = 60


def pairs(rows, worse):
    """Errors of a champion and a candidate that was trained again, many times over."""
    random = np.random.default_rng(rows)
    return [compare(*errors(random, rows, worse, RETRAINED), seed=pair) for pair in range(PAIRS)]


# compare


@settings(deadline=None, max_examples=15)
@given(st.integers(FEWEST_ROWS, 300), st.integers(0, 2**32))
def test_equal_errors_pass(rows, seed):
    found = np.random.default_rng(seed).normal(size=rows)
    one = compare(found, -found, seed)
    assert (True, 0.0, 0.0) == (one.passes, one.difference, one.bound)


def test_a_champion_without_any_error_can_be_equalled_and_not_missed_by_a_cent():
    perfect = np.zeros(100)
    assert compare(perfect, perfect, 1).passes
    assert not compare(perfect, perfect + 0.01, 1).passes


@settings(deadline=None, max_examples=15)
@given(st.integers(FEWEST_ROWS, 300), st.integers(0, 2**32), st.floats(-0.5, 0.5))
def test_swapping_the_two_turns_the_difference_around(rows, seed, worse):
    champion, candidate = errors(np.random.default_rng(seed), rows, worse, RETRAINED)
    one, other = compare(champion, candidate, seed), compare(candidate, champion, seed)
    assert (one.champion_mae, one.candidate_mae, one.difference) == pytest.approx(
        (other.candidate_mae, other.champion_mae, -other.difference)
    )
    assert one.difference <= one.bound
    assert -other.bound <= one.bound


def test_the_figures_are_means_of_absolute_errors():
    one = compare(np.array([3.0, -1.0] * 50), np.array([-2.0, 1.0] * 50), 1)
    assert (2.0, 1.5, -0.5, 100) == (one.champion_mae, one.candidate_mae, one.difference, one.rows)
    assert MARGIN * 2.0 == one.limit


def test_the_same_errors_give_the_same_figures_and_another_seed_hardly_others():
    given_errors = errors(np.random.default_rng(3), 400, 0.0, RETRAINED)
    first, again, other = (compare(*given_errors, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.bound != other.bound
    assert first.bound == pytest.approx(other.bound, rel=0.05, abs=0.002)


def test_whoever_is_a_fifth_worse_on_many_rows_is_refused():
    assert not any(one.passes for one in pairs(2_000, 0.20))


def test_whoever_is_a_tenth_better_passes_on_few_hundred_rows():
    assert PAIRS == sum(one.passes for one in pairs(400, -0.10))


def test_of_versions_that_are_equally_good_95_in_100_pass_on_2000_rows():
    assert sum(one.passes for one in pairs(2_000, 0.0)) >= 0.95 * PAIRS


@pytest.mark.parametrize("rows", [200, 1_000])
def test_of_versions_that_are_a_tenth_worse_not_1_in_20_passes_however_few_the_rows(rows):
    assert sum(one.passes for one in pairs(rows, 0.10)) <= 0.05 * PAIRS


def test_the_bound_holds_the_real_difference_about_as_often_as_it_says():
    random = np.random.default_rng(5)
    expected = 0.1 * (2 / np.pi) ** 0.5  # the mean absolute value of a normal error is √(2/π) of its deviation
    held = [compare(*errors(random, 100, 0.1, RETRAINED), 1).bound >= expected for _ in range(200)]
    assert 0.94 <= np.mean(held) <= 1.0


@pytest.mark.parametrize("rows", [1, 2, FEWEST_ROWS - 1])
def test_a_few_rows_prove_nothing(rows):
    one = compare(np.full(rows, 10.0), np.full(rows, 1.0), 1)
    assert (False, None) == (one.passes, one.passes_at)
    assert f"{FEWEST_ROWS} rows or more are needed to tell" == gate.would_pass(one)
    assert compare(np.full(FEWEST_ROWS, 10.0), np.full(FEWEST_ROWS, 1.0), 1).passes


def test_the_error_that_would_pass_does_and_a_little_more_does_not():
    champion, candidate = (np.abs(each) + 5 for each in errors(np.random.default_rng(8), 400, 0.4, RETRAINED))
    refused = compare(champion, candidate, 1)
    assert not refused.passes
    shifted = candidate - (refused.candidate_mae - refused.passes_at)
    assert compare(champion, shifted - 1e-9, 1).passes
    assert not compare(champion, shifted + 1e-3, 1).passes


def test_the_rows_that_would_do_do():
    random = np.random.default_rng(2)
    champion, candidate = errors(random, 200, 0.0, RETRAINED)
    refused = compare(champion, candidate, 1)
    assert not refused.passes
    assert refused.difference < refused.limit
    times = refused.passes_with_rows / 200
    more, fewer = int(np.ceil(1.15 * times)), int(0.85 * times)
    assert compare(np.tile(champion, more), np.tile(candidate, more), 1).passes
    assert not compare(np.tile(champion, fewer), np.tile(candidate, fewer), 1).passes
    assert f"about {refused.passes_with_rows:,} rows" in gate.would_pass(refused)


def test_of_whoever_is_worse_than_the_limit_no_number_of_rows_is_told():
    one = compare(*errors(np.random.default_rng(1), 400, 0.3, RETRAINED), 1)
    assert one.passes_with_rows is None
    assert "rows" not in gate.would_pass(one)


# Resampling


def test_many_rows_are_taken_to_be_normal_and_the_bound_hardly_differs(monkeypatch):
    champion, candidate = errors(np.random.default_rng(4), resampling.MOST_ROWS, 0.0, RETRAINED)
    resampled = compare(champion, candidate, 1)
    monkeypatch.setattr(resampling, "MOST_ROWS", 100)
    normal = compare(champion, candidate, 1)
    assert (10_000, 0) == (resampled.resamples, normal.resamples)
    assert resampled.bound - resampled.difference == pytest.approx(normal.bound - normal.difference, rel=0.05)


def test_a_million_rows_are_compared_in_the_memory_that_they_take():
    import tracemalloc

    champion, candidate = errors(np.random.default_rng(4), 1_000_000, 0.0, RETRAINED)
    tracemalloc.start()
    assert compare(champion, candidate, 1).passes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * champion.nbytes


@pytest.mark.parametrize("rows", [100, 20_000])
def test_percentiles_come_in_order_around_the_mean(rows):
    values = np.random.default_rng(1).exponential(size=rows)
    low, middle, high = mean_percentiles(values, (0.025, 0.5, 0.975), 1)
    assert low < middle < high
    assert middle == pytest.approx(values.mean(), rel=0.01)


@pytest.mark.parametrize("rows", [1, 100, 20_000])
def test_the_mean_of_equal_numbers_has_no_spread(rows):
    assert [7.0, 7.0] == pytest.approx(mean_percentiles(np.full(rows, 7.0), (0.025, 0.975), 1))


def test_a_seed_is_a_number_that_every_reader_of_json_keeps():
    assert seed_from("f" * 64) == 2**48 - 1 < 2**53
    assert 0 == seed_from("0" * 64)


# judge and its findings


def test_what_holds_is_the_evidence_and_what_does_not_refuses_unless_forced():
    good, bad = Finding("a", True, "fine"), Finding("b", False, "none", "Do this")
    assert {"findings": [{"condition": "a", "holds": True, "found": "fine"}], "forced": False, "more": 1} == judge(
        "2", [good], force=True, details={"more": 1}
    )
    assert judge("2", [good, bad], force=True)["forced"]
    with pytest.raises(GateRefusedError) as refused:
        judge("other/2", [good, bad, Finding("c", False, "9")], force=False)
    assert "version other/2 may not be promoted: expected that b, but none; expected that c, but 9" == str(
        refused.value
    )
    assert 'Do this, or override: gamesales promote other/2 --force --reason "…"' == refused.value.hint
    assert (False, 3) == (refused.value.evidence["forced"], len(refused.value.evidence["findings"]))


def test_a_file_that_a_version_was_trained_on_is_no_holdout():
    assert gate.holdout_is_unseen("a" * 64, {1: "b" * 64, 2: None}, "").holds
    seen = gate.holdout_is_unseen("a" * 64, {1: "a" * 64, 2: "a" * 64}, "")
    assert (False, "it is the very file that version 1 and 2 learnt from") == (seen.holds, seen.found)
