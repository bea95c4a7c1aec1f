"""Pass-through columns: types that differ between files, and names that clash with the result."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.errors import ColumnsError
from gamesales.scoring.passthrough import convert_column, merge_types
from support.runs import DAY, GOOD, csv_text, read_csv, score, simple_version
from support.versions import FEATURES, titles_table

VERSION = simple_version()
SIGNED = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
UNSIGNED = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
TEXT = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]
TIMES = [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")]
OTHERS = [
    pa.null(),
    pa.bool_(),
    pa.float32(),
    pa.float64(),
    pa.timestamp("us", "UTC"),
    pa.timestamp("us", "Europe/Berlin"),
    pa.date32(),
    pa.decimal128(9, 2),
    pa.binary(),
    pa.list_(pa.string()),
]
types = st.sampled_from([*SIGNED, *UNSIGNED, *TEXT, *TIMES, *OTHERS])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, *columns, rows=2, **extra):
    """Write Parquet with columns as (name, Arrow array), or as keywords."""
    table = titles_table(rows)
    for title, values in [*columns, *extra.items()]:
        table = table.append_column(title, values)
    parquet.write_table(table, name)


def read_column(path, name):
    return pa.concat_tables([parquet.read_table(part, partitioning=None) for part in sorted(path.glob("*.parquet"))])[
        name
    ]


class TestTypes:
    @given(types, types)
    def test_order_is_irrelevant(self, first, second):
        """Two types have the same common type in both orders."""
        assert merge_types(first, second) == merge_types(second, first)

    @given(types, types, types)
    @example(pa.dictionary(pa.int8(), pa.string()), pa.null(), pa.int8())
    def test_common_type_is_a_bound(self, first, second, third):
        """The common type of two types holds the values of both, and of a third file with one of them."""
        common = merge_types(first, second)
        if common is not None:
            for file in (first, second):
                assert pa.types.is_dictionary(common) or common == merge_types(common, file)
            for file in (first, second, third):
                wider = merge_types(common, file)
                if wider is not None:  # a dictionary gets wide indices with the second file that has one
                    widest = merge_types(wider, file)
                    assert widest is not None
                    assert widest == merge_types(widest, file)

    @pytest.mark.parametrize(
        ("first", "second", "common"),
        [
            (pa.null(), pa.list_(pa.int8()), pa.list_(pa.int8())),
            (pa.null(), TEXT[3], TEXT[3]),
            (pa.string(), pa.large_string(), pa.string()),
            (pa.string_view(), pa.large_string(), pa.string()),
            (TEXT[3], TEXT[3], pa.dictionary(pa.int32(), pa.string())),
            (TEXT[3], pa.dictionary(pa.int16(), pa.string()), pa.dictionary(pa.int32(), pa.string())),
            (TEXT[3], pa.dictionary(pa.int8(), pa.string(), ordered=True), pa.string()),
            (pa.int8(), pa.int8(), pa.int8()),
            (pa.int8(), pa.int64(), pa.int64()),
            (pa.uint8(), pa.uint32(), pa.uint32()),
            (pa.uint32(), pa.int8(), pa.int64()),
            (pa.uint64(), pa.int64(), None),
            (pa.float32(), pa.float64(), pa.float64()),
            (pa.int32(), pa.float64(), None),
            (pa.bool_(), pa.int8(), None),
            (pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("ns")),
            (pa.timestamp("ms", "UTC"), pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC")),
            (pa.timestamp("us", "UTC"), pa.timestamp("us"), None),
            (pa.timestamp("us", "UTC"), pa.timestamp("us", "Europe/Berlin"), None),
            (pa.date32(), pa.timestamp("us"), None),
            (pa.string(), pa.binary(), None),
            (pa.string(), pa.int64(), None),
            (pa.dictionary(pa.int8(), pa.int64()), pa.int32(), pa.int64()),
        ],
    )
    def test_common_types(self, first, second, common):
        """Types have a common type where it holds the values of both exactly."""
        assert common == merge_types(first, second)


class TestPromotion:
    def test_text_of_several_writers(self, here):
        """A column that is text in any encoding, or without values, becomes text."""
        kinds = {"a": pa.string(), "b": pa.null(), "c": pa.large_string(), "d": TEXT[3], "e": pa.string_view()}
        for name, kind in kinds.items():
            values = [None, None] if pa.types.is_null(kind) else [f"{name}1", None]
            write(f"{name}.parquet", publisher=pa.array(values).cast(kind))
        score(VERSION, ["."], here / "out.parquet")
        column = parquet.read_table("out.parquet")["publisher"]
        assert pa.string() == column.type
        assert ["a1", None, None, None, "c1", None, "d1", None, "e1", None] == column.to_pylist()

    def test_values_of_csv_and_parquet(self, here):
        """A CSV column, which is text, fits a dictionary in Parquet."""
        (here / "a.csv").write_text(csv_text([[*GOOD, "007"]], [*FEATURES, "code"]))
        write("b.parquet", code=pa.array(["x", "y"]).dictionary_encode())
        score(VERSION, ["a.csv", "b.parquet"], here / "out.csv")
        assert ["007", "x", "y"] == [row["code"] for row in read_csv(here / "out.csv")]

    @given(st.sampled_from(TIMES), st.sampled_from(TIMES), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3))
    def test_times_stay_the_same(self, unit, other, times):
        """A time keeps its value in the finest unit, or it is refused."""
        column = pa.array(times, pa.int64()).cast(unit)
        field = pa.field("added", merge_types(unit, other))
        try:
            converted = convert_column(column, field, Path("a.parquet"))
        except ColumnsError:
            return
        assert field.type == converted.type
        assert column.equals(converted.cast(unit))

    def test_units_of_times(self, here):
        """Microseconds and nanoseconds become nanoseconds, in a folder too."""
        write("a.parquet", added=pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us")))
        write("b.parquet", added=pa.array([1, 2**62], pa.timestamp("ns")))
        score(VERSION, ["a.parquet", "b.parquet"], here / "out")
        column = read_column(here / f"out/run_date={DAY}", "added")
        assert pa.timestamp("ns") == column.type
        assert [1767225600 * 10**9, None, 1, 2**62] == column.cast(pa.int64()).to_pylist()

    @pytest.mark.parametrize("out", ["out", "out.csv", "out.parquet"])
    def test_value_does_not_fit(self, here, out):
        """A distant date that nanoseconds can't hold stops the run, and nothing is published."""
        write("a.parquet", valid_to=pa.array([datetime(9999, 12, 31, tzinfo=UTC), None], pa.timestamp("us")))
        write("b.parquet", valid_to=pa.array([1, 2], pa.timestamp("ns")))
        with pytest.raises(ColumnsError, match=r"^a\.parquet: valid_to has a value that timestamp\[ns\]") as failure:
            score(VERSION, ["a.parquet", "b.parquet"], here / out)
        assert "--keep" in failure.value.hint
        assert not (here / out).is_file()
        assert not list((here / "out").glob("*")) if out == "out" else True

    def test_duplicate_ids_of_widened_column(self, here):
        """Ids of different widths are the same ids."""
        write("a.parquet", title_id=pa.array([1, 2], pa.int8()))
        write("b.parquet", title_id=pa.array([2, 3], pa.int64()))
        report = score(VERSION, ["a.parquet", "b.parquet"], here / "out.parquet")
        assert (1, ["2"]) == (report.duplicate_ids.ids, report.duplicate_ids.examples)
        assert [1, 2, 2, 3] == parquet.read_table("out.parquet")["title_id"].to_pylist()

    def test_full_dictionaries(self, here):
        """Dictionaries that together have more values than their index type counts are written."""
        for number, name in enumerate("abc"):
            values = pa.array([f"p{number * 100 + row}" for row in range(100)])
            write(f"{name}.parquet", rows=100, publisher=values.cast(pa.dictionary(pa.int8(), pa.string())))
        for out in ("out.parquet", "out.csv"):
            score(VERSION, ["a.parquet", "b.parquet", "c.parquet"], here / out)
        column = parquet.read_table("out.parquet")["publisher"].cast(pa.string())
        assert [f"p{row}" for row in range(300)] == column.to_pylist()
        assert column.to_pylist() == [row["publisher"] for row in read_csv(here / "out.csv")]

    def test_conflict_names_keep(self, here):
        """Where there is no common type, the hint names the columns to keep."""
        write("a.parquet", title=pa.nulls(2), shop=pa.array(["x", "y"]))
        write("b.parquet", title=pa.array([1, 2]), shop=pa.array(["x", "y"]))
        write("c.parquet", title=pa.array(["1", "2"]), shop=pa.array(["x", "y"]))
        with pytest.raises(ColumnsError) as failure:
            score(VERSION, ["a.parquet", "b.parquet", "c.parquet"], here / "out.parquet")
        assert "c.parquet: title has type string, in b.parquet it has int64" == failure.value.message
        assert "Copy the other columns only: --keep shop" == failure.value.hint
        score(VERSION, ["a.parquet", "b.parquet", "c.parquet"], here / "out.parquet", keep=["shop"])
        with pytest.raises(ColumnsError) as failure:
            score(VERSION, ["a.parquet", "c.parquet", "b.parquet"], here / "out.parquet", keep=["title"])
        assert failure.value.hint.endswith("--keep ''")

    @pytest.mark.parametrize(("name", "shown"), [("a,b", "NAME,NAME"), ("x" * 300, "NAME,NAME"), ("a b", "'a b'")])
    def test_hint_is_short(self, here, name, shown):
        """The hint quotes names for the shell, and does not list names that it can't write."""
        write("a.parquet", (name, pa.array([1, 2])), title=pa.array([1, 2]))
        write("b.parquet", (name, pa.array([1, 2])), title=pa.array(["1", "2"]))
        with pytest.raises(ColumnsError) as failure:
            score(VERSION, ["a.parquet", "b.parquet"], here / "out.parquet")
        assert f"Copy the other columns only: --keep {shown}" == failure.value.hint


class TestNames:
    @pytest.mark.parametrize("name", ["run_date", "Run_Date"])
    def test_column_of_date_folders(self, here, name):
        """A column named like the date folders is refused for a folder, and copied to a single file."""
        write("a.parquet", (name, pa.array(["2020-01-01"] * 2)), title_id=pa.array(["1", "2"]))
        with pytest.raises(ColumnsError) as failure:
            score(VERSION, ["a.parquet"], here / "out")
        message = f"a.parquet: {name} is also the name of the result's date folders; rename it with [columns]"
        assert (message, "Copy the other columns only: --keep title_id") == (failure.value.message, failure.value.hint)
        assert not (here / "out").exists()
        score(VERSION, ["a.parquet"], here / "out", keep=["title_id"])
        score(VERSION, ["a.parquet"], here / "out.parquet")
        assert ["2020-01-01"] * 2 == parquet.read_table("out.parquet")[name].to_pylist()

    @pytest.mark.parametrize("name", ["Model_Version", "PREDICTED_EARNINGS"])
    def test_scored_column_in_other_case(self, here, name):
        """A column that differs only in case from a scored column is refused."""
        write("a.parquet", (name, pa.array([1, 2])))
        other = f"{name} differs only in case from {name.lower()}, which scoring writes"
        with pytest.raises(ColumnsError, match=f"^a.parquet: {other}; rename it with"):
            score(VERSION, ["a.parquet"], here / "out.parquet")
        score(VERSION, ["a.parquet"], here / "out.parquet", keep=[])

    def test_two_columns_in_other_case(self, here):
        """Two copied columns that differ only in case are refused; a feature that is not copied is no column."""
        write("a.parquet", Title=pa.array([1, 2]), title=pa.array([1, 2]), Unit_Price=pa.array([1, 2]))
        with pytest.raises(ColumnsError, match=r"^a\.parquet: title differs only in case from Title;") as failure:
            score(VERSION, ["a.parquet"], here / "out.parquet")
        assert "Copy the other columns only: --keep Title,Unit_Price" == failure.value.hint
        score(VERSION, ["a.parquet"], here / "out.parquet", keep=["Title", "Unit_Price"])
