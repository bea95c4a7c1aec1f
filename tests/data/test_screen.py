"""Each cell against the contract: what passes is a number, what fails is told with its reason."""

import datetime as dt
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gamesales.data.contract import Column
from gamesales.data.screen import as_numbers, check_columns, reject, require_columns, screen
from gamesales.data.table import BadRow, Batch
from gamesales.errors import ColumnsError
from support.runs import CONTRACT, csv_line
from support.strategies import as_text, faulty_cells, titles
from support.versions import FEATURES, title_values


def batch_of(rows, first=1, **extra):
    """Rows of text as a batch."""
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(FEATURES))]
    table = pa.RecordBatch.from_arrays([*columns, *extra.values()], names=[*FEATURES, *extra])
    return Batch(table, np.arange(first, first + len(rows), dtype=np.int64))


def screened(rows, **extra):
    return screen(batch_of(rows, **extra), CONTRACT.features)


def numbers(array):
    return as_numbers(array)[0].tolist()


class TestNumbers:
    @given(titles(max_size=10), st.data())
    @settings(deadline=None, max_examples=100)
    def test_a_number_may_be_written_in_many_ways(self, rows, data):
        texts = [
            tuple(data.draw(as_text(value, flag=0 < place < 8)) for place, value in enumerate(row)) for row in rows
        ]
        found = screened(texts)
        assert found.rejected == []
        np.testing.assert_array_equal(np.array(rows).reshape(-1, len(FEATURES)), found.values)

    @given(st.lists(st.none() | st.integers(0, 200).map(lambda half: half / 2), max_size=20))
    @settings(deadline=None, max_examples=100)
    def test_every_type_gives_the_same_numbers(self, values):
        """Floats, decimals, text, dictionaries of these; with nulls, and cut out of a longer column."""
        exact = pa.array(values, pa.float64())
        texts = [None if value is None else repr(value) for value in values]
        decimals = pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(10, 2))
        padded = pa.array([7.0, None, *values], pa.float64()).slice(2)
        for column in (
            exact.cast(pa.float32()),
            decimals,
            decimals.cast(pa.decimal128(38, 18)),  # as Spark writes them
            decimals.cast(pa.decimal256(40, 5)),
            pa.array(texts, pa.string()),
            pa.array(texts, pa.large_string()),
            pa.array(texts, pa.string_view()),
            exact.dictionary_encode(),
            pa.array(texts, pa.string()).dictionary_encode(),
            padded,
            padded.dictionary_encode(),
        ):
            expected, missing = as_numbers(exact)
            found, also_missing = as_numbers(column)
            np.testing.assert_array_equal(expected, found)
            np.testing.assert_array_equal(missing, also_missing)
            assert missing.tolist() == [value is None for value in values]

    @pytest.mark.parametrize("arrow_type", [pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.float16(), pa.bool_()])
    def test_flags_of_any_type(self, arrow_type):
        column = pa.array([1, 0, None, 1]).cast(arrow_type)
        assert numbers(column)[:2] == [1.0, 0.0]
        assert as_numbers(column)[1].tolist() == [False, False, True, False]

    def test_nulls_without_a_type_are_missing(self):
        assert as_numbers(pa.nulls(2))[1].tolist() == [True, True]

    def test_an_integer_beyond_what_a_float_holds_is_rounded(self):
        assert np.float64(numbers(pa.array([2**53 + 1, 2**63 - 1]))).tolist() == [2.0**53, 2.0**63]

    @given(st.one_of(st.text(max_size=8), st.text("0123456789.eE+-_ infnatrueINFNAT\t", max_size=8)))
    @example("inf")
    @example("1e400")
    @example("٣")
    @settings(deadline=None, max_examples=300)
    def test_what_a_text_means_does_not_depend_on_its_neighbours(self, text):
        """Plain columns are parsed all at once by Arrow, others cell by cell."""
        text = text.encode("utf-8", "replace").decode()
        alone, beside = as_numbers(pa.array([text]))[0], as_numbers(pa.array([text, "junk"]))[0]
        np.testing.assert_array_equal(alone, beside[:1])

    def test_true_and_false_are_flags_and_no_other_numbers(self):
        words = pa.array(["true", "False", "1"])
        assert as_numbers(words, words=True)[0].tolist() == [1.0, 0.0, 1.0]
        assert np.isnan(as_numbers(words)[0]).tolist() == [True, True, False]

    @pytest.mark.parametrize("text", ["1_000", "0x10", "1,5", "$5", "five", "1 2", "--1", "1e", "."])
    def test_what_is_no_number(self, text):
        assert math.isnan(numbers(pa.array([text]))[0])

    def test_bytes_that_are_no_text_are_no_number(self):
        """Parquet does not check its text."""
        column = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff1", b"2"]).buffers())
        found = numbers(column)
        assert math.isnan(found[0])
        assert found[1] == 2.0


class TestReasons:
    @given(st.integers(0, 8).flatmap(lambda place: st.tuples(st.just(place), faulty_cells(FEATURES[place]))))
    @settings(deadline=None, max_examples=200)
    def test_a_fault_is_told_with_its_column_and_value(self, fault):
        place, (cell, reason) = fault
        name = FEATURES[place]
        row = csv_line(**{name: cell})
        (bad,) = screened([csv_line(), row, csv_line()]).rejected
        record = dict(zip(FEATURES, row, strict=True))
        assert BadRow(2, name, cell, f"{name}: {reason}", json.dumps(record)) == bad

    def test_all_faults_of_a_row_are_told_and_the_first_is_shown(self):
        (bad,) = screened([csv_line(unit_price="-1", is_sports="2", critic_rating="")]).rejected
        assert (bad.column, bad.value) == ("critic_rating", "")
        assert bad.reason.split("; ") == [
            "critic_rating: missing",
            "is_sports: out of range, allowed: 0 or 1",
            "unit_price: out of range, allowed: above 0",
        ]

    def test_a_null_is_missing_and_shown_as_nothing(self):
        (bad,) = screened([csv_line(unit_price=None)]).rejected
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
    def test_bounds_are_where_the_contract_has_them(self, column, passing, failing):
        table = pa.RecordBatch.from_arrays([pa.array([*passing, *failing])], names=["x"])
        found = screen(Batch(table, np.arange(1, len(table) + 1)), [column])
        assert [True] * len(passing) + [False] * len(failing) == found.accepted.tolist()

    def test_malformed_rows_take_their_place_among_the_others(self):
        """In row order, with faults beside them or without."""
        malformed = [BadRow(row, "", "", "expected 9 fields, found 1", "x") for row in (1, 4)]
        batch = batch_of([csv_line(), csv_line(unit_price="0")])
        for rows, expected in (([2, 3], [1, 3, 4]), ([5, 6], [1, 4, 6])):
            numbered = Batch(batch.table, np.array(rows), malformed)
            assert expected == [bad.row for bad in screen(numbered, CONTRACT.features).rejected]
        well_formed = Batch(batch.table.slice(0, 1), np.array([2]), malformed)
        assert [bad.row for bad in screen(well_formed, CONTRACT.features).rejected] == [1, 4]


class TestRecord:
    """What a rejected row keeps: every field, as JSON that any reader takes."""

    def record(self, column):
        (bad,) = screened([csv_line(unit_price="-1")], extra=column).rejected
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
            (pa.array([b"\xff"]), "b'\\xff'"),
        ],
    )
    def test_a_field_is_kept(self, column, kept):
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
    def test_what_python_can_not_hold_does_not_stop_the_run(self, column):
        assert self.record(column) != ""


class TestReject:
    def test_accepted_rows_can_be_rejected_later(self):
        batch = batch_of([csv_line(), csv_line(unit_price="0"), csv_line(), csv_line(critic_rating="1")], first=11)
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
    def test_all_that_is_wrong_is_said(self):
        types = {"critic_rating": pa.date32(), "is_action": pa.list_(pa.int8()), "unit_prise": pa.int8()}
        schema = pa.schema(types.items())
        missing, dated, listed = check_columns(Path("t.csv"), schema, CONTRACT.features)
        assert missing == (
            "t.csv lacks is_exclusive_to_us, is_portable, is_role_playing, is_sequel, is_sports, suitable_for_kids, "
            "unit_price (it has critic_rating, is_action, unit_prise)"
        )
        assert dated == "t.csv: critic_rating has type date32[day], expected numbers"
        assert listed.startswith("t.csv: is_action has type list<")

    def test_a_wide_table_is_not_listed_whole(self):
        schema = pa.schema([(f"column_{number}", pa.int8()) for number in range(100)])
        (missing,) = check_columns(Path("t.csv"), schema, CONTRACT.features)
        assert missing.endswith("column_28, column_29, …)")

    @pytest.mark.parametrize(
        "arrow_type",
        [pa.timestamp("us"), pa.binary(), pa.struct([("a", pa.int8())]), pa.dictionary(pa.int8(), pa.date32())],
    )
    def test_types_that_hold_no_numbers(self, arrow_type):
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
    def test_types_that_may_hold_numbers(self, arrow_type):
        require_columns(Path("t"), pa.schema([(name, arrow_type) for name in FEATURES]), CONTRACT.features)


def test_a_batch_without_rows_passes():
    found = screened([])
    assert found.values.shape == (0, len(FEATURES))
    assert (len(found.accepted), found.rejected) == (0, [])


def test_accepted_rows_keep_their_order():
    values = title_values(50)
    rows = [[repr(float(value)) for value in row] for row in values]
    rows[0] = rows[20] = rows[49] = csv_line(unit_price="")
    kept = np.delete(values, [0, 20, 49], axis=0)
    np.testing.assert_array_equal(kept, screened(rows).values)
