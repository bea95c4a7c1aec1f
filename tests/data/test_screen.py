"""Screening: cells that pass become numbers, and rows that fail are rejected with a reason."""

import datetime as dt
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.contract import Column
from gamesales.data.screen import find_column_faults, reject, require_columns, screen
from gamesales.data.table import Batch, RejectedRow
from gamesales.errors import ColumnsError
from support.runs import CONTRACT, csv_line
from support.strategies import as_text, faulty_cells, titles
from support.versions import FEATURES, title_values


def make_batch(rows, first=1, **extra):
    """Make a batch of text rows."""
    columns = [pa.array([row[index] for row in rows], pa.string()) for index in range(len(FEATURES))]
    table = pa.RecordBatch.from_arrays([*columns, *extra.values()], names=[*FEATURES, *extra])
    return Batch(table, np.arange(first, first + len(rows), dtype=np.int64))


def screen_rows(rows, **extra):
    return screen(make_batch(rows, **extra), CONTRACT.features)


@given(titles(max_size=10), st.data())
@settings(deadline=None, max_examples=100)
def test_spellings_of_a_number(rows, data):
    """Every spelling of a number is parsed to the number."""
    texts = [tuple(data.draw(as_text(value, flag=0 < place < 8)) for place, value in enumerate(row)) for row in rows]
    result = screen_rows(texts)
    assert result.rejected == []
    np.testing.assert_array_equal(np.array(rows).reshape(-1, len(FEATURES)), result.values)


class TestReasons:
    @given(st.integers(0, 8).flatmap(lambda place: st.tuples(st.just(place), faulty_cells(FEATURES[place]))))
    @settings(deadline=None, max_examples=200)
    def test_reject_names_column_and_value(self, fault):
        """A reject has the row, column, value and reason of its fault, and all cells."""
        place, (cell, reason) = fault
        name = FEATURES[place]
        row = csv_line(**{name: cell})
        (bad,) = screen_rows([csv_line(), row, csv_line()]).rejected
        record = dict(zip(FEATURES, row, strict=True))
        assert RejectedRow(2, name, cell, f"{name}: {reason}", json.dumps(record)) == bad

    def test_reject_lists_all_faults(self):
        """The reason lists every fault of the row. The column and value are those of the first."""
        (bad,) = screen_rows([csv_line(unit_price="-1", is_sports="2", critic_rating="")]).rejected
        assert (bad.column, bad.value) == ("critic_rating", "")
        assert bad.reason.split("; ") == [
            "critic_rating: missing",
            "is_sports: out of range, allowed: 0 or 1",
            "unit_price: out of range, allowed: above 0",
        ]

    def test_null_is_missing(self):
        """A null is missing, and its value is empty."""
        (bad,) = screen_rows([csv_line(unit_price=None)]).rejected
        assert (bad.value, bad.reason) == ("", "unit_price: missing")
        assert json.loads(bad.record)["unit_price"] is None

    @pytest.mark.parametrize(
        ("column", "passing", "failing"),
        [
            (Column(name="x", kind="rating", minimum=0, maximum=5), ["0", "5"], ["-1e-9", "5.000001"]),
            (Column(name="x", kind="price", above=0), ["1e-30", "3e38"], ["0", "-0.0"]),
            (Column(name="x", kind="flag"), ["0", "1", "true"], ["0.5", "2", "-1"]),
            (Column(name="x", kind="money"), ["-1e9", "0"], ["inf", "1e39"]),
        ],
    )
    def test_bounds_of_the_contract(self, column, passing, failing):
        """Values at and beyond the bounds pass or fail as the contract says."""
        table = pa.RecordBatch.from_arrays([pa.array([*passing, *failing])], names=["x"])
        result = screen(Batch(table, np.arange(1, len(table) + 1)), [column])
        assert [True] * len(passing) + [False] * len(failing) == result.accepted.tolist()

    def test_rejects_are_in_row_order(self):
        """Malformed rows and rows with faults are in row order."""
        malformed = [RejectedRow(row, "", "", "expected 9 fields, found 1", "x") for row in (1, 4)]
        batch = make_batch([csv_line(), csv_line(unit_price="0")])
        for rows, expected in (([2, 3], [1, 3, 4]), ([5, 6], [1, 4, 6])):
            numbered = Batch(batch.table, np.array(rows), malformed)
            assert expected == [bad.row for bad in screen(numbered, CONTRACT.features).rejected]
        well_formed = Batch(batch.table.slice(0, 1), np.array([2]), malformed)
        assert [bad.row for bad in screen(well_formed, CONTRACT.features).rejected] == [1, 4]


class TestRecord:
    """The record of a reject: every cell, as standard JSON."""

    def record(self, column):
        (bad,) = screen_rows([csv_line(unit_price="-1")], extra=column).rejected
        return json.loads(bad.record, parse_constant=pytest.fail)["extra"]

    @pytest.mark.parametrize(
        ("column", "kept"),
        [
            (pa.array(["007"]), "007"),
            (pa.array(['é "quoted"\n']), 'é "quoted"\n'),
            (pa.array([None], pa.string()), None),
            (pa.array([2**53 + 1]), 2**53 + 1),
            (pa.array([True]), True),
            (pa.array([1.5]), 1.5),
            (pa.array([math.nan]), "nan"),
            (pa.array([-math.inf]), "-inf"),
            (pa.array([Decimal("1.10")]), "1.10"),
            (pa.array([dt.date(2026, 11, 23)]), "2026-11-23"),
            (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
            (pa.array([1], pa.timestamp("ns", "UTC")), "1970-01-01 00:00:00.000000001Z"),
            (pa.array([1], pa.time64("ns")), "00:00:00.000000001"),
            (pa.array(["a"]).dictionary_encode(), "a"),
            (pa.array([[1, 2]]), [1, 2]),
            (pa.array([{"a": 1}]), {"a": 1}),
            (pa.array([b"a\xff"]), "a\\xff"),
        ],
    )
    def test_cell_is_kept(self, column, kept):
        """A cell of any type is kept exactly, or as text."""
        assert self.record(column) == kept

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([2**62], pa.timestamp("us")),
            pa.array([2**30], pa.date32()),
            pa.array([1], pa.timestamp("us", "Nowhere/At_All")),
            pa.array([[2**62]], pa.list_(pa.timestamp("us"))),
            pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers()),
        ],
    )
    def test_cell_without_python_value(self, column):
        """A cell that Python can not represent does not stop the run."""
        assert self.record(column) != ""


class TestReject:
    def test_accepted_rows_can_be_rejected(self):
        """Rejecting accepted rows keeps the row order and the earlier result."""
        batch = make_batch([csv_line(), csv_line(unit_price="0"), csv_line(), csv_line(critic_rating="1")], first=11)
        before = screen(batch, CONTRACT.features)
        after = reject(batch, before, np.array([True, False, True]), "the prediction is not a finite number")
        assert after.accepted.tolist() == [False, False, True, False]
        assert [(bad.row, bad.reason) for bad in after.rejected] == [
            (11, "the prediction is not a finite number"),
            (12, "unit_price: out of range, allowed: above 0"),
            (14, "the prediction is not a finite number"),
        ]
        assert before.values[[1]].tolist() == after.values.tolist()
        assert before.accepted.tolist() == [True, False, True, True]


class TestColumns:
    def test_all_column_faults_are_described(self):
        """Missing columns and every column with a wrong type are described."""
        types = {"critic_rating": pa.date32(), "is_action": pa.list_(pa.int8()), "unit_prise": pa.int8()}
        schema = pa.schema(types.items())
        missing, dated, listed = find_column_faults(Path("t.csv"), schema, CONTRACT.features)
        assert missing == (
            "t.csv lacks is_exclusive_to_us, is_portable, is_role_playing, is_sequel, is_sports, suitable_for_kids, "
            "unit_price (it has critic_rating, is_action, unit_prise); did you mean: 'unit_prise' for unit_price"
        )
        assert dated == "t.csv: critic_rating has type date32[day], expected numbers"
        assert listed.startswith("t.csv: is_action has type list<")

    def test_wide_table_is_shortened(self):
        """Only the first 30 columns of a wide table are listed."""
        schema = pa.schema([(f"column_{number}", pa.int8()) for number in range(100)])
        (missing,) = find_column_faults(Path("t.csv"), schema, CONTRACT.features)
        assert missing.endswith("column_28, column_29, …)")

    @pytest.mark.parametrize(
        "arrow_type",
        [pa.timestamp("us"), pa.binary(1), pa.struct([("a", pa.int8())]), pa.dictionary(pa.int8(), pa.date32())],
    )
    def test_non_numeric_types_are_refused(self, arrow_type):
        """A column whose type has no numbers is refused."""
        schema = pa.schema([(name, arrow_type if name == "is_sequel" else pa.float64()) for name in FEATURES])
        with pytest.raises(ColumnsError, match=r"t: is_sequel has type .*, expected numbers"):
            require_columns(Path("t"), schema, CONTRACT.features)

    @pytest.mark.parametrize(
        "arrow_type",
        [
            pa.bool_(),
            pa.int8(),
            pa.uint64(),
            pa.float16(),
            pa.decimal128(9, 2),
            pa.string(),
            pa.large_string(),
            pa.string_view(),
            pa.null(),
            pa.dictionary(pa.int32(), pa.string()),
        ],
    )
    def test_numeric_types_are_allowed(self, arrow_type):
        """A column whose type may have numbers passes."""
        require_columns(Path("t"), pa.schema([(name, arrow_type) for name in FEATURES]), CONTRACT.features)


def test_empty_batch():
    """A batch without rows has no values and no rejects."""
    result = screen_rows([])
    assert result.values.shape == (0, len(FEATURES))
    assert (len(result.accepted), result.rejected) == (0, [])


def test_accepted_rows_keep_order():
    """Accepted rows keep their order."""
    values = title_values(50)
    rows = [[repr(float(value)) for value in row] for row in values]
    rows[0] = rows[20] = rows[49] = csv_line(unit_price="")
    kept = np.delete(values, [0, 20, 49], axis=0)
    np.testing.assert_array_equal(kept, screen_rows(rows).values)
