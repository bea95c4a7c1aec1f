"""Drift: counting rows in the bins of training, and how often a run is called drifted."""

import json
import re
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gamesales.data.simulate import GENRES, compute_expected_earnings, simulate
from gamesales.scoring.drift import (
    PSI_THRESHOLD,
    BinnedRows,
    Profile,
    count_bins,
    measure_drift,
    read_profiles,
)
from gamesales.scoring.scorer import load_version
from gamesales.training.evaluation import profile_column, profile_columns
from support.sampling import many
from support.versions import FEATURES, ROOT, simple_details

PRICE, ROLE_PLAYING, SPORTS = (FEATURES.index(name) for name in ("unit_price", "is_role_playing", "is_sports"))
# Malformed entries of a manifest, by fault.
MALFORMED = {
    "unsorted edges": {"edges": [2.0, 1.0], "counts": [1, 1, 1]},
    "duplicate edges": {"edges": [1.0, 1.0], "counts": [1, 1, 1]},
    "an edge that is not a number": {"edges": [float("nan")], "counts": [1, 1]},
    "an infinite edge": {"edges": [float("inf")], "counts": [1, 1]},
    "an edge beyond all floats": {"edges": [10**400], "counts": [1, 1]},
    "text for an edge": {"edges": ["low"], "counts": [1, 1]},
    "edges that are nested": {"edges": [[1.0]], "counts": [1, 1]},
    "edges that are nothing": {"edges": None, "counts": [1, 1]},
    "too few counts": {"edges": [1.0], "counts": [1]},
    "too many counts": {"edges": [1.0], "counts": [1, 1, 1, 1]},
    "a negative count": {"edges": [1.0], "counts": [2, -1]},
    "half a row": {"edges": [1.0], "counts": [1, 1.5]},
    "no rows at all": {"edges": [1.0], "counts": [0, 0]},
    "no counts": {"edges": [1.0]},
    "no edges": {"counts": [1]},
    "no name": {"name": None, "edges": [1.0], "counts": [1, 1]},
}


def make_titles(rows, seed):
    """Simulated titles with their expected earnings as the prediction: float64 (rows, 10)."""
    table = pa.Table.from_batches(simulate(rows, seed=seed))
    return np.column_stack(
        [*(np.asarray(table[name], np.float64) for name in FEATURES), compute_expected_earnings(table)]
    )


def make_manifest(values):
    """The profiles that training writes, read back from JSON."""
    profiles = {
        "training_profile": profile_columns(FEATURES, values[:, :-1]),
        "prediction_profile": profile_column("predicted_earnings", values[:, -1]),
    }
    return json.loads(json.dumps(profiles))


def measure(night, profiles, threshold=PSI_THRESHOLD):
    """Measure the drift of a night of titles, (n, 10)."""
    counts = [count_bins(profile, column) for profile, column in zip(profiles, night.T, strict=True)]
    return measure_drift(profiles, counts, [0] * len(FEATURES) + [None], len(night), threshold)


PAST = make_titles(1_000, seed=1)
PROFILES = read_profiles(make_manifest(PAST), FEATURES)
STORE = make_titles(100_000, seed=2)


def make_profile(edges):
    return Profile("any", np.array(edges, np.float64), np.ones(len(edges) + 1, np.int64))


edge_lists = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9, unique=True).map(sorted)
near_edges = st.lists(st.integers(-520, 520).map(lambda quarter: quarter / 4), max_size=9, unique=True).map(sorted)


@st.composite
def columns(draw):
    """A profile and a column of any type, whose values are often at or next to an edge."""
    edges = draw(edge_lists | near_edges)
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int8, np.int64, np.bool_]))
    limits = {} if dtype == np.bool_ or np.issubdtype(dtype, np.integer) else {"allow_nan": False, "width": 32}
    elements = st.booleans() if dtype == np.bool_ else st.integers(-128, 127) if not limits else st.floats(**limits)
    values = draw(arrays(dtype, st.integers(0, 30), elements=elements))
    if limits and edges:
        with np.errstate(over="ignore"):
            on = np.array(draw(st.lists(st.sampled_from(edges))), np.float64).astype(dtype)
            neighbors = [np.nextafter(on, dtype(toward)) for toward in (-np.inf, np.inf)]
        values = np.concatenate([values, on, *neighbors])
    return make_profile(edges), values


def count_slowly(profile, values):
    """Count by the definition: bin j holds edges[j-1] <= x < edges[j], compared as Python floats."""
    bounds = [-np.inf, *profile.edges.tolist(), np.inf]
    inside = [
        sum(low <= float(x) and (float(x) < high or high == np.inf) for x in values) for low, high in pairwise(bounds)
    ]
    return np.array(inside, np.int64)


class TestCount:
    """Counting rows in the bins of a profile."""

    @settings(deadline=None, max_examples=300)
    @given(columns())
    def test_types_count_alike(self, column):
        """A column of any type is counted like its float64 values."""
        profile, values = column
        counts = count_bins(profile, values)
        assert np.int64 == counts.dtype
        np.testing.assert_array_equal(count_slowly(profile, values), counts)

    @settings(deadline=None)
    @given(columns(), st.data())
    def test_repeats_count_as_rows(self, column, data):
        """Distinct values with repeats count like all rows."""
        profile, values = column
        repeats = data.draw(arrays(np.int64, len(values), elements=st.integers(0, 5)))
        assume(len(values))
        orders = values, values[::-1]
        counted = BinnedRows.from_columns([profile] * 2, orders).count(repeats)
        for ordered, counts in zip(orders, counted, strict=True):
            assert np.int64 == counts.dtype
            np.testing.assert_array_equal(count_bins(profile, np.repeat(ordered, repeats)), counts)

    @settings(deadline=None)
    @given(columns(), st.integers(0, 60))
    def test_parts_add_up(self, column, cut):
        """The counts of two parts add up to the counts of the whole."""
        profile, values = column
        parts = count_bins(profile, values[:cut]) + count_bins(profile, values[cut:])
        np.testing.assert_array_equal(count_bins(profile, values), parts)

    @settings(deadline=None)
    @given(columns(), st.randoms())
    def test_row_order_is_irrelevant(self, column, random):
        """The order of the rows does not change the counts."""
        profile, values = column
        order = random.sample(range(len(values)), len(values))
        np.testing.assert_array_equal(count_bins(profile, values), count_bins(profile, values[order]))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_training_equals_profile(self, dtype):
        """The training data has the counts of its profile in both precisions."""
        for profile, column in zip(PROFILES, PAST.T, strict=True):
            np.testing.assert_array_equal(profile.counts, count_bins(profile, column.astype(dtype)))

    def test_strided_column(self):
        """A strided column counts like a contiguous copy."""
        for profile, column in zip(PROFILES, STORE.T, strict=True):
            np.testing.assert_array_equal(
                count_bins(profile, np.ascontiguousarray(column)), count_bins(profile, column)
            )


class TestMeasuring:
    # At 30 rows the true rate is 0.6%, which 1,000 nights can't distinguish from 1%.
    """How often a run is called drifted."""

    @pytest.mark.parametrize(
        ("rows", "nights"), [(30, many(5_000, 1_500)), (300, many(1_000, 500)), (3_000, many(1_000, 300))]
    )
    def test_training_rows_rarely_drift(self, rows, nights):
        """Runs of rows drawn from the training data are rarely called drifted."""
        random = np.random.default_rng(rows)
        alarms = sum(bool(measure(PAST[random.integers(0, len(PAST), rows)], PROFILES).drifted) for _ in range(nights))
        assert alarms < 0.01 * nights

    def test_same_store_does_not_drift(self):
        """New titles of the same store are not called drifted."""
        assert [()] * 100 == [measure(night, PROFILES).drifted for night in STORE.reshape(100, 1_000, -1)]

    def test_price_increase_drifts(self):
        """Prices that rise by 20 dollars are called drifted."""
        night = STORE[:1_000].copy()
        night[:, PRICE] += 20
        assert ("unit_price",) == measure(night, PROFILES).drifted

    def test_doubled_share_drifts(self):
        """A genre whose share doubles is called drifted."""
        night = draw_with_share(ROLE_PLAYING, 2 * GENRES["is_role_playing"] / 1_000)
        assert "is_role_playing" in measure(night, PROFILES).drifted

    def test_small_share_needs_lower_threshold(self):
        """From 19% to 37% is an index of 0.18, which is a small change by the rule of thumb."""
        night = draw_with_share(SPORTS, 2 * GENRES["is_sports"] / 1_000)
        assert () == measure(night, PROFILES).drifted
        assert "is_sports" in measure(night, PROFILES, threshold=0.1).drifted

    def test_limit_allows_for_chance(self):
        """Ten bins, 30 rows, 1,000 rows in training: 9 degrees of freedom."""
        (column,) = (column for column in measure(STORE[:30], PROFILES).columns if column.column == PROFILES[-1].name)
        by_row = 1 / 30 + 1 / 1_000
        assert 10 == len(PROFILES[-1].counts)
        assert 9 * by_row == pytest.approx(column.psi_by_chance)
        assert 0.25 + 9 * by_row + 3 * 18**0.5 * by_row == pytest.approx(column.limit)

    def test_outside_range_is_share(self):
        """Rows outside the training range are reported as a share."""
        counts = [count_bins(profile, column) for profile, column in zip(PROFILES, STORE[:200].T, strict=True)]
        drift = measure_drift(PROFILES, counts, [0] * 8 + [50, None], 200)
        shares = {column.column: column.share_outside for column in drift.columns}
        assert shares == {**dict.fromkeys(FEATURES, 0.0), "unit_price": 0.25, "predicted_earnings": None}

    def test_empty_run_does_not_drift(self):
        """A run without rows has not drifted."""
        drift = measure(STORE[:0], PROFILES)
        assert () == drift.drifted
        assert {0.0} == {column.psi for column in drift.columns}
        assert {0.0, None} == {column.share_outside for column in drift.columns}

    def test_constant_column_has_no_index(self):
        """A column with one value in training has one bin and an index of 0."""
        (profile,) = read_profiles({"training_profile": [], "prediction_profile": profile_column("a", np.ones(5))}, ())
        (column,) = measure_drift([profile], [count_bins(profile, np.array([1.0, 7.0]))], [1], 2).columns
        assert (0.0, 0.0, 0.5) == (column.psi, column.psi_by_chance, column.share_outside)

    def test_drift_is_plain_json(self):
        """The drift of a run is plain JSON."""
        drift = asdict(measure(STORE[:30], PROFILES))
        document = json.loads(json.dumps(drift))
        assert drift == document | {key: tuple(document[key]) for key in ("columns", "drifted")}
        assert {*FEATURES, "predicted_earnings"} == {column["column"] for column in drift["columns"]}

    def test_most_severe_column_first(self):
        """Columns come in the order of PSI relative to the limit, and so do the names of the drifted columns."""
        titles = STORE[:500].copy()
        titles[:, FEATURES.index("unit_price")] += 20
        titles[:, FEATURES.index("is_sports")] = 1
        drift = measure(titles, PROFILES)
        severities = [column.psi / column.limit for column in drift.columns]
        assert severities == sorted(severities, reverse=True)
        assert drift.drifted == tuple(column.column for column in drift.columns if column.drifted)
        assert {"unit_price", "is_sports"} <= set(drift.drifted[:3])

    def test_change_in_words(self):
        """The change of a flag is in shares, the change of a number in averages; without rows there are no words."""
        counts = [count_bins(profile, column) for profile, column in zip(PROFILES, STORE[:200].T, strict=True)]
        sums = [200.0] * 8 + [12_200.0, 2e7]
        drift = measure_drift(PROFILES, counts, [0] * 9 + [None], 200, sums=sums, flags={"is_sports"})
        changes = {column.column: column.change for column in drift.columns}
        assert re.fullmatch(r"is_sports: 1\d% of titles in training, 100% tonight", changes["is_sports"])
        assert re.fullmatch(r"average unit_price: 5\d\.\d\d in training, 61\.00 tonight", changes["unit_price"])
        earnings = changes["predicted_earnings"]
        assert re.fullmatch(r"average predicted_earnings: \d+,\d{3} in training, 100,000 tonight", earnings)
        assert {column.change for column in measure(STORE[:0], PROFILES).columns} == {""}


def draw_with_share(genre, share, rows=1_000):
    """Titles of the store with a different share of a genre."""
    random = np.random.default_rng(3)
    of_it, others = (STORE[STORE[:, genre] == flag] for flag in (1, 0))
    many = round(share * rows)
    return np.concatenate([random.choice(of_it, many), random.choice(others, rows - many)])


class TestProfiles:
    """Reading the profiles of a version."""

    def test_profile_order(self):
        """Profiles come in the contract's order, then the predictions."""
        manifest = make_manifest(PAST)
        manifest["training_profile"].reverse()
        profiles = read_profiles(manifest, FEATURES)
        assert [*FEATURES, "predicted_earnings"] == [profile.name for profile in profiles]
        assert {(np.dtype(np.float64), np.dtype(np.int64))} == {
            (profile.edges.dtype, profile.counts.dtype) for profile in profiles
        }

    def test_early_release_has_no_profiles(self, contract):
        """A version of an early release has no profiles."""
        assert read_profiles(simple_details(contract), FEATURES) is None
        (*_, path) = sorted((ROOT / "tests/frozen/registry-1/game-earnings/bundles").glob("*/MANIFEST.json"))
        manifest = json.loads(path.read_bytes())
        assert read_profiles(manifest, [column["name"] for column in manifest["training_profile"]]) is None

    @pytest.mark.parametrize("fault", MALFORMED)
    def test_malformed_profile_is_refused(self, fault):
        """A malformed profile is refused."""
        with pytest.raises(ValueError, match="the bins of"):
            Profile.from_manifest({"name": "a", **MALFORMED[fault]})

    def test_missing_profiles_are_refused(self):
        """Profiles for only some columns are refused."""
        manifest = make_manifest(PAST)
        for key in ("edges", "counts"):
            del manifest["training_profile"][0][key]
        del manifest["prediction_profile"]
        with pytest.raises(ValueError, match="no bins for critic_rating, the predictions; expected them for every"):
            read_profiles(manifest, FEATURES)

    def test_trained_version_counts_itself(self, trained_registry, contract):
        """A trained version counts its own training data exactly."""
        bundle = trained_registry.open_bundle(trained_registry.find_version(1))
        profiles = read_profiles(bundle.manifest, contract.feature_names)
        assert {1_000} == {int(profile.counts.sum()) for profile in profiles}
        past = np.genfromtxt(ROOT / "data/sales_data_training.csv", delimiter=",", names=True)
        values = np.column_stack([past[name] for name in contract.feature_names])
        version = load_version("game-earnings", 1, "", bundle.manifest, bundle.read("scorer.onnx"))
        for profile, column in zip(profiles, [*values.T, version.scorer.score(values)], strict=True):
            np.testing.assert_array_equal(profile.counts, count_bins(profile, column))
