"""Predictors of titles with categories, dates and missing cells: every kind of table gives the same predictions."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gamesales import Predictor, Registry
from gamesales.data.in_memory import select_features
from gamesales.errors import ColumnsError, InputError
from support.mixed import GOOD, GOOD_SALES, MIXED, mixed_cells, mixed_sales, mixed_values, mixed_version, publish_mixed

VALUES = mixed_values(60)
CELLS = mixed_cells(VALUES)
SALES = mixed_sales(VALUES)
DATES = [None if text is None else date.fromisoformat(text) for text in CELLS["released"]]
TIMES = [None if day is None else datetime(day.year, day.month, day.day, 23, 59) for day in DATES]  # noqa: DTZ001
NEW_YORK = timezone(timedelta(hours=-5))


@pytest.fixture(scope="module")
def predictor():
    return Predictor(mixed_version())


def frame(**columns):
    return pd.DataFrame({**CELLS, **columns})


def records():
    return [dict(zip(CELLS, row, strict=True)) for row in zip(*CELLS.values(), strict=True)]


class ArrowStream:
    """A frame of another library, such as Polars, which passes its data through the Arrow PyCapsule interface only."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def view_table():
    """The types that Polars exports: views of text, dictionaries of them, and days."""
    table = pa.table(CELLS)
    platform = pa.DictionaryArray.from_arrays(
        pa.array(
            [None if name is None else ["PC", "PS4", "Wii", "X360"].index(name) for name in CELLS["platform"]]
        ).cast(pa.uint32()),
        pa.array(["PC", "PS4", "Wii", "X360"], pa.string_view()),
    )
    columns = {"genre": pa.array(CELLS["genre"], pa.string_view()), "platform": platform}
    columns["released"] = pa.array(DATES, pa.date32())
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


TABLES = {
    "lists": CELLS,
    "mappings": records(),
    "mappings without missing cells": [
        {name: cell for name, cell in title.items() if cell is not None} for title in records()
    ],
    "mappings with words": [{name: "N/A" if cell is None else cell for name, cell in t.items()} for t in records()],
    "arrays": {name: np.array(cells, object) for name, cells in CELLS.items()},
    "masked arrays": {
        **CELLS,
        "year": np.ma.array(np.nan_to_num(VALUES[:, 4]), mask=np.isnan(VALUES[:, 4])),
        "platform": np.ma.array([cell or "" for cell in CELLS["platform"]], mask=VALUES[:, 1] == 4),
    },
    "arrays of times": {**CELLS, "released": np.array(CELLS["released"], "datetime64[D]")},
    "codes": {**CELLS, "publisher": np.array(list(map(int, CELLS["publisher"])), np.uint16)},
    "Arrow": pa.table(CELLS),
    "Arrow dictionaries": pa.table({name: pa.array(cells).dictionary_encode() for name, cells in CELLS.items()}),
    "Arrow columns": {name: pa.array(cells) for name, cells in CELLS.items()},
    "Arrow chunks": pa.concat_tables(pa.table(CELLS).slice(start, 20) for start in (0, 20, 40)),
    "Arrow stream": ArrowStream(view_table()),
    "Arrow bytes": pa.table({**CELLS, "genre": pa.array(CELLS["genre"]).cast(pa.binary())}),
    "pandas": frame(),
    "pandas objects": frame().astype(object),
    "pandas strings": frame().astype({"genre": "string", "platform": "string", "year": "Int64"}),
    "pandas categoricals": frame().astype({"genre": "category", "platform": "category", "publisher": "category"}),
    "pandas Arrow": frame().astype({"genre": "string[pyarrow]", "year": "int64[pyarrow]"}),
    "pandas NA": frame().astype(object).where(frame().notna(), pd.NA),
    "pandas NaN": frame().astype(object).where(frame().notna(), np.nan),
    "pandas floats": frame(publisher=[float(code) for code in CELLS["publisher"]]),
    "pandas integers": frame(publisher=pd.Series(map(int, CELLS["publisher"]), dtype="Int32")),
    "pandas integer categoricals": frame(publisher=pd.Categorical(map(int, CELLS["publisher"]))),
    "pandas mixture": frame(publisher=[int(c) if i % 2 else c for i, c in enumerate(CELLS["publisher"])]),
    "pandas times": frame(released=pd.to_datetime(pd.Series(TIMES))),
    "pandas zones": frame(released=pd.to_datetime(pd.Series(CELLS["released"])).dt.tz_localize("UTC")),
    "dates": frame(released=DATES),
    "times": frame(released=pd.Series(TIMES, dtype=object)),
    "zones": {
        **CELLS,
        "released": [t and t.replace(hour=12, tzinfo=UTC).astimezone(NEW_YORK) for t in TIMES],
    },
    "dates and text": {**CELLS, "released": [d if i % 2 else d and str(d) for i, d in enumerate(DATES)]},
    "blanks": {**CELLS, "genre": [f" {genre}\t" for genre in CELLS["genre"]]},
}


@pytest.mark.parametrize("name", TABLES)
def test_kinds_of_tables(predictor, name):
    """Predictions are equal to the last bit, whatever table has the titles, and in ``score`` as well."""
    table = TABLES[name]
    assert SALES.tolist() == predictor.predict(table).tolist()
    scored = predictor.score(table)
    assert SALES.tolist() == scored.column("predicted_earnings").to_pylist()
    assert {None} == set(scored.column("reject_reason").to_pylist())


def test_single_title(predictor):
    """A single title may lack the features that may be missing, and no others."""
    assert [GOOD_SALES] == predictor.predict(GOOD).tolist()
    lacking = {name: cell for name, cell in GOOD.items() if name not in ("year", "platform")}
    assert [GOOD_SALES - 32 + 256 - 0.25] == predictor.predict(lacking).tolist()
    with pytest.raises(ColumnsError, match="the table lacks genre"):
        predictor.predict({name: cell for name, cell in GOOD.items() if name != "genre"})


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, "", "N/A"])
def test_registry_predict(tmp_path, missing):
    """A title of the registry has numbers, dates and missing values as Python has them."""
    publish_mixed(tmp_path)
    title = {**GOOD, "publisher": 12, "released": date(2020, 1, 1), "year": missing, "is_sequel": True}
    prediction = Registry(tmp_path / "registry").predict(title)
    assert (GOOD_SALES - 0.25, []) == (prediction.predicted_earnings, prediction.unseen)
    unseen = Registry(tmp_path / "registry").predict({**title, "genre": "RPGG", "platform": missing}).unseen
    assert [("genre", "RPGG", "RPG")] == [(value.column, value.value, value.nearest) for value in unseen]


def test_table_lacks_column(predictor):
    """A table must have all columns, so that a misspelled column is not taken for missing cells."""
    with pytest.raises(ColumnsError, match="lacks year "):
        predictor.predict(frame().rename(columns={"year": "release_year"}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"genre": None}, "genre: missing"),
        ({"genre": "N/A"}, "genre: missing"),
        ({"publisher": "8"}, "publisher: a value that the contract does not have"),
        ({"released": "soon"}, "released: not a date, expected a date such as 2026-11-30"),
        ({"year": "soon"}, "year: not a number"),
        ({"year": 1970}, "year: out of range, allowed: 1980 to 2030"),
        ({"is_sequel": None}, "is_sequel: missing"),
    ],
)
@pytest.mark.parametrize(
    "make", [dict, lambda title: pd.DataFrame([title]), lambda title: pa.Table.from_pylist([title])]
)
def test_reject_reasons(predictor, changes, reason, make):
    """A cell that does not fit rejects its row with the same reason in every kind of table."""
    title = make({**GOOD, **changes})
    with pytest.raises(InputError, match=reason):
        predictor.predict(title)


def test_shape(predictor):
    """A column with two dimensions is named."""
    with pytest.raises(InputError, match=r"genre is not a column of values: shape \(2, 1\)"):
        predictor.predict({**GOOD, "genre": np.array([["RPG"], ["RPG"]])})


def test_explanation(predictor):
    """An explanation has the text of categories and dates, and None for missing cells, with effects that add up."""
    explaining = Predictor(mixed_version(), mixed_values(20, seed=4))
    first, second = explaining.explain([GOOD, {**GOOD, "genre": "Puzzle", "platform": None, "released": "tbd"}])
    values = {effect.column: effect.value for effect in first.effects}
    assert {**GOOD, "year": 2008.0, "is_sequel": 1.0} == values
    values = {effect.column: effect.value for effect in second.effects}
    assert ("other", None, None) == (values["genre"], values["platform"], values["released"])
    for explanation in (first, second):
        total = explanation.mean + sum(effect.effect for effect in explanation.effects)
        assert explanation.prediction == pytest.approx(total)
    assert ">RPG<" in first._repr_html_()
    assert ">missing<" in second._repr_html_()


def test_light_import(tmp_path):
    """Lists, mappings, Arrow data and streams with categories, dates and gaps do not import pandas."""
    publish_mixed(tmp_path)
    code = f"""
import sys
from datetime import date
import numpy as np
import pyarrow as pa
from gamesales import Registry
from gamesales.data.arrow import make_text_column
good = {GOOD!r}
class Stream:
    def __arrow_c_stream__(self, requested_schema=None):
        return table.__arrow_c_stream__(requested_schema)
table = pa.table([make_text_column([cell]) for cell in good.values()], list(good))
predictor = Registry({str(tmp_path / "registry")!r}).load("@champion")
for titles in (good, [good], {{**good, "released": date(2020, 1, 1)}}, table, Stream(),
               {{name: np.array([cell]) for name, cell in good.items()}},
               {{**{{name: [cell] for name, cell in good.items()}}, "released": np.array(["2020-01-01"], "M8[ns]")}}):
    assert predictor.predict(titles).tolist() == [{GOOD_SALES!r}]
    assert predictor.explain(titles)
    assert "pandas" not in sys.modules, titles
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)


def test_selected_types():
    """Dictionaries stay dictionaries, so that each distinct text is compared once."""
    batch = select_features(TABLES["pandas categoricals"], MIXED)
    assert pa.types.is_dictionary(batch.schema.field("genre").type)
    assert pa.types.is_dictionary(select_features(TABLES["Arrow dictionaries"], MIXED).schema.field("genre").type)
