"""The gate's comparison: which candidates pass, and that the result is reproducible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import GateRefusedError
from gamesales.registry import gate
from gamesales.registry.gate import MARGIN, MIN_ROWS, Finding, compare_with_champion, judge_findings
from gamesales.stats import bootstrap
from gamesales.stats.bootstrap import bootstrap_percentiles, derive_seed
from support.sampling import many

PAIRS = many(60, 20)
RESAMPLES = many(bootstrap.RESAMPLES, 2_000)


def draw_errors(random, rows, worse):
    """Draw errors of a champion and of a retrained candidate, as correlated as those of two seeds of one job."""
    champion, own = random.normal(size=(2, rows))
    return champion, (1 + worse) * (0.92 * champion + (1 - 0.92**2) ** 0.5 * own)


@pytest.fixture
def few_resamples(monkeypatch):
    """Resample less often, for tests that compare many pairs."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", RESAMPLES)


@pytest.fixture
def compare_pairs(few_resamples):
    """Return a function that compares many pairs of a champion and a candidate that was trained again."""

    def compare(rows, worse):
        random = np.random.default_rng(rows)
        return [compare_with_champion(*draw_errors(random, rows, worse), seed=pair) for pair in range(PAIRS)]

    return compare


# Comparing


@settings(deadline=None, max_examples=15)
@given(st.integers(MIN_ROWS, 300), st.integers(0, 2**32))
def test_equal_errors_pass(rows, seed):
    """A candidate with the same absolute errors passes."""
    values = np.random.default_rng(seed).normal(size=rows)
    comparison = compare_with_champion(values, -values, seed)
    assert (True, 0.0, 0.0) == (comparison.passes, comparison.difference, comparison.bound)


def test_perfect_champion_allows_no_error():
    """A champion without errors can be equaled but not missed by a cent."""
    perfect = np.zeros(100)
    assert compare_with_champion(perfect, perfect, 1).passes
    assert not compare_with_champion(perfect, perfect + 0.01, 1).passes


@settings(deadline=None, max_examples=15)
@given(st.integers(MIN_ROWS, 300), st.integers(0, 2**32), st.floats(-0.5, 0.5))
def test_swapping_negates_the_difference(rows, seed, worse):
    """Swapping candidate and champion negates the difference."""
    champion, candidate = draw_errors(np.random.default_rng(seed), rows, worse)
    comparison = compare_with_champion(champion, candidate, seed)
    swapped = compare_with_champion(candidate, champion, seed)
    assert (comparison.champion_mae, comparison.candidate_mae, comparison.difference) == pytest.approx(
        (swapped.candidate_mae, swapped.champion_mae, -swapped.difference)
    )
    assert comparison.difference <= comparison.bound
    assert -swapped.bound <= comparison.bound


def test_metrics_are_mean_absolute_errors():
    """The comparison holds mean absolute errors and their difference."""
    comparison = compare_with_champion(np.array([3.0, -1.0] * 50), np.array([-2.0, 1.0] * 50), 1)
    assert (2.0, 1.5, -0.5, 100) == (
        comparison.champion_mae,
        comparison.candidate_mae,
        comparison.difference,
        comparison.rows,
    )
    assert MARGIN * 2.0 == comparison.limit


def test_comparison_is_reproducible():
    """The same seed gives the same bound, another seed almost the same."""
    pair = draw_errors(np.random.default_rng(3), 400, 0.0)
    first, again, other = (compare_with_champion(*pair, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.bound != other.bound
    assert first.bound == pytest.approx(other.bound, rel=0.05, abs=0.002)


def test_clearly_worse_is_refused(compare_pairs):
    """A candidate that is 20% worse on many rows is refused."""
    assert not any(comparison.passes for comparison in compare_pairs(2_000, 0.20))


def test_clearly_better_passes(compare_pairs):
    """A candidate that is 10% better passes on a few hundred rows."""
    assert PAIRS == sum(comparison.passes for comparison in compare_pairs(400, -0.10))


def test_equally_good_mostly_passes(compare_pairs):
    """95% of equally good candidates pass on 2,000 rows."""
    assert sum(comparison.passes for comparison in compare_pairs(2_000, 0.0)) >= 0.95 * PAIRS


@pytest.mark.parametrize("rows", [200, 1_000])
def test_somewhat_worse_rarely_passes(compare_pairs, rows):
    """At most 5% of candidates that are 10% worse pass, however few the rows."""
    assert sum(comparison.passes for comparison in compare_pairs(rows, 0.10)) <= 0.05 * PAIRS


def test_bound_has_its_coverage(few_resamples):
    """The bound covers the true difference about as often as its confidence says."""
    random = np.random.default_rng(5)
    expected = 0.1 * (2 / np.pi) ** 0.5  # the mean absolute value of a normal error is √(2/π) of its deviation
    covered = [compare_with_champion(*draw_errors(random, 100, 0.1), 1).bound >= expected for _ in range(200)]
    assert 0.94 <= np.mean(covered) <= 1.0


@pytest.mark.parametrize("rows", [1, 2, MIN_ROWS - 1])
def test_few_rows_never_pass(rows):
    """On fewer rows than the minimum, no candidate passes."""
    comparison = compare_with_champion(np.full(rows, 10.0), np.full(rows, 1.0), 1)
    assert (False, None) == (comparison.passes, comparison.passing_error)
    assert f"at least {MIN_ROWS} rows are needed" == gate.describe_passing(comparison)
    assert compare_with_champion(np.full(MIN_ROWS, 10.0), np.full(MIN_ROWS, 1.0), 1).passes


def test_passing_error_passes():
    """A candidate passes at the reported error and not above it."""
    champion, candidate = (np.abs(values) + 5 for values in draw_errors(np.random.default_rng(8), 400, 0.4))
    refused = compare_with_champion(champion, candidate, 1)
    assert not refused.passes
    shifted = candidate - (refused.candidate_mae - refused.passing_error)
    assert compare_with_champion(champion, shifted - 1e-9, 1).passes
    assert not compare_with_champion(champion, shifted + 1e-3, 1).passes


def test_passing_rows_pass():
    """A candidate passes on about the reported number of rows and not on fewer."""
    random = np.random.default_rng(2)
    champion, candidate = draw_errors(random, 200, 0.0)
    refused = compare_with_champion(champion, candidate, 1)
    assert not refused.passes
    assert refused.difference < refused.limit
    times = refused.passes_with_rows / 200
    more, fewer = int(np.ceil(1.15 * times)), int(0.85 * times)
    assert compare_with_champion(np.tile(champion, more), np.tile(candidate, more), 1).passes
    assert not compare_with_champion(np.tile(champion, fewer), np.tile(candidate, fewer), 1).passes
    assert f"about {refused.passes_with_rows:,} rows" in gate.describe_passing(refused)


def test_worse_than_limit_needs_no_rows():
    """No number of rows is reported for a candidate that is worse than the limit."""
    comparison = compare_with_champion(*draw_errors(np.random.default_rng(1), 400, 0.3), 1)
    assert comparison.passes_with_rows is None
    assert "rows" not in gate.describe_passing(comparison)


# Resampling


def test_many_rows_use_normal_bound(monkeypatch):
    """On many rows the bound is that of a normal distribution, and almost the same."""
    champion, candidate = draw_errors(np.random.default_rng(4), bootstrap.MAX_RESAMPLED_ROWS, 0.0)
    resampled = compare_with_champion(champion, candidate, 1)
    monkeypatch.setattr(bootstrap, "MAX_RESAMPLED_ROWS", 100)
    normal = compare_with_champion(champion, candidate, 1)
    assert (10_000, 0) == (resampled.resamples, normal.resamples)
    assert resampled.bound - resampled.difference == pytest.approx(normal.bound - normal.difference, rel=0.05)


def test_million_rows_need_little_memory():
    """Comparing a million rows needs less than eight times their memory."""
    import tracemalloc

    champion, candidate = draw_errors(np.random.default_rng(4), 1_000_000, 0.0)
    tracemalloc.start()
    assert compare_with_champion(champion, candidate, 1).passes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * champion.nbytes


@pytest.mark.parametrize("rows", [100, 20_000])
def test_percentiles_are_ordered(rows):
    """Bootstrap percentiles are in order around the mean."""
    values = np.random.default_rng(1).exponential(size=rows)
    low, middle, high = bootstrap_percentiles(values, (0.025, 0.5, 0.975), 1)
    assert low < middle < high
    assert middle == pytest.approx(values.mean(), rel=0.01)


@pytest.mark.parametrize("rows", [1, 100, 20_000])
def test_equal_numbers_have_no_spread(rows):
    """The mean of equal numbers has no spread."""
    assert [7.0, 7.0] == pytest.approx(bootstrap_percentiles(np.full(rows, 7.0), (0.025, 0.975), 1))


def test_seed_fits_json():
    """A seed is below 2**53, so every JSON reader keeps it."""
    assert derive_seed("f" * 64) == 2**48 - 1 < 2**53
    assert 0 == derive_seed("0" * 64)


# Judging


def test_failed_finding_refuses_unless_forced():
    """Findings become evidence; a failed finding refuses unless forced."""
    good, bad = Finding("a", True, "fine"), Finding("b", False, "none", "Do this")
    assert {
        "findings": [{"condition": "a", "is_met": True, "observation": "fine"}],
        "forced": False,
        "more": 1,
    } == judge_findings("2", [good], command="", force=True, details={"more": 1})
    assert judge_findings("2", [good, bad], command="", force=True)["forced"]
    with pytest.raises(GateRefusedError) as refused:
        judge_findings("other/2", [good, bad, Finding("c", False, "9")], command="promote it", force=False)
    assert "version other/2 may not be promoted: expected that b, but none; expected that c, but 9" == str(
        refused.value
    )
    assert 'Do this, or override: promote it --force --reason "…"' == refused.value.hint
    assert (False, 3) == (refused.value.evidence["forced"], len(refused.value.evidence["findings"]))


def test_training_data_is_no_holdout():
    """A file that a version was trained on is no holdout."""
    assert gate.check_holdout_unseen("a" * 64, {1: "b" * 64, 2: None}, "").is_met
    finding = gate.check_holdout_unseen("a" * 64, {1: "a" * 64, 2: "a" * 64}, "")
    assert (False, "it is the training data of version 1 and 2") == (finding.is_met, finding.observation)
