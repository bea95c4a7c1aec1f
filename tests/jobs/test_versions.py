"""gamesales versions: filters, conditions, orders."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import UsageError
from gamesales.jobs.loading import open_registry
from gamesales.jobs.versions import (
    FIGURES,
    HIGHER_IS_BETTER,
    ORDERS,
    Condition,
    Wanted,
    figure,
    list_versions,
    parse_condition,
)
from support.versions import publish_simple

MAES = [3000.0, None, 1000.0, 2000.0, 1000.0, None, 5000.0]


def story(folder):
    """A registry of seven versions: some with figures, one champion, one retired, two actors."""
    registry = open_registry(folder / "registry", "game-earnings")
    for number, mae in enumerate(MAES, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LOGNAME", "ada" if number % 2 else "grace")
            publish_simple(registry, evaluated=False)
        if mae is not None:
            metrics = {"mae": mae, "r2": 1 - mae / 1e5, "rmse": None}
            evaluation = {"data": "test.csv", "data_sha256": "0" * 64, "rows": 400, "metrics": metrics}
            registry.record_evaluation(number, evaluation, "for a test")
    for alias, number in (("champion", 4), ("challenger", 7), ("fallback", 4)):
        registry.set_alias(alias, number, "for a test", lambda state, version: {"findings": [], "forced": False})
    registry.retire(3, "for a test")
    return registry


@pytest.fixture
def seven(tmp_path):
    return story(tmp_path)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """The same, for tests that only read."""
    return story(tmp_path_factory.mktemp("lasting"))


def numbers(registry, **wanted):
    return [row.version for row in list_versions(registry, Wanted(**wanted)).versions]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("", [7, 6, 5, 4, 2, 1]),
        ("--retired", [7, 6, 5, 4, 3, 2, 1]),
        ("--alias champion", [4]),
        ("--alias nobody", []),
        ("--by ada", [7, 5, 1]),
        ("--by ada --retired", [7, 5, 3, 1]),
        ("--since 2000-01-01", [7, 6, 5, 4, 2, 1]),
        ("--until 2000-01-01", []),
        ("--limit 2", [7, 6]),
        ("--limit 2 --reverse", [1, 2]),
        ("--reverse", [1, 2, 4, 5, 6, 7]),
        ("--sort registered --reverse", [1, 2, 4, 5, 6, 7]),
        ("--sort mae", [5, 4, 1, 7, 6, 2]),
        ("--sort mae --retired", [5, 3, 4, 1, 7, 6, 2]),
        ("--sort mae --reverse", [7, 1, 4, 5, 6, 2]),
        ("--sort r2", [5, 4, 1, 7, 6, 2]),
        ("--sort r2 --reverse --limit 1", [7]),
        ("--sort rmse", [7, 6, 5, 4, 2, 1]),
        ("--where mae<3000", [5, 4]),
        ("--where mae<=3000", [5, 4, 1]),
        ("--where mae>=1e3 --where r2>0.96", [5, 4, 1]),
        ("--where mae!=1000", [7, 4, 1]),
        ("--where mae==1000 --retired", [5, 3]),
        ("--where rmse<1e9", []),
    ],
)
def test_versions_can_be_narrowed_and_sorted(cli, seven, filters, expected):
    ran = cli("versions", *filters.split(), "--json")
    assert (0, expected) == (ran.code, [row["version"] for row in ran.document["versions"]])
    assert cli("versions", *filters.split()).code == 0


def test_since_and_until_are_about_registration_and_count_their_own_moment(cli, seven):
    times = [seven.find_version(number).registered.time for number in (2, 5)]
    rows = cli("versions", "--since", times[0], "--until", times[1], "--json").document["versions"]
    assert [5, 4, 2] == [row["version"] for row in rows]


def test_as_of_a_time_all_is_told_as_it_was(cli, seven):
    """Before it was retired, version 3 was in use; before it was promoted, 4 was not champion."""
    events = seven.events()
    before, last = next(event.time for event in events if event.kind == "alias.set"), events[-1].time
    rows = cli("versions", "--as-of", before, "--json").document["versions"]
    assert {4: ["champion"], 3: [], 7: []}.items() <= {row["version"]: row["aliases"] for row in rows}.items()
    assert 3 not in [row["version"] for row in cli("versions", "--as-of", last, "--json").document["versions"]]


def test_the_list_says_that_retired_versions_are_left_out(cli, seven):
    assert cli("versions").out.endswith("\n\n1 retired, not listed without --retired\n")
    marked = [line for line in cli("versions", "--retired").out.splitlines() if "(retired)" in line]
    assert ["3"] == [line.split()[0] for line in marked]
    document = cli("versions", "--retired", "--json").document
    assert (7, 0) == (document["registered"], document["retired_left_out"])
    assert [seven.events()[-1].time] == [row["retired"] for row in document["versions"] if row["retired"]]


def test_a_list_of_none_says_how_to_see_all(cli, seven):
    words = "no version of game-earnings in registry/ is one of these. See all: gamesales versions --retired\n"
    assert cli("versions", "--by", "nobody").out.startswith(words)


def test_figures_of_different_files_are_told_to_be_that(cli, seven):
    remark = "These figures are of 2 different files of titles. To be sure: gamesales compare A B"
    evaluation = {"data": "new.csv", "data_sha256": "1" * 64, "rows": 9, "metrics": {"mae": 1.0}}
    assert remark not in cli("versions", "--sort", "mae").out
    seven.record_evaluation(7, evaluation, "on newer titles")
    assert remark in cli("versions", "--sort", "mae").out
    assert remark in cli("versions", "--where", "mae<9999").out
    assert remark not in cli("versions").out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("--sort size", "versions are sorted by one of version, registered, mae, rmse, scaled_mse, r2, mape"),
        ("--alias with-hyphen", "'with-hyphen' can't be an alias"),
        ("--limit 0", "Invalid value for '--limit'"),
        ("--since yesterday", "--since expects a date"),
        ("--since 2026-02-02 --until 2026-02-01", "expected --since before --until"),
        ("--where size<3", "--where knows no figure 'size'; expected one of mae, rmse, scaled_mse, r2, mape"),
        ("--where mae", "--where expects a figure, a sign and a number, such as 'mae<5000'"),
    ],
)
def test_what_makes_no_sense_is_exit_2_and_says_what_does(cli, seven, command, words):
    ran = cli("versions", *command.split())
    assert (2, "") == (ran.code, ran.out)
    assert words in ran.err


# Conditions


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "mae",
            "mae<",
            "<5",
            "5<mae",
            "mae<five",
            "mae<5 000",
            "mae<5,000",
            "mae=<5",
            "mae<>5",
            "mae<nan",
            "mae<inf",
        ],
        *[
            "mae<1e999",
            "mae<5 or r2>0",
            "mae<5;",
            "__import__('os')<5",
            "mae.usd<5",
            "mae<\N{ARABIC-INDIC DIGIT FIVE}",
            "mae<0x10",
            "mae<5_000",
        ],
    ],
)
def test_what_is_no_condition_is_refused_with_the_form_that_is(text):
    with pytest.raises(UsageError, match=re.escape(f"such as 'mae<5000' or 'r2>=0.99', received {text!r}")) as refusal:
        parse_condition(text)
    assert refusal.value.hint.startswith("Figures: mae, rmse, scaled_mse, r2, mape; signs: < <= > >= = == !=")


@given(
    name=st.sampled_from([*FIGURES, *FIGURES.values()]),
    sign=st.sampled_from(["<", "<=", ">", ">=", "=", "==", "!="]),
    bound=st.floats(allow_nan=False, allow_infinity=False),
    space=st.sampled_from(["", " ", "\t"]),
)
def test_a_condition_reads_as_it_is_written(name, sign, bound, space):
    expected = Condition(FIGURES.get(name, name), sign, bound)
    assert expected == parse_condition(f"{space}{name}{space}{sign}{space}{bound!r}{space}")


@pytest.mark.parametrize("value", [None, True, "1", [1], float("nan"), float("inf")])
@pytest.mark.parametrize("sign", ["<", ">", "!=", "="])
def test_of_a_figure_that_is_no_number_nothing_holds(value, sign):
    assert not Condition("mae", sign, 1.0).holds({"mae": value})
    assert not Condition("mae", sign, 1.0).holds({})


# Laws

FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "alias": st.sampled_from(["champion", "challenger", "nobody"]),
        "actor": st.sampled_from(["ada", "grace", "bob"]),
        "where": st.lists(
            st.builds(
                Condition,
                st.sampled_from(["mae", "r2", "rmse"]),
                st.sampled_from(["<", ">=", "!="]),
                st.sampled_from([0.97, 1000.0, 2500.0]),
            ),
            max_size=3,
        ).map(tuple),
        "retired": st.just(True),
    },
)


@settings(deadline=None)
@given(FILTERS)
def test_filters_can_be_applied_in_any_order(lasting, filters):
    """Together they let through what each of them does."""
    retired = filters.pop("retired", False)
    conditions = [{"where": (one,)} for one in filters.get("where", ())]
    each = [{name: value} for name, value in filters.items() if name != "where"] + conditions
    passing = [set(numbers(lasting, retired=retired, **one)) for one in each]
    everything = set(numbers(lasting, retired=retired))
    assert sorted(everything.intersection(*passing), reverse=True) == numbers(lasting, retired=retired, **filters)


@settings(deadline=None)
@given(FILTERS, st.sampled_from(ORDERS), st.booleans(), st.integers(1, 9))
def test_sorting_loses_and_doubles_nothing_and_a_limit_takes_the_first(lasting, filters, order, is_reversed, limit):
    sorted_ = numbers(lasting, **filters, order=order, is_reversed=is_reversed)
    assert numbers(lasting, **filters) == sorted(sorted_, reverse=True)
    assert sorted_[:limit] == numbers(lasting, **filters, order=order, is_reversed=is_reversed, limit=limit)


@pytest.mark.parametrize("order", list(FIGURES))
@pytest.mark.parametrize("is_reversed", [False, True])
def test_the_best_come_first_and_those_without_the_figure_last(lasting, order, is_reversed):
    rows = list_versions(lasting, Wanted(order=order, is_reversed=is_reversed, retired=True)).versions
    values = [figure(row.metrics or {}, FIGURES[order]) for row in rows]
    known = [value for value in values if value is not None]
    assert values == known + [None] * (len(values) - len(known))
    assert known == sorted(known, reverse=(order in HIGHER_IS_BETTER) != is_reversed)
