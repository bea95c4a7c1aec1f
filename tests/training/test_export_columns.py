"""Exports read raw cells as screening does: text to codes and days, and the rows that scoring rejects."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gamesales.data.categories import encode_categories
from gamesales.data.contract import Column, Contract
from gamesales.data.dates import read_dates
from gamesales.errors import UsageError
from gamesales.training.export_columns import (
    is_parsable,
    list_text_codes,
    make_raw_columns,
    normalize_texts,
    read_raw_columns,
    takes_text,
)
from gamesales.training.keras_objects import load_keras
from gamesales.training.onnx_columns import add_columns, predict_with_columns
from gamesales.training.text_columns import ColumnReader, parse_dates
from support.versions import simple_graph

MISSING = ("N/A", "-1", "2.0")
VALUES = ("RPG", "rpg", "2006", "Größe 🎮", "a b", "--5", "\ufffd", "a\x00b")
PADS = st.sampled_from(["", " ", "\t\n", "\u00a0", "\u3000", "\x1c", "\u200b"])
TEXTS = st.one_of(
    st.text(max_size=6),
    st.tuples(PADS, st.sampled_from([*VALUES, *MISSING, "", "2006.0", "-1.0", "--5.0", "RPG.0"]), PADS).map("".join),
)
CELLS = st.one_of(TEXTS.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=6))
RULES = [("reject", "other"), ("category", "other"), ("reject", "reject"), ("category", "reject")]
FORMATS = ["", "%d/%m/%Y", "%Y", "%m-%d-%y", "%b %d %Y", "%d. %B %Y", "%Y-%m-%d %H:%M:%S", "%Y%m%d", "100%%(%Y)"]


def make_contract(*features):
    return Contract(Column("y", "number"), features, missing_values=MISSING)


def as_column(cells):
    """Return bytes as a text column of Arrow, without a check that they are UTF-8."""
    return pa.array(cells, pa.binary()).view(pa.string())


def read_in_graph(contract, *columns):
    """Return the titles and the rejected rows that TensorFlow reads."""
    load_keras()
    import tensorflow as tf

    reader = ColumnReader(contract)
    values, rejected = reader.read([tf.constant(column) for column in columns])
    return values.numpy(), rejected.numpy()


@given(rule=st.sampled_from(RULES), cells=st.lists(CELLS, min_size=1, max_size=20))
@example(
    rule=RULES[0],
    cells=[b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x8e", b"\xef\xbb\xbfRPG", b" RPG ", b"\xc2\x85RPG"],
)
def test_any_text_has_one_code(rule, cells):
    """Any bytes become the code of screening, whether they are UTF-8 or not."""
    column = Column("c", "category", values=VALUES, missing=rule[0], unseen=rule[1])
    codes, _ = encode_categories(as_column(cells), column, MISSING)
    values, rejected = read_in_graph(make_contract(column), cells)
    assert values[:, 0].tolist() == codes.tolist()
    assert rejected.tolist() == (codes < 0).tolist()


@given(
    rule=st.sampled_from(RULES), texts=st.lists(TEXTS.filter(lambda text: "\x00" not in text), min_size=1, max_size=20)
)
def test_onnx_has_the_codes(rule, texts):
    """In ONNX, text without blanks around it becomes the code of screening; rejected rows get NaN."""
    texts = [text.encode("utf-8", "replace").decode().strip() for text in texts]
    column = Column("c", "category", values=VALUES[:5], missing=rule[0], unseen=rule[1])
    contract = make_contract(column)
    codes, _ = encode_categories(pa.array(texts), column, MISSING)
    content = add_columns(simple_graph(weights=(1.0,)), contract)
    expected = np.where(codes < 0, np.nan, codes)
    np.testing.assert_array_equal(predict_with_columns(content, {"c": np.array(texts, object)}), expected)


DATE_TEXTS = st.one_of(
    st.text("0123456789-/. :T%()aeMrJunDZ+", max_size=12),
    st.dates().map(str),
    st.datetimes().map(str),
    st.tuples(st.dates(), st.sampled_from(FORMATS[1:])).map(lambda pair: pair[0].strftime(pair[1])),
    st.sampled_from(
        ["2024-02-30", "2023-02-29", "0000-01-01", "31/04/2020", "1/1/2020", "2006.0", "N/A", "JUNE 5 1999"]
    ),
)


@given(date_format=st.sampled_from(FORMATS), texts=st.lists(DATE_TEXTS, min_size=1, max_size=20))
def test_date_in_graph_is_date_of_screening(date_format, texts):
    """A text that the graph takes for a date is that date in screening. In its own format, no date is lost."""
    load_keras()
    import tensorflow as tf

    texts = normalize_texts(texts)
    days, is_date = parse_dates(tf.constant(texts), date_format)
    expected, _ = read_dates(pa.array(texts), date_format, ())
    days = np.where(is_date.numpy(), days.numpy(), np.nan)
    if date_format:
        np.testing.assert_array_equal(days, expected)
    else:  # of ISO 8601, the graph does not know weeks and some times
        taken = ~np.isnan(days)
        np.testing.assert_array_equal(days[taken], expected[taken])


@given(day=st.dates(), time=st.none() | st.times())
def test_iso_dates_are_taken(day, time):
    """The graph takes each date, and each date with a time, that Python writes in ISO 8601."""
    load_keras()
    import tensorflow as tf

    text = day.isoformat() if time is None else dt.datetime.combine(day, time).isoformat()
    days, is_date = parse_dates(tf.constant([text]), "")
    assert is_date.numpy()[0]
    assert days.numpy()[0] == (day - dt.date(1970, 1, 1)).days


@pytest.mark.parametrize("date_format", ["%j/%Y", "%Y %U", "%Y-%Y", "%B %m %Y", "%Y%"])
def test_other_formats_are_days(date_format):
    """A date whose format a graph can't parse is a number of days."""
    assert not is_parsable(date_format)


def test_raw_cells_cover_contract():
    """The raw cells that check an export are read back as the titles, except for codes of missing cells."""
    contract = make_contract(
        Column("c", "category", values=VALUES[:5], missing="category"),
        Column("d", "date", missing="median", date_format="%d/%m/%Y"),
        Column("w", "date", date_format="%j/%Y"),
        Column("n", "number", missing="mean"),
    )
    values = np.array([[0, 10, 5, 1], [3, np.nan, 6, np.nan], [6, -400, 7, 2], [6, 9e6, 7, 2]])
    for onnx in (False, True):
        raw = make_raw_columns(contract, values, onnx=onnx)
        again, rejected = read_raw_columns(contract, raw)
        np.testing.assert_array_equal(again[:3], values[:3])
        assert not rejected.any()
    assert [takes_text(column) for column in contract.features] == [True, True, False, False]


def test_rejected_cells():
    """A row is rejected if a cell is missing, unseen or no date, and the contract rejects it."""
    contract = make_contract(
        Column("c", "category", values=("RPG",), unseen="reject"),
        Column("d", "date", missing="median"),
        Column("n", "number"),
    )
    texts, dates = ["RPG", "other", "RPG", "RPG", "N/A", "RPG"], ["2020-01-01", "2020-01-01", "soon", "", "", " N/A "]
    numbers = np.array([1, 1, 1, 1, 1, np.nan], np.float32)
    raw = {"c": np.array(texts, object), "d": np.array(dates, object), "n": numbers}
    values, rejected = read_raw_columns(contract, raw)
    assert rejected.tolist() == [False, True, True, False, True, True]
    in_graph, rejected_in_graph = read_in_graph(contract, texts, dates, numbers)
    assert rejected_in_graph.tolist() == rejected.tolist()
    np.testing.assert_array_equal(in_graph, values)


def test_name_of_output_is_refused():
    """An ONNX graph can't have an input with the name of its output."""
    with pytest.raises(UsageError, match="can't have an input and an output with the name 'earnings'"):
        add_columns(simple_graph(weights=(1.0,)), make_contract(Column("earnings", "category")))


def test_codes_of_texts():
    """The texts of a vocabulary: missing texts come first, and those that no cell can have are left out."""
    column = Column("c", "category", values=("RPG", "-1"), missing="category")
    assert list_text_codes(column, MISSING) == {"": 3, "N/A": 3, "-1": 3, "RPG": 1}
