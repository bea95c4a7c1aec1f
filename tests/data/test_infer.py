"""Inferring a column: its kind, range, unit, missing cells, and whether a model can use it."""

import datetime as dt

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.column_words import guess_unit, split_words
from gamesales.data.infer import infer_column, infer_target
from gamesales.data.source_table import read_source


def infer(tmp_path, name, cells, decimal="."):
    """Infer a column from texts in a CSV file, or from values in a Parquet file."""
    if isinstance(cells, pa.Array):
        path = tmp_path / "column.parquet"
        parquet.write_table(pa.table({name: cells}), path)
    else:
        path = tmp_path / "column.csv"
        lines = [f'"{name}";"x"', *(f'"{cell}";"{number}"' for number, cell in enumerate(cells))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return infer_column(read_source(path).columns[0], decimal)


def keys_of(profile):
    return {key: value for key, value in profile.column.as_json().items() if value != "" and key != "name"}


NUMBERS = [str(number % 37 + 1) for number in range(100)]


@pytest.mark.parametrize(
    ("name", "cells", "keys"),
    [
        ("players", NUMBERS, {"kind": "number", "unit": "players", "minimum": 0}),
        ("balance", [f"-{number}" for number in NUMBERS], {"kind": "number"}),
        ("Critic_Score", ["55", "98", "13"] * 30, {"kind": "rating", "unit": "points", "minimum": 0, "maximum": 100}),
        ("userRating", ["9.7", "1.5", "8"] * 30, {"kind": "rating", "unit": "points", "minimum": 0, "maximum": 10}),
        ("stars", ["3.5", "1", "5"] * 30, {"kind": "rating", "unit": "stars", "minimum": 0, "maximum": 5}),
        ("score_count", NUMBERS, {"kind": "number", "minimum": 0}),
        ("Rating", ["E", "T", "M"] * 30, {"kind": "category"}),
        ("unit_price", ["9.99", "59.99"] * 30, {"kind": "price", "unit": "US dollars", "above": 0}),
        ("Preis EUR", ["9.99", "59.99"] * 30, {"kind": "money", "unit": "euros", "minimum": 0}),
        ("Production Budget", NUMBERS, {"kind": "money", "unit": "US dollars", "minimum": 0}),
        ("Running Time min", NUMBERS, {"kind": "number", "unit": "minutes", "minimum": 0}),
        ("is_sequel", ["0", "1"] * 30, {"kind": "flag"}),
        ("portable", ["True", "false"] * 30, {"kind": "flag"}),
        ("genre_id", ["7", "12", "31"] * 30, {"kind": "category"}),
        ("platform", ["PS2", "2600", "Wii"] * 30, {"kind": "category"}),
        ("released", ["2001-02-03", "1999-12-31"] * 30, {"kind": "date"}),
        ("released", ["Jun 12 1998", "Aug 07 2001"] * 30, {"kind": "date", "date_format": "%b %d %Y"}),
        ("released", ["31.12.1999", "01.02.2003"] * 30, {"kind": "date", "date_format": "%d.%m.%Y"}),
        ("released", ["31/12/1999", "01/02/2003"] * 30, {"kind": "date", "date_format": "%d/%m/%Y"}),
        ("release_date", ["20010203", "19991231"] * 30, {"kind": "date"}),
        ("amount_of_votes", ["20010203", "19991231"] * 30, {"kind": "money"}),
    ],
)
def test_kind(tmp_path, name, cells, keys):
    """The kind follows from the cells, and among kinds of numbers from the name."""
    assert keys.items() <= keys_of(infer(tmp_path, name, cells)).items()


@pytest.mark.parametrize(
    ("name", "cells", "keys", "missing"),
    [
        ("year", [*NUMBERS, "N/A", ""], {"missing": "median", "encoding": "quantiles"}, ("N/A",)),
        ("User_Score", [*["5.5", "9"] * 30, "tbd"], {"kind": "rating", "missing": "median"}, ("tbd",)),
        ("publisher", [*["A", "B", "Unknown"] * 30, "n/a"], {"kind": "category", "missing": "category"}, ("n/a",)),
        ("is_new", [*["0", "1"] * 30, ""], {"kind": "flag", "missing": "median"}, ()),
        ("players", [*NUMBERS, "unrated", "unrated"], {"kind": "number", "missing": "median"}, ("unrated",)),
        ("bonus", [*["yes", ""] * 30], {"kind": "category", "missing": "category"}, ()),
    ],
)
def test_missing_cells(tmp_path, name, cells, keys, missing):
    """Gaps are filled, and the words for them are listed. ``Unknown`` is a value."""
    profile = infer(tmp_path, name, cells)
    assert keys.items() <= keys_of(profile).items()
    assert missing == profile.missing_texts
    assert not profile.misfits.any()


def test_misfits(tmp_path):
    """A single word among numbers is no word for a gap: its row does not fit."""
    profile = infer(tmp_path, "players", [*NUMBERS, "many"])
    assert 1 == profile.misfits.sum()
    assert () == profile.missing_texts


@pytest.mark.parametrize(
    ("name", "cells", "why", "is_identity"),
    [
        ("genre", ["RPG"] * 30, "the same value in every row", False),
        ("year", ["2001"] * 30, "the same value in every row", False),
        ("notes", [""] * 30, "no cell has a value", False),
        ("title", [f"Title {number}" for number in range(50)], "identifies rows", True),
        ("sku", [str(7 * number + 3) for number in range(50)], "identifies rows", True),
        ("position", [str(number) for number in range(50)], "numbers the rows", False),
        ("title", [f"Title {number % 30}" for number in range(50)], "text: 30 different", False),
        ("review", ["A long text. " * 9, "Another long text. " * 9, "A third. " * 30] * 20, "long text", False),
        ("installs", ["10,000+", "500+", "5,000,000+"] * 20, "numbers with signs or separators", False),
        ("price", ["$1,234.50", "€5", "12%", "1.2M", "7"] * 20, "numbers with signs or separators", False),
        ("predicted_earnings", NUMBERS, "a name that scoring writes", False),
    ],
)
def test_no_feature(tmp_path, name, cells, why, is_identity):
    """Constants, ids and prose are no features, with the reason."""
    profile = infer(tmp_path, name, cells)
    assert profile.column is None
    assert why in profile.why
    assert is_identity is profile.is_identity


def test_decimal_comma(tmp_path):
    """Numbers with a decimal comma are numbers, and a decimal point is none."""
    assert [1.5, 2.25] == infer(tmp_path, "hours", ["1,5", "2,25"], ",").values.tolist()
    assert "number" != infer(tmp_path, "hours", ["1.5", "2.25"] * 20, ",").kind


def test_ambiguous_dates(tmp_path):
    """Dates that could be month or day first are read month first, with a note."""
    profile = infer(tmp_path, "sold", ["01/02/2003", "03/04/2005"] * 20)
    assert "%m/%d/%Y" == profile.column.date_format
    assert ("sold: the dates also fit %d/%m/%Y; check date_format in the contract",) == profile.notes


def test_future_dates(tmp_path):
    """A date in the future has a note: a year of two digits may be in the wrong century."""
    profile = infer(tmp_path, "released", ["2001-05-06", "9046-12-31"] * 20)
    assert ("released: the newest date, 9046-12-31, is in the future; check the years",) == profile.notes


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (pa.array([1.5, None, float("nan"), 4.0] * 20), "number"),
        (pa.array([True, False] * 20), "flag"),
        (pa.array([dt.date(2001, 2, 3), dt.date(1999, 1, 1), None]), "date"),
        (pa.array([981_173_045, 915_148_800, None] * 3, pa.timestamp("s")), "date"),
        (pa.array(["RPG", "Sports", None] * 20).dictionary_encode(), "category"),
    ],
)
def test_arrow_types(tmp_path, cells, kind):
    """Typed columns of Parquet have the kind of their type, and a NaN of pandas is a gap."""
    profile = infer(tmp_path, "column", cells)
    assert kind == profile.kind
    assert ("reject" == profile.column.missing) is (not profile.missing.any())


def test_nested_column(tmp_path):
    """A column of lists is left out with its type."""
    parquet.write_table(pa.table({"tags": [["a"], ["b"]], "x": [1, 2]}), tmp_path / "titles.parquet")
    source = read_source(tmp_path / "titles.parquet")
    assert ["x"] == [column.name for column in source.columns]
    assert "has type list" in source.unreadable["tags"]


def test_type_that_no_kind_has(tmp_path):
    """A column of times of day, whose texts would be categories, is no feature: screening refuses its type."""
    profile = infer(tmp_path, "opens", pa.array([dt.time(hour) for hour in (9, 10, 11)] * 20))
    assert (None, "has type time64[us]") == (profile.column, profile.why)


@pytest.mark.parametrize(
    ("cells", "scale"),
    [
        (["1", "2", "3", "4"] * 20, "minmax"),
        ([str(2**number) for number in range(20)], "log"),
        ([*["-5"], *(str(2**number) for number in range(20))], "minmax"),
        ([*["10", "20", "15"] * 30, "900"], "log"),
    ],
)
def test_scale_of_the_target(tmp_path, cells, scale):
    """A target that is skewed, or spans orders of magnitude, is logarithmic if nothing is below 0."""
    column, why = infer_target(infer(tmp_path, "sales", cells))
    assert (scale, "sales") == (column.scale, column.name)
    assert why.startswith("logarithmic" if scale == "log" else "linear")


def test_words():
    """Names of all styles have words, and words have units."""
    assert ["user", "score", "2"] == split_words("UserScore_2")
    assert ["imdb", "votes"] == split_words("IMDB Votes")
    assert "yen" == guess_unit("revenue_jpy", is_money=True)
    assert ("copies", "") == (guess_unit("copies", is_whole=True), guess_unit("copies"))
    assert "" == guess_unit("Global_Sales", is_whole=True)
