"""Drift: counting rows in training's bins, the index of two counts, and how often a night is called drifted."""

import json
from dataclasses import asdict
from itertools import pairwise
from math import log

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gamesales.data.simulate import GENRES, expected_earnings, simulate
from gamesales.scoring.drift import PSI_THRESHOLD, Profile, count, judge, profiles_of, psi
from gamesales.scoring.scorer import load_version
from gamesales.training.metrics import column_profile, training_profile
from support.versions import FEATURES, ROOT, simple_details

PRICE, ROLE_PLAYING, SPORTS = (FEATURES.index(name) for name in ("unit_price", "is_role_playing", "is_sports"))
# What a Profile can't be made of, and what is wrong with it.
MALFORMED = {
    "unsorted edges": {"edges": [2.0, 1.0], "counts": [1, 1, 1]},
    "doubled edges": {"edges": [1.0, 1.0], "counts": [1, 1, 1]},
    "an edge that is not a number": {"edges": [float("nan")], "counts": [1, 1]},
    "an infinite edge": {"edges": [float("inf")], "counts": [1, 1]},
    "an edge beyond all floats": {"edges": [10**400], "counts": [1, 1]},
    "text for an edge": {"edges": ["low"], "counts": [1, 1]},
    "edges that are nested": {"edges": [[1.0]], "counts": [1, 1]},
    "edges that are nothing": {"edges": None, "counts": [1, 1]},
    "too few counts": {"edges": [1.0], "counts": [1]},
    "too many counts": {"edges": [1.0], "counts": [1, 1, 1]},
    "a negative count": {"edges": [1.0], "counts": [2, -1]},
    "half a row": {"edges": [1.0], "counts": [1, 1.5]},
    "no rows at all": {"edges": [1.0], "counts": [0, 0]},
    "no counts": {"edges": [1.0]},
    "no edges": {"counts": [1]},
    "no name": {"name": None, "edges": [1.0], "counts": [1, 1]},
}


def titles(rows, seed):
    """Simulated titles, and what a version that knows the store predicts for them: float64 (rows, 10)."""
    table = pa.Table.from_batches(simulate(rows, seed=seed))
    return np.column_stack([*(np.asarray(table[name], np.float64) for name in FEATURES), expected_earnings(table)])


def manifest_of(values):
    """The profiles that training would write, as they come back from JSON."""
    profiles = {
        "training_profile": training_profile(FEATURES, values[:, :-1]),
        "prediction_profile": column_profile("predicted_earnings", values[:, -1]),
    }
    return json.loads(json.dumps(profiles))


def judged(night, profiles, threshold=PSI_THRESHOLD):
    """Judge a night: (n, 10)."""
    counts = [count(profile, column) for profile, column in zip(profiles, night.T, strict=True)]
    return judge(profiles, counts, [0] * len(FEATURES) + [None], len(night), threshold)


PAST = titles(1_000, seed=1)
PROFILES = profiles_of(manifest_of(PAST), FEATURES)
STORE = titles(100_000, seed=2)


def profile_of(edges):
    return Profile("any", np.array(edges, np.float64), np.ones(len(edges) + 1, np.int64))


edge_lists = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9, unique=True).map(sorted)
near_edges = st.lists(st.integers(-520, 520).map(lambda quarter: quarter / 4), max_size=9, unique=True).map(sorted)


@st.composite
def columns(draw):
    """A profile and a column of any type, its values often on an edge or beside one."""
    edges = draw(edge_lists | near_edges)
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int8, np.int64, np.bool_]))
    limits = {} if dtype == np.bool_ or np.issubdtype(dtype, np.integer) else {"allow_nan": False, "width": 32}
    elements = st.booleans() if dtype == np.bool_ else st.integers(-128, 127) if not limits else st.floats(**limits)
    values = draw(arrays(dtype, st.integers(0, 30), elements=elements))
    if limits and edges:
        with np.errstate(over="ignore"):
            on = np.array(draw(st.lists(st.sampled_from(edges))), np.float64).astype(dtype)
            beside = [np.nextafter(on, dtype(toward)) for toward in (-np.inf, np.inf)]
        values = np.concatenate([values, on, *beside])
    return profile_of(edges), values


def by_hand(profile, values):
    """Count by the definition: bin j holds edges[j-1] <= x < edges[j], compared as Python's floats."""
    bounds = [-np.inf, *profile.edges.tolist(), np.inf]
    inside = [
        sum(low <= float(x) and (float(x) < high or high == np.inf) for x in values) for low, high in pairwise(bounds)
    ]
    return np.array(inside, np.int64)


class TestCount:
    @settings(deadline=None, max_examples=300)
    @given(columns())
    def test_a_column_of_any_type_is_counted_as_its_float64_values(self, column):
        profile, values = column
        found = count(profile, values)
        assert np.int64 == found.dtype
        np.testing.assert_array_equal(by_hand(profile, values), found)

    @settings(deadline=None)
    @given(columns(), st.data())
    def test_distinct_values_with_repeats_count_as_all_rows(self, column, data):
        profile, values = column
        repeats = data.draw(arrays(np.int64, len(values), elements=st.integers(0, 5)))
        found = count(profile, values, repeats)
        assert np.int64 == found.dtype
        np.testing.assert_array_equal(count(profile, np.repeat(values, repeats)), found)

    @settings(deadline=None)
    @given(columns(), st.integers(0, 60))
    def test_counts_of_parts_add_up_to_those_of_the_whole(self, column, cut):
        profile, values = column
        parts = count(profile, values[:cut]) + count(profile, values[cut:])
        np.testing.assert_array_equal(count(profile, values), parts)

    @settings(deadline=None)
    @given(columns(), st.randoms())
    def test_the_order_of_rows_does_not_matter(self, column, random):
        profile, values = column
        order = random.sample(range(len(values)), len(values))
        np.testing.assert_array_equal(count(profile, values), count(profile, values[order]))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_training_counts_as_its_profile_says_in_either_precision(self, dtype):
        for profile, column in zip(PROFILES, PAST.T, strict=True):
            np.testing.assert_array_equal(profile.counts, count(profile, column.astype(dtype)))

    def test_a_column_of_a_matrix_counts_as_a_copy_of_it(self):
        for profile, column in zip(PROFILES, STORE.T, strict=True):
            np.testing.assert_array_equal(count(profile, np.ascontiguousarray(column)), count(profile, column))


two_counts = st.integers(1, 10).flatmap(
    lambda bins: st.tuples(*(arrays(np.int64, bins, elements=st.integers(0, 10**6)) for _ in range(2)))
)


class TestIndex:
    def test_of_two_bins_by_hand(self):
        """With half a row more in each bin the shares are 1/2 and 1/2, and 5/6 and 1/6."""
        assert log(5) / 3 == pytest.approx(psi(np.array([4, 4]), np.array([2, 0])))

    @given(two_counts)
    def test_is_finite_and_never_negative(self, pair):
        found = psi(*pair)
        assert 0 <= found < np.inf

    @given(two_counts)
    def test_of_a_column_with_itself_is_0(self, pair):
        assert 0.0 == psi(pair[0], pair[0])

    def test_of_no_rows_is_0(self):
        assert 0.0 == psi(np.array([4, 4]), np.array([0, 0]))


class TestJudging:
    # At 30 rows the true rate is 0.6 %, which 1,000 nights can't tell from 1 %.
    @pytest.mark.parametrize(("rows", "nights"), [(30, 5_000), (300, 1_000), (3_000, 1_000)])
    def test_nights_drawn_from_training_are_rarely_called_drifted(self, rows, nights):
        random = np.random.default_rng(rows)
        alarms = sum(bool(judged(PAST[random.integers(0, len(PAST), rows)], PROFILES).drifted) for _ in range(nights))
        assert alarms < 0.01 * nights

    def test_new_titles_of_the_same_store_are_not_called_drifted(self):
        assert [()] * 100 == [judged(night, PROFILES).drifted for night in STORE.reshape(100, 1_000, -1)]

    def test_prices_that_rise_by_20_dollars_are_found(self):
        night = STORE[:1_000].copy()
        night[:, PRICE] += 20
        assert ("unit_price",) == judged(night, PROFILES).drifted

    def test_a_genre_whose_share_doubles_is_found(self):
        night = with_share(ROLE_PLAYING, 2 * GENRES["is_role_playing"] / 1_000)
        assert "is_role_playing" in judged(night, PROFILES).drifted

    def test_a_small_genre_whose_share_doubles_needs_a_lower_threshold(self):
        """From 19 % to 37 % is an index of 0.18: by the rule of thumb a little change."""
        night = with_share(SPORTS, 2 * GENRES["is_sports"] / 1_000)
        assert () == judged(night, PROFILES).drifted
        assert "is_sports" in judged(night, PROFILES, threshold=0.1).drifted

    def test_what_chance_gives_is_told_and_allowed(self):
        """Ten bins, 30 rows, 1,000 in training: 9 degrees of freedom."""
        column = judged(STORE[:30], PROFILES).columns[-1]
        by_row = 1 / 30 + 1 / 1_000
        assert 10 == len(PROFILES[-1].counts)
        assert 9 * by_row == pytest.approx(column.psi_by_chance)
        assert 0.25 + 9 * by_row + 3 * 18**0.5 * by_row == pytest.approx(column.limit)

    def test_rows_outside_the_training_range_are_told_as_a_share(self):
        counts = [count(profile, column) for profile, column in zip(PROFILES, STORE[:200].T, strict=True)]
        found = judge(PROFILES, counts, [0] * 8 + [50, None], 200)
        assert [0.0] * 8 + [0.25, None] == [column.share_outside for column in found.columns]

    def test_a_night_without_titles_has_not_drifted(self):
        found = judged(STORE[:0], PROFILES)
        assert () == found.drifted
        assert {0.0} == {column.psi for column in found.columns}
        assert {0.0, None} == {column.share_outside for column in found.columns}

    def test_a_column_of_one_value_in_training_has_one_bin_and_no_index(self):
        (profile,) = profiles_of({"training_profile": [], "prediction_profile": column_profile("a", np.ones(5))}, ())
        (column,) = judge([profile], [count(profile, np.array([1.0, 7.0]))], [1], 2).columns
        assert (0.0, 0.0, 0.5) == (column.psi, column.psi_by_chance, column.share_outside)

    def test_the_findings_are_plain_json(self):
        found = asdict(judged(STORE[:30], PROFILES))
        assert found == json.loads(json.dumps(found)) | {"columns": found["columns"]}
        assert [*FEATURES, "predicted_earnings"] == [column["column"] for column in found["columns"]]


def with_share(genre, share, rows=1_000):
    """Titles of the store with another share of one genre."""
    random = np.random.default_rng(3)
    of_it, others = (STORE[STORE[:, genre] == flag] for flag in (1, 0))
    many = round(share * rows)
    return np.concatenate([random.choice(of_it, many), random.choice(others, rows - many)])


class TestProfiles:
    def test_come_in_the_contracts_order_and_then_the_predictions(self):
        manifest = manifest_of(PAST)
        manifest["training_profile"].reverse()
        found = profiles_of(manifest, FEATURES)
        assert [*FEATURES, "predicted_earnings"] == [profile.name for profile in found]
        assert {(np.dtype(np.float64), np.dtype(np.int64))} == {(one.edges.dtype, one.counts.dtype) for one in found}

    def test_a_version_of_an_earlier_release_has_none(self, contract):
        assert profiles_of(simple_details(contract), FEATURES) is None
        (*_, path) = sorted((ROOT / "tests/frozen/registry-1/game-earnings/bundles").glob("*/MANIFEST.json"))
        manifest = json.loads(path.read_bytes())
        assert profiles_of(manifest, [column["name"] for column in manifest["training_profile"]]) is None

    @pytest.mark.parametrize("fault", MALFORMED)
    def test_that_are_malformed_are_refused(self, fault):
        with pytest.raises(ValueError, match="the bins of"):
            Profile.from_manifest({"name": "a", **MALFORMED[fault]})

    def test_that_are_there_for_some_columns_only_are_refused(self):
        manifest = manifest_of(PAST)
        for key in ("edges", "counts"):
            del manifest["training_profile"][0][key]
        del manifest["prediction_profile"]
        with pytest.raises(ValueError, match="no bins for critic_rating, the predictions; expected them for every"):
            profiles_of(manifest, FEATURES)

    def test_a_trained_version_counts_its_own_training_titles(self, trained_registry, contract):
        bundle = trained_registry.bundle(trained_registry.find_version(1))
        profiles = profiles_of(bundle.manifest, contract.feature_names)
        assert {1_000} == {int(profile.counts.sum()) for profile in profiles}
        past = np.genfromtxt(ROOT / "data/sales_data_training.csv", delimiter=",", names=True)
        values = np.column_stack([past[name] for name in contract.feature_names])
        version = load_version("game-earnings", 1, "", bundle.manifest, bundle.read("scorer.onnx"))
        for profile, column in zip(profiles, [*values.T, version.scorer.score(values)], strict=True):
            np.testing.assert_array_equal(profile.counts, count(profile, column))
