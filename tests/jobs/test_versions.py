"""``gamesales versions``: filters, conditions and orders."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import UsageError
from gamesales.jobs.loading import open_registry
from gamesales.jobs.versions import (
    METRIC_KEYS,
    ORDERS,
    MetricCondition,
    VersionFilter,
    list_versions,
    parse_condition,
    read_metric,
)
from support.versions import publish_simple

MAES = [3000.0, None, 1000.0, 2000.0, 1000.0, None, 5000.0]


def make_registry(folder):
    """Make a registry of seven versions: some with metrics, one champion, one retired, two actors."""
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
    return make_registry(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same registry, for tests that only read."""
    return make_registry(tmp_path_factory.mktemp("shared"))


def numbers(registry, **filters):
    return [row.version for row in list_versions(registry, VersionFilter(**filters)).versions]


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
def test_filter_and_sort(cli, seven, filters, expected):
    """Options select and sort versions."""
    ran = cli("versions", *filters.split(), "--json")
    assert (0, expected) == (ran.code, [row["version"] for row in ran.document["versions"]])
    assert cli("versions", *filters.split()).code == 0


def test_since_and_until_are_inclusive(cli, seven):
    """--since and --until compare registration times and are inclusive."""
    times = [seven.find_version(number).registration.time for number in (2, 5)]
    rows = cli("versions", "--since", times[0], "--until", times[1], "--json").document["versions"]
    assert [5, 4, 2] == [row["version"] for row in rows]


def test_versions_as_of(cli, seven):
    """--as-of lists aliases and retirements as they were."""
    events = seven.read_events()
    before, last = next(event.time for event in events if event.kind == "alias.set"), events[-1].time
    rows = cli("versions", "--as-of", before, "--json").document["versions"]
    assert {4: ["champion"], 3: [], 7: []}.items() <= {row["version"]: row["aliases"] for row in rows}.items()
    assert 3 not in [row["version"] for row in cli("versions", "--as-of", last, "--json").document["versions"]]


def test_retired_versions_are_counted(cli, seven):
    """The list says how many retired versions it leaves out."""
    assert cli("versions").out.endswith("\n\n1 retired, not listed without --retired\n")
    marked = [line for line in cli("versions", "--retired").out.splitlines() if "(retired)" in line]
    assert ["3"] == [line.split()[0] for line in marked]
    document = cli("versions", "--retired", "--json").document
    assert (7, 0) == (document["registered"], document["retired_left_out"])
    assert [seven.read_events()[-1].time] == [row["retired"] for row in document["versions"] if row["retired"]]


def test_no_match(cli, seven):
    """If no version matches, the output says how to list all."""
    words = "no version of game-earnings in registry/ matches. See all: gamesales versions --retired\n"
    assert cli("versions", "--by", "nobody").out.startswith(words)


def test_metrics_are_of_the_named_file(cli, seven):
    """All metrics of the list are of the file that it names. The document also has the latest metrics."""
    evaluation = {"data": "new.csv", "data_sha256": "1" * 64, "rows": 9, "metrics": {"mae": 1.0}}
    seven.record_evaluation(7, evaluation, "on newer titles")
    seven.record_evaluation(6, evaluation, "on newer titles")
    lines = cli("versions").out.splitlines()
    assert "metrics on test.csv, sha256 000000000000" == lines[0]
    assert "$5,000" in lines[2]
    assert "$" not in lines[3]
    note = "evaluated on other files only: 6. To compare: gamesales evaluate 6 --data test.csv"
    assert note in lines
    assert [5, 4, 1, 7, 6, 2] == [
        row["version"] for row in cli("versions", "--sort", "mae", "--json").document["versions"]
    ]
    assert "\n      6" not in cli("versions", "--where", "mae<9999").out
    rows = {row["version"]: row for row in cli("versions", "--json").document["versions"]}
    assert (1.0, "1" * 64, "new.csv") == (rows[7]["metrics"]["mae"], rows[7]["data_sha256"], rows[7]["data"])
    assert (5000.0, None) == (rows[7]["listed_metrics"]["mae"], rows[6]["listed_metrics"])


def test_file_of_most_versions_is_listed(cli, seven):
    """The list is about the file on which most of the newest versions were last evaluated."""
    for number in (1, 4, 5):
        evaluation = {"data": "new.csv", "data_sha256": "1" * 64, "rows": 9, "metrics": {"mae": 10.0 * number}}
        seven.record_evaluation(number, evaluation, "on newer titles")
    document = cli("versions", "--sort", "mae", "--json").document
    assert ("new.csv", "1" * 64) == (document["data"], document["data_sha256"])
    assert [1, 4, 5] == [row["version"] for row in document["versions"]][:3]


def test_backtests_are_labeled(cli, seven):
    """A backtest is named as one below the list, and its metrics are not in the list."""
    evaluation = {"kind": "backtest", "data": "earned.csv", "data_sha256": "0" * 64, "rows": 9, "metrics": {"mae": 1.0}}
    seven.record_evaluation(4, evaluation, "the quarter is over")
    ran = cli("versions")
    assert "backtests, not in the table: 4 on earned.csv. Their metrics: gamesales show N" in ran.out
    assert "$1 " not in ran.out
    assert re.search(r"earned\.csv +9 +backtest +000000000000", cli("show", "4").out)


def test_no_evaluations(cli, tmp_path):
    """Without evaluations, the list says that there are no metrics."""
    publish_simple(open_registry(tmp_path / "registry", "game-earnings"), evaluated=False)
    assert "no metrics yet" == cli("versions").out.splitlines()[0]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "--sort size",
            "expected one of version, registered, mae, rmse, scaled_mse, r2, mape to sort versions by, found 'size'",
        ),
        ("--alias with-hyphen", "'with-hyphen' can't be an alias"),
        ("--limit 0", "--limit expects 1 or more, received"),
        ("--since yesterday", "--since expects a date"),
        ("--since 2026-02-02 --until 2026-02-01", "expected --since before --until"),
        ("--where size<3", "--where expects one of mae, rmse, scaled_mse, r2, mape, found 'size'"),
        ("--where mae", "--where expects a metric, an operator and a number, such as 'mae<5000'"),
    ],
)
def test_wrong_options(cli, seven, command, words):
    """A wrong option exits with 2 and says what is expected."""
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
def test_wrong_condition(text):
    """The error for a wrong condition shows the right form."""
    with pytest.raises(UsageError, match=re.escape(f"such as 'mae<5000' or 'r2>=0.99', found {text!r}")) as refusal:
        parse_condition(text)
    assert refusal.value.hint.startswith("Metrics: mae, rmse, scaled_mse, r2, mape. Operators: < <= > >= = == !=")


@given(
    name=st.sampled_from([*METRIC_KEYS, *METRIC_KEYS.values()]),
    sign=st.sampled_from(["<", "<=", ">", ">=", "=", "==", "!="]),
    bound=st.floats(allow_nan=False, allow_infinity=False),
    space=st.sampled_from(["", " ", "\t"]),
)
def test_condition_round_trip(name, sign, bound, space):
    """Parsing a written condition gives the condition back."""
    expected = MetricCondition(METRIC_KEYS.get(name, name), sign, bound)
    assert expected == parse_condition(f"{space}{name}{space}{sign}{space}{bound!r}{space}")


@pytest.mark.parametrize("value", [None, True, "1", [1], float("nan"), float("inf")])
@pytest.mark.parametrize("sign", ["<", ">", "!=", "="])
def test_condition_on_missing_metric(value, sign):
    """No condition holds for a metric that is missing or not finite."""
    assert not MetricCondition("mae", sign, 1.0).holds({"mae": value})
    assert not MetricCondition("mae", sign, 1.0).holds({})


# Properties

FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "alias": st.sampled_from(["champion", "challenger", "nobody"]),
        "actor": st.sampled_from(["ada", "grace", "bob"]),
        "where": st.lists(
            st.builds(
                MetricCondition,
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
def test_filters_intersect(shared, filters):
    """Filters together select what each of them selects."""
    retired = filters.pop("retired", False)
    conditions = [{"where": (condition,)} for condition in filters.get("where", ())]
    single_filters = [{name: value} for name, value in filters.items() if name != "where"] + conditions
    matches = [set(numbers(shared, retired=retired, **single)) for single in single_filters]
    everything = set(numbers(shared, retired=retired))
    assert sorted(everything.intersection(*matches), reverse=True) == numbers(shared, retired=retired, **filters)


@settings(deadline=None)
@given(FILTERS, st.sampled_from(ORDERS), st.booleans(), st.integers(1, 9))
def test_sort_keeps_all_rows(shared, filters, order, is_reversed, limit):
    """Sorting keeps every version once, and a limit takes the first."""
    sorted_ = numbers(shared, **filters, order=order, is_reversed=is_reversed)
    assert numbers(shared, **filters) == sorted(sorted_, reverse=True)
    assert sorted_[:limit] == numbers(shared, **filters, order=order, is_reversed=is_reversed, limit=limit)


@pytest.mark.parametrize("order", list(METRIC_KEYS))
@pytest.mark.parametrize("is_reversed", [False, True])
def test_best_version_first(shared, order, is_reversed):
    """The best version comes first, and versions without the metric come last."""
    rows = list_versions(shared, VersionFilter(order=order, is_reversed=is_reversed, retired=True)).versions
    values = [read_metric(row.metrics or {}, METRIC_KEYS[order]) for row in rows]
    present = [value for value in values if value is not None]
    assert values == present + [None] * (len(values) - len(present))
    assert present == sorted(present, reverse=(order == "r2") != is_reversed)
