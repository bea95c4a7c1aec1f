"""Strategies of Hypothesis for contracts of all kinds, tables that fit them, and cells that do not.

The expected reason of a cell that does not fit comes from how the cell was drawn, not from screening.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data.contract import Column, Contract
from support.train_jobs import as_toml

NUMBER_KINDS = ("rating", "price", "money", "number")
KINDS = (*NUMBER_KINDS, "flag", "category", "category", "date")
DATE_FORMATS = ("", "%d/%m/%Y", "%Y", "%b %d %Y", "%m-%d-%y", "%j/%Y")
UNSEEN = "never seen"
MISSING_TEXTS = ("N/A", "tbd", "-")
# Any text, without what no reader of the project keeps, and without the texts above.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=6)
ROWS = 60


@dataclass(frozen=True)
class AnyColumn:
    """A column of the contract, and how its cells are drawn.

    Attributes:
        draw: makes a number of cells that fit, from a generator. The cells of training hold each value often enough.
        faults: cells that do not fit, with a part of the reason.
        unseen: cells that fit although training has not seen them.
        gaps: the share of missing cells.
    """

    column: Column
    draw: Callable
    faults: tuple[tuple[str, str], ...]
    unseen: tuple[str, ...] = ()
    gaps: float = 0.0


@dataclass(frozen=True)
class AnyTable:
    """A contract, and how to draw tables that fit it."""

    contract: Contract
    columns: tuple[AnyColumn, ...]
    target: Callable
    seed: int

    def make(self, rows, seed):
        """Return columns of text by name, and None for a null."""
        rng = np.random.default_rng([self.seed, seed])
        gaps = [None, "", " ", *(f" {text}" for text in self.contract.missing_values)]
        cells = {}
        for entry in self.columns:
            texts = entry.draw(rng, rows)
            missing = np.flatnonzero(rng.random(rows) < entry.gaps)
            cells[entry.column.name] = [
                gaps[rng.integers(len(gaps))] if row in missing else text for row, text in enumerate(texts)
            ]
        return cells | {self.contract.target.name: [f"{value!r}" for value in self.target(rng, rows).tolist()]}

    def make_new(self, rows):
        """Return a table to score, and by row number the columns and the reasons of the rows that do not fit."""
        cells = self.make(rows, seed=3)
        del cells[self.contract.target.name]
        reasons = {}
        for entry in self.columns:
            for text, reason in (*entry.faults, *((text, "") for text in entry.unseen)):
                row = len(next(iter(cells.values())))
                for name in cells:
                    cells[name].append(text if name == entry.column.name else cells[name][0])
                if reason:
                    reasons[row + 1] = (entry.column.name, reason)
        return cells, reasons


@st.composite
def any_tables(draw):
    """Draw a contract with one to five features, and its tables."""
    missing = tuple(draw(st.lists(st.sampled_from(MISSING_TEXTS), unique=True)))
    names = draw(
        st.lists(
            st.sampled_from(["a", "b", "c", "d", "titles", "größe x", "earnings"]), min_size=1, max_size=5, unique=True
        )
    )
    columns = tuple(draw(any_columns(name, missing)) for name in names)
    scale = draw(st.sampled_from(["minmax", "log"]))
    minimum = draw(st.sampled_from([None, 0.0]))
    target = Column("y", draw(st.sampled_from(["number", "money"])), "hours", minimum=minimum, scale=scale)
    contract = Contract(target, tuple(entry.column for entry in columns), missing_values=missing)
    return AnyTable(contract, columns, _draw_positive if minimum == 0 else _draw_any, draw(st.integers(0, 2**32 - 1)))


def _draw_positive(rng, rows):
    return np.exp(rng.normal(0, 3, rows))


def _draw_any(rng, rows):
    return rng.normal(0, 100, rows)


@st.composite
def any_columns(draw, name, missing_values):
    """Draw a column."""
    kind = draw(st.sampled_from(KINDS))
    make = {"category": any_categories, "date": any_dates, "flag": any_flags}.get(kind, any_numbers)
    return draw(make(name, kind, missing_values))


def _draw_gaps(draw, missing):
    """Draw the share of missing cells, and the faults of a column that rejects them."""
    if missing == "reject":
        return 0.0, ((None, "missing"), ("", "missing"))
    return draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), ()


@st.composite
def any_categories(draw, name, kind, missing_values):
    """Draw a category whose texts are any."""
    words = st.lists(
        WORDS.map(str.strip).filter(lambda word: _is_value(word, missing_values)), min_size=1, max_size=5, unique=True
    )
    pool = draw(words)
    missing, unseen = draw(st.sampled_from(["reject", "category"])), draw(st.sampled_from(["other", "reject"]))
    min_count = draw(st.integers(1, 6))
    column = Column(
        name,
        kind,
        missing=missing,
        unseen=unseen,
        min_count=min_count,
        values=tuple(pool) if draw(st.booleans()) else (),
    )
    gaps, faults = _draw_gaps(draw, missing)
    if unseen == "reject":
        faults += ((UNSEEN, "a value that the contract does not have"),)
        gaps = 0.0  # so that each text is frequent enough

    def make(rng, rows):
        frequent = [text for text in pool for _ in range(min_count)]
        texts = (frequent + [pool[index] for index in rng.integers(0, len(pool), rows)])[:rows]
        return [texts[index] for index in rng.permutation(rows)]

    return AnyColumn(column, make, faults, (UNSEEN,) if unseen == "other" else (), gaps)


def _is_value(word, missing_values):
    """Whether a cell with this word is the value of the same text, and no whole number with a zero behind its point."""
    return bool(word) and word not in missing_values and not word.endswith(".0") and word != UNSEEN


@st.composite
def any_dates(draw, name, kind, missing_values):
    """Draw a date in a format."""
    date_format, missing = draw(st.sampled_from(DATE_FORMATS)), draw(st.sampled_from(["reject", "mean", "median"]))
    encoding = draw(st.sampled_from(["minmax", "quantiles"]))
    gaps, faults = _draw_gaps(draw, missing)
    first, last = draw(st.sampled_from([(0, 20_000), (10_000, 10_001), (-30_000, -20_000)]))
    if date_format == "%m-%d-%y":
        first, last = max(first, 0), max(last, 1)

    def make(rng, rows):
        days = [dt.date(1970, 1, 1) + dt.timedelta(int(day)) for day in rng.integers(first, last, rows)]
        return [day.strftime(date_format or "%Y-%m-%d") for day in days]

    column = Column(name, kind, missing=missing, encoding=encoding, date_format=date_format)
    return AnyColumn(column, make, (("soon", "not a date"), ("2020-02-31", "not a date"), *faults), gaps=gaps)


@st.composite
def any_flags(draw, name, kind, missing_values):
    """Draw a flag."""
    missing = draw(st.sampled_from(["reject", 0, 1, "mean", "median"]))
    gaps, faults = _draw_gaps(draw, missing)
    words = draw(st.sampled_from([("0", "1"), ("false", "true"), ("1", "1")]))
    column = Column(name, kind, missing=missing)
    return AnyColumn(
        column,
        lambda rng, rows: [words[index] for index in rng.integers(0, 2, rows)],
        (("2", "out of range"), ("maybe", "not a number"), *faults),
        gaps=gaps,
    )


@st.composite
def any_numbers(draw, name, kind, missing_values):
    """Draw a number with a range, or without one."""
    encoding = draw(st.sampled_from(["minmax", "quantiles"]))
    low, high = draw(st.sampled_from([(0.0, 5.0), (-1e6, 1e6), (1e6, 1e6 + 100), (0.0, 1e-3), (3.0, 3.0)]))
    missing = draw(st.sampled_from(["reject", "mean", "median", (low + high) / 2]))
    bounds = {}
    faults = [("abc", "not a number"), ("1e39", "not a finite number")]
    if draw(st.booleans()):
        bounds["minimum"] = low
        faults.append((f"{low - 1!r}", "out of range"))
        if high > low and draw(st.booleans()):
            bounds["maximum"] = high
            faults[1:2] = []
            faults.append((f"{high + 1!r}", "out of range"))
    column = Column(name, kind, missing=missing, encoding=encoding, **bounds)
    gaps, missing_faults = _draw_gaps(draw, missing)
    return AnyColumn(
        column,
        lambda rng, rows: [f"{value!r}" for value in rng.uniform(low, high, rows).tolist()],
        (*faults, *missing_faults),
        gaps=gaps,
    )


def write_contract(path, contract):
    """Write a contract as TOML."""
    document = contract.as_json()
    lines = [f"{key} = {as_toml(document[key])}" for key in ("identity", "missing_values") if key in document]
    for heading, columns in (("[target]", [document["target"]]), ("[[features]]", document["features"])):
        for column in columns:
            lines += [heading, *(f"{key} = {as_toml(value)}" for key, value in column.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_table(path, cells):
    """Write columns of text and nulls as Parquet, which holds any text."""
    parquet.write_table(pa.table({name: pa.array(texts, pa.string()) for name, texts in cells.items()}), path)
    return path
