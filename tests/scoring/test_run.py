"""Whole runs: every row is accounted for, and the format of the inputs does not change a prediction."""

import io
import json
import random
import re
import tempfile
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from gamesales.data import csv_scan, parquet_file
from gamesales.data.csv_file import CsvFile
from gamesales.data.dialect import CsvDialect, TableFormat
from gamesales.data.screen import RejectLimit
from gamesales.errors import (
    ColumnsError,
    GamesalesError,
    InputError,
    SelfTestError,
    TooManyRejectsError,
    TryAgainError,
    UsageError,
)
from gamesales.jobs.loading import open_registry
from gamesales.jobs.score import score_date
from gamesales.jobs.score_job import ScoreJob
from gamesales.old_keys import add_old_keys
from gamesales.scoring import commit
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.scorer import load_version
from gamesales.scoring.shard import check_row_count
from support.runs import (
    CONTRACT,
    DAY,
    GOOD,
    csv_line,
    csv_text,
    earnings,
    network_version,
    picky_version,
    put_column,
    read_csv,
    read_rejects,
    score,
    simple_version,
    snapshot,
    written_csv,
)
from support.sampling import many, seed
from support.strategies import as_text, cells, faulty_cells, titles
from support.versions import FEATURES, simple_details, simple_earnings, simple_graph, title_values, titles_table

SIMPLE = simple_version()
NETWORK = network_version()
ANY = RejectLimit(share=1.0)
PLAIN_BACKSLASHES = TableFormat(CsvDialect(escape=""))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_parquet(folder, rows, name="t.parquet"):
    columns = np.array(rows, float).reshape(-1, len(FEATURES)).T
    parquet.write_table(pa.table(dict(zip(FEATURES, columns, strict=True))), folder / name)
    return folder / name


def write_csv(folder, rows, name="t.csv", header=FEATURES, **how):
    (folder / name).write_bytes(written_csv([header, *rows], **how))
    return folder / name


class TestSamePredictions:
    """The format of the input does not change a prediction."""

    @given(titles(), st.sampled_from([".csv", ".parquet", ""]))
    @settings(deadline=None, max_examples=25)
    def test_csv_and_parquet_agree(self, rows, suffix):
        """A title has the same prediction in a CSV as in Parquet."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            score(NETWORK, write_parquet(folder, rows), folder / f"one{suffix}")
            score(NETWORK, write_csv(folder, [map(repr, row) for row in rows]), folder / f"two{suffix}")
            first, second = ((folder / f"{word}{suffix}") for word in ("one", "two"))
            if not suffix:
                first, second = first / f"run_date={DAY}", second / f"run_date={DAY}"
            assert earnings(first) == earnings(second)
            assert earnings(first) == NETWORK.scorer.score(np.array(rows).reshape(-1, len(FEATURES))).tolist()

    @given(titles(min_size=1), st.integers(0, 2**32))
    @settings(deadline=None, max_examples=25)
    def test_row_order_is_irrelevant(self, rows, seed):
        """The order of the rows does not change a prediction."""
        order = np.random.default_rng(seed).permutation(len(rows))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            score(NETWORK, write_parquet(folder, rows), folder / "one.parquet")
            score(NETWORK, write_parquet(folder, np.array(rows)[order]), folder / "two.parquet")
            assert np.array(earnings(folder / "one.parquet"))[order].tolist() == earnings(folder / "two.parquet")

    @given(titles(min_size=1, max_size=8), st.data())
    @settings(deadline=None, max_examples=40)
    def test_csv_dialects_agree(self, rows, data):
        """Column order, extra columns, BOM, line ends, quotes and number formats change nothing."""
        extra = [data.draw(st.lists(cells, min_size=len(rows), max_size=len(rows))) for _ in range(2)]
        columns = [
            [data.draw(as_text(row[index], flag=0 < index < 8)) for row in rows] for index in range(len(FEATURES))
        ]
        named = dict(zip([*FEATURES, "title_id", 'a, "note"'], [*columns, *extra], strict=True))
        header = data.draw(st.permutations(list(named)))
        how = {
            "quote_all": data.draw(st.booleans()),
            "end": data.draw(st.sampled_from(["\n", "\r\n", "\n\n", "\r"])),
        }
        with tempfile.TemporaryDirectory() as name:
            path = write_csv(
                Path(name),
                zip(*(named[name_of_column] for name_of_column in header), strict=True),
                header=header,
                **how,
            )
            if data.draw(st.booleans()):
                path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
            score(NETWORK, path, Path(name) / "out.csv", table_format=PLAIN_BACKSLASHES)
            assert NETWORK.scorer.score(np.array(rows)).tolist() == earnings(Path(name) / "out.csv")
            for kept, texts in zip(("title_id", 'a, "note"'), extra, strict=True):
                assert texts == [row[kept] for row in read_csv(Path(name) / "out.csv")]

    @pytest.mark.parametrize(
        "convert",
        [
            lambda column: column.cast(pa.int8()),
            lambda column: column.cast(pa.int64()),
            lambda column: column.cast(pa.uint64()),
            lambda column: column.cast(pa.bool_()),
            lambda column: column.cast(pa.float16()),
            lambda column: column.cast(pa.string()),
            lambda column: column.cast(pa.bool_()).cast(pa.string()),
            lambda column: column.cast(pa.string()).dictionary_encode(),
            lambda column: column.cast(pa.decimal128(38, 18)),
            lambda column: column.dictionary_encode(),
            lambda column: column.cast(pa.string_view()),
        ],
        ids=["int8", "int64", "uint64", "bool", "half", "text", "true", "dictionary", "decimal", "numbers", "view"],
    )
    def test_flag_types_agree(self, here, convert):
        """A flag may have any type that holds 0 and 1."""
        table = titles_table(40)
        score(SIMPLE, write_parquet(here, title_values(40)), "one.csv")
        for name in FEATURES[1:-1]:
            table = table.set_column(table.schema.get_field_index(name), name, convert(table.column(name)))
        parquet.write_table(table.select(list(reversed(FEATURES))), "two.parquet")
        score(SIMPLE, "two.parquet", "two.csv")
        assert (here / "one.csv").read_bytes() == (here / "two.csv").read_bytes()

    @pytest.mark.parametrize("arrow_type", [pa.float32(), pa.float64(), pa.decimal128(12, 2), pa.large_string()])
    def test_price_types_agree(self, here, arrow_type):
        """A price may have any type that holds numbers."""
        prices = ["0.25", "59.99", "3.50"]
        parquet.write_table(put_column(titles_table(3), "unit_price", prices), "one.parquet")
        texts, numbers = pa.array(prices), pa.array(map(float, prices))
        typed = (numbers if pa.types.is_floating(arrow_type) else texts).cast(arrow_type)
        parquet.write_table(put_column(titles_table(3), "unit_price", typed), "two.parquet")
        score(NETWORK, "one.parquet", "one.csv")
        score(NETWORK, "two.parquet", "two.csv")
        assert (here / "one.csv").read_bytes() == (here / "two.csv").read_bytes()


class TestSameBytes:
    """The machine does not change a byte of the result."""

    @pytest.fixture
    def mixed(self, here):
        """A CSV and a Parquet file with good and bad rows; the CSV spans several blocks."""
        rows = [csv_line(f"T{number}", critic_rating=str(number % 13 / 2)) for number in range(3000)]
        rows[0] = rows[1500] = rows[2999] = ["malformed"]
        write_csv(here, rows, "a.csv", [*FEATURES, "title_id"])
        table = titles_table(3000, title_id=pa.array([f"P{number}" for number in range(3000)]))
        parquet.write_table(put_column(table, "is_sequel", [number % 3 for number in range(3000)]), "b.parquet")
        return ["a.csv", "b.parquet"]

    def results(self, output, sources, workers=1):
        score(NETWORK, sources, output, limit=ANY, workers=workers)
        folder = Path(output) if not Path(output).suffix else Path()
        return {
            name: content
            for name, content in snapshot(folder).items()
            if not name.endswith("run.json") and (folder != Path() or name.startswith(output))
        }

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
    def test_worker_count_is_irrelevant(self, mixed, output, monkeypatch):
        """Any number of workers writes the same bytes."""
        monkeypatch.setattr(parquet_file, "BATCH_ROWS", 100)
        monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 4000)
        expected = self.results(output, mixed)
        assert len(expected) > 1
        for workers in (2, 3, 16):
            assert expected == self.results(output, mixed, workers)

    def test_batch_size_is_irrelevant(self, mixed, monkeypatch):
        """Any batch size writes the same bytes."""
        whole = self.results("out.csv", mixed)
        for size in (70, 700, 7000):
            monkeypatch.setattr(parquet_file, "BATCH_ROWS", size)
            monkeypatch.setattr(csv_scan, "CHUNK_BYTES", size * 4)
            assert whole == self.results("out.csv", mixed)

    def test_second_run_repeats_first(self, mixed):
        """A second run writes the same bytes."""
        for output in ("out.csv", "out.parquet", "out"):
            assert self.results(output, mixed) == self.results(output, mixed, workers=2)


@st.composite
def csv_rows(draw):
    """Lines of a CSV file with their kinds: a good title, faults by column, or a wrong number of fields."""
    lines, expected = [], []
    for number in range(draw(st.integers(1, 25))):
        row, faults = csv_line(f"T{number}"), []
        kind = draw(st.sampled_from(["good", "good", "faulty", "short", "long"]))
        if kind == "faulty":
            for name in draw(st.lists(st.sampled_from(FEATURES), min_size=1, max_size=3, unique=True)):
                row[FEATURES.index(name)], reason = draw(faulty_cells(name))
                faults.append((FEATURES.index(name), name, row[FEATURES.index(name)], reason))
        if kind == "short":
            row = row[: draw(st.integers(1, 9))]
        if kind == "long":
            row += draw(st.lists(st.sampled_from(["x", '"y"', ""]), min_size=1, max_size=3))
        line = ",".join(f'"{cell}"' if "," in cell else cell for cell in row)
        lines += [line, *[""] * draw(st.integers(0, 2))]
        expected.append((kind, row, line, sorted(faults)))
    return lines, expected


class TestRejects:
    """Every row is either scored or rejected with a reason."""

    @given(csv_rows(), st.sampled_from([400, 1000, 4 << 20]), st.sampled_from([1, 3]), st.sampled_from([".csv", ""]))
    @settings(deadline=None, max_examples=80)
    def test_csv_rows_are_accounted_for(self, rows, block_bytes, workers, suffix):
        """Each reject has its number, column, value, reason and record. No other row is lost."""
        lines, expected = rows
        header = [*FEATURES, "title_id"]
        expected_rejects, scored = [], []
        for number, (kind, row, line, faults) in enumerate(expected, 1):
            if kind == "good":
                scored.append(row[-1])
            elif kind == "faulty":
                reasons = "; ".join(f"{name}: {reason}" for _, name, _, reason in faults)
                record = dict(zip(header, row, strict=True))
                expected_rejects.append((number, faults[0][1], faults[0][2], reasons, record))
            else:
                expected_rejects.append((number, "", "", f"expected 10 fields, found {len(row)}", line))
        with tempfile.TemporaryDirectory() as name, mock.patch.object(csv_scan, "CHUNK_BYTES", block_bytes):
            folder = Path(name)
            (folder / "titles.csv").write_text("\n".join([",".join(header), *lines]))
            if not scored:
                with pytest.raises(TooManyRejectsError):
                    score(SIMPLE, folder / "titles.csv", folder / f"out{suffix}", limit=ANY)
                return
            report = score(SIMPLE, folder / "titles.csv", folder / f"out{suffix}", limit=ANY, workers=workers)
            assert (len(expected), len(scored), len(expected_rejects)) == (
                report.rows_in,
                report.rows_scored,
                report.rows_rejected,
            )
            rejects = folder / "out.csv.rejects.csv"
            if suffix:
                assert scored == [row["title_id"] for row in read_csv(folder / "out.csv")]
                assert [GOOD_PREDICTION] * len(scored) == earnings(folder / "out.csv")
            else:
                visible = folder / f"out/run_date={DAY}"
                assert scored == parquet.read_table(next(visible.glob("*.parquet"))).column("title_id").to_pylist()
                rejects = next((visible / "_rejects").glob("*.csv"), folder / "none")
            assert rejects.exists() == bool(expected_rejects)
            if expected_rejects:
                rows_rejected = [tuple(reject.values()) for reject in read_rejects(rejects)]
                assert [("titles.csv", *reject) for reject in expected_rejects] == rows_rejected
                assert report.rejects == str(rejects if suffix else rejects.parent)

    @given(
        st.lists(st.tuples(st.sampled_from(FEATURES), st.sampled_from([None, np.nan, np.inf, -1.0, 1e39])) | st.none()),
        st.sampled_from([1, 3, 7, 65_536]),
    )
    @settings(deadline=None, max_examples=40)
    def test_parquet_rows_are_accounted_for(self, faults, batch_rows):
        """Each reject of a Parquet file has its number, column, value and reason."""
        reasons = {None: "missing", np.inf: "not a finite number", 1e39: "not a finite number"}
        rows = [dict(zip(FEATURES, map(float, GOOD), strict=True)) for _ in faults] + [dict.fromkeys(FEATURES, 1.0)]
        expected = []
        for number, fault in enumerate(faults, 1):
            if fault:
                name, value = fault
                rows[number - 1][name] = value
                reason = reasons.get(value, "out of range" if value == -1 else "not a number")
                expected.append((number, name, "" if value is None else str(value), reason))
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(parquet_file, "BATCH_ROWS", batch_rows):
            table = pa.Table.from_pylist(rows, pa.schema([(name, pa.float64()) for name in FEATURES]))
            parquet.write_table(table, Path(folder) / "t.parquet")
            report = score(SIMPLE, Path(folder) / "t.parquet", Path(folder) / "out.parquet", limit=ANY)
            assert report.rows_scored == len(earnings(Path(folder) / "out.parquet")) == len(rows) - len(expected)
            rejects = read_rejects(Path(folder) / "out.parquet.rejects.csv") if expected else []
            assert expected == [
                (reject["row"], reject["column"], reject["value"], reject["reason"].split(": ")[1].split(",")[0])
                for reject in rejects
            ]
            assert all(set(reject["record"]) == set(FEATURES) for reject in rejects)

    def test_rejects_name_their_file(self, here):
        """A reject names its input file, and the report counts rejects by file."""
        for name in ("in/a.csv", "in/sub/b.csv"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            write_csv(here, [GOOD, csv_line(unit_price="0"), GOOD], name)
        report = score(SIMPLE, "in", "out.csv")
        assert [(reject["file"], reject["row"]) for reject in read_rejects(here / "out.csv.rejects.csv")] == [
            ("a.csv", 2),
            ("sub/b.csv", 2),
        ]
        assert [(source.name, source.rows, source.rejected) for source in report.inputs] == [
            ("a.csv", 3, 1),
            ("sub/b.csv", 3, 1),
        ]

    @pytest.mark.parametrize("output", ["out.csv", "out"])
    def test_infinite_prediction_rejects_row(self, here, output):
        """A row whose prediction is not finite is rejected."""
        details = simple_details(CONTRACT)
        details["golden"] = {"values": [[1] * 9], "expected_predictions": [-1 / 12], "prediction_tolerance": [0.01]}
        version = load_version("game-earnings", 1, "0" * 64, details, picky_version(forbidden=13.0))
        rows = [csv_line(unit_price=price) for price in ("14", "13", "x", "15", "13")]
        report = score(version, write_csv(here, rows), output)
        rejects = next(here.glob("out/run*/_rejects/*.csv"), here / "out.csv.rejects.csv")
        assert [(reject["row"], reject["column"], reject["reason"]) for reject in read_rejects(rejects)] == [
            (2, "", "the prediction is not a finite number"),
            (3, "unit_price", "unit_price: not a number"),
            (5, "", "the prediction is not a finite number"),
        ]
        assert read_rejects(rejects)[0]["record"]["unit_price"] == "13"
        assert earnings(Path(report.output)) == [1.0, 0.5]


GOOD_PREDICTION = float(simple_earnings([list(map(float, GOOD))])[0])


class TestRejectLimit:
    """How many rows a run may reject."""

    @pytest.mark.parametrize(
        ("text", "rows", "allowed"),
        [
            ("0", 1000, 0),
            ("25", 1000, 25),
            ("25", 20, 19),
            ("1%", 1000, 10),
            ("1%", 99, 0),
            ("29%", 100, 29),
            ("0.5%", 1000, 5),
            ("100%", 50, 49),
            ("100%", 1, 0),
            ("100%", 0, 0),
        ],
    )
    def test_limit_is_count_or_share(self, text, rows, allowed):
        """The limit is a count or a share, and never allows all rows."""
        assert RejectLimit.parse(text).allowed(rows) == allowed

    @given(st.integers(0, 100), st.integers(0, 10**7))
    @settings(deadline=None)
    def test_share_is_exact(self, percent, rows):
        """A share of the rows has no rounding error."""
        assert min(percent * rows // 100, max(rows - 1, 0)) == RejectLimit.parse(f"{percent}%").allowed(rows)

    @pytest.mark.parametrize(("rows", "allowed"), [(5, 4), (500, 10), (1000, 10), (5000, 50)])
    def test_default_limit(self, rows, allowed):
        """The default limit is the larger of 10 rows and 1%, but never all rows."""
        assert RejectLimit().allowed(rows) == allowed

    @pytest.mark.parametrize("text", ["many", "", "%", "-1", "1.5", "101%", "-1%", "nan%", "inf%", "1%%", "1e2"])
    def test_malformed_limit_is_refused(self, text):
        """A malformed limit is refused."""
        with pytest.raises(UsageError) as failure:
            RejectLimit.parse(text)
        expected = "--max-rejects expects a count such as 25 or a share such as 1%, received "
        assert failure.value.message == expected + repr(text)

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
    def test_too_many_rejects_publish_nothing(self, here, output):
        """Nothing is published, and the rejects stay in the working folder."""
        write_csv(here, [csv_line(unit_price="x"), GOOD, csv_line(unit_price="-1"), ["short"], csv_line(is_action="2")])
        before = snapshot(here)
        with pytest.raises(TooManyRejectsError) as failure:
            score(SIMPLE, "t.csv", output, limit=RejectLimit(3, 0))
        assert failure.value.message == (
            "4 of 5 rows were rejected, more than the 3 allowed; nothing was published. First: "
            "t.csv row 1: unit_price: not a number; t.csv row 3: unit_price: out of range, allowed: above 0; "
            "t.csv row 4: expected 9 fields, found 1"
        )
        kept = Path(failure.value.hint.split(": ")[1].removesuffix(". To allow more"))
        assert kept.exists()
        rejects = [reject for path in [kept, *kept.rglob("*.csv")] if path.is_file() for reject in read_rejects(path)]
        assert [reject["row"] for reject in rejects] == [1, 3, 4, 5]
        seen = {name for name in snapshot(here) if ".work" not in name}
        assert seen - set(before) <= {"out"}

    def test_all_rejected_is_refused(self, here):
        """A run that rejects all rows fails with any limit."""
        with pytest.raises(TooManyRejectsError, match="2 of 2 rows were rejected, more than the 1 allowed"):
            score(SIMPLE, write_csv(here, [["x"], ["y"]]), "out.csv", limit=RejectLimit.parse("100%"))

    def test_lost_rows_are_internal_error(self):
        """Rows that are neither scored nor rejected are an internal error."""
        with pytest.raises(GamesalesError, match="rows were lost: 1,000 read, 998 scored, 1 rejected") as failure:
            check_row_count(1000, 998, 1)
        assert failure.value.exit_code == 1

    @pytest.mark.parametrize("output", ["out.csv", "out"])
    def test_parser_loss_publishes_nothing(self, here, output, monkeypatch):
        """The row count of the plan does not come from the parser."""
        write_csv(here, [GOOD] * 10)
        read_batches = CsvFile.read_batches

        def losing(self, *arguments):
            for batch in read_batches(self, *arguments):
                yield replace(batch, table=batch.table.slice(1), rows=batch.rows[1:])

        monkeypatch.setattr(CsvFile, "read_batches", losing)
        with pytest.raises(GamesalesError, match="rows were lost: 10 read, 9 scored, 0 rejected, 0 blank; nothing"):
            score(SIMPLE, "t.csv", output)
        assert set(snapshot(here)) <= {"t.csv", "out"}


KEPT = {
    "text": pa.array(["007", None, "é\n"]),
    "large text": pa.array(["007", None, "x"], pa.large_string()),
    "text view": pa.array(["007", None, "a long text that no view holds itself"], pa.string_view()),
    "binary": pa.array([b"\xff", None, b""]),
    "fixed binary": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "binary view": pa.array([b"\xff", None, b"x" * 50], pa.binary_view()),
    "int64": pa.array([2**53 + 1, None, -(2**63)]),
    "uint64": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "int8": pa.array([1, None, -1], pa.int8()),
    "float": pa.array([0.1, None, float("inf")], pa.float32()),
    "half": pa.array([0.5, None, 1.0], pa.float16()),
    "bool": pa.array([True, None, False]),
    "date": pa.array([20_000, None, 0], pa.date32()),
    "time": pa.array([1, None, 0], pa.time64("ns")),
    "timestamp": pa.array([2**59, None, 1], pa.timestamp("us")),
    "timestamp of a zone": pa.array([1, None, 0], pa.timestamp("ns", "Europe/Lisbon")),
    "duration": pa.array([1, None, 0], pa.duration("ns")),
    "decimal": pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal128(38, 18)),
    "wide decimal": pa.array([Decimal("1.10"), None, Decimal(0)], pa.decimal256(60, 2)),
    "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
    "small dictionary": pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), ["a", "b"]),
    "list": pa.array([[1, None], None, []]),
    "list of views": pa.array([["a"], None, []], pa.list_(pa.string_view())),
    "fixed list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int16(), 2)),
    "struct": pa.array([{"a": 1, "b": [None]}, None, {"a": None, "b": ["x"]}]),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(3),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None, b"1" * 16], pa.binary(16))),
}
NOT_IN_CSV = {"text view", "binary", "fixed binary", "binary view", "list", "list of views", "fixed list", "struct"}
NOT_IN_CSV |= {"map", "uuid"}


class TestPassthrough:
    """Columns that are copied from the inputs to the result."""

    @pytest.mark.parametrize("name", KEPT)
    @pytest.mark.parametrize("rejected", [None, 0, 1, 2])
    def test_parquet_types_are_exact(self, here, name, rejected):
        """Parquet types and values stay exact, also behind a rejected row."""
        prices = [-1.0 if row == rejected else 50.0 for row in range(3)]
        parquet.write_table(put_column(titles_table(3, kept=KEPT[name]), "unit_price", prices), "t.parquet")
        score(SIMPLE, "t.parquet", "out.parquet")
        expected, copied = (parquet.read_table(path).column("kept") for path in ("t.parquet", "out.parquet"))
        rows = [row for row in range(3) if row != rejected]
        assert expected.type == copied.type
        assert [expected[row] for row in rows] == list(copied)
        if rejected is not None:
            assert read_rejects(here / "out.parquet.rejects.csv")[0]["row"] == rejected + 1

    @pytest.mark.parametrize("name", KEPT)
    def test_parquet_to_csv_or_refused(self, here, name):
        """A column that a CSV can't hold is refused by name."""
        parquet.write_table(titles_table(3, **{name: KEPT[name]}), "t.parquet")
        if name in NOT_IN_CSV:
            with pytest.raises(ColumnsError) as failure:
                score(SIMPLE, "t.parquet", "out.csv")
            assert failure.value.message.startswith(f"columns of these types can't be written as CSV: {name} (")
            assert failure.value.hint.startswith("Give --output a .parquet path, or ")
            assert set(snapshot(here)) == {"t.parquet"}
        else:
            score(SIMPLE, "t.parquet", "out.csv")
            assert [row[name] for row in read_csv(here / "out.csv")][1] == ""

    @pytest.mark.parametrize(
        ("column", "written"),
        [
            (pa.array([b"a", b"b"]).dictionary_encode(), "dictionary<values=binary, indices=int32, ordered=0>"),
            (pa.array([0, 1], pa.timestamp("us", "Mars/Phobos")), "timestamp[us, tz=Mars/Phobos]"),
        ],
    )
    def test_value_without_text(self, here, column, written):
        """Bytes in a dictionary, and times in a zone that nobody knows, are copied to Parquet and refused for CSV."""
        parquet.write_table(titles_table(2, kept=column), "t.parquet")
        score(SIMPLE, "t.parquet", "out.parquet")
        assert column.type == parquet.read_table("out.parquet").column("kept").type
        with pytest.raises(ColumnsError, match=re.escape(f"can't be written as CSV: kept ({written})")):
            score(SIMPLE, "t.parquet", "out.csv")

    @pytest.mark.parametrize(
        ("kind", "fits", "beyond"),
        [
            (pa.timestamp("us"), [None, 0, 8 * 10**17, -(8 * 10**17)], 2**63 - 1),
            (pa.timestamp("ms", "UTC"), [0, None, 8 * 10**14, 1], -(2**63)),
            (pa.timestamp("ns"), [0, None, 2**63 - 1, -(2**63)], None),
            (pa.date32(), [0, None, 9_000_000, -9_000_000], 2**31 - 1),
        ],
    )
    def test_infinite_time(self, here, kind, fits, beyond):
        """A time that has no text, such as DuckDB's infinity, is copied to Parquet and refused for CSV."""
        parquet.write_table(titles_table(4, at=pa.array(fits, kind)), "t.parquet")
        score(SIMPLE, "t.parquet", "out.csv")
        assert "range" not in (here / "out.csv").read_text(encoding="utf-8").split("\n", 1)[1]
        if beyond is not None:
            column = pa.array([*fits[:3], beyond], kind)
            parquet.write_table(titles_table(4, at=column), "t.parquet")
            score(SIMPLE, "t.parquet", "out.parquet")
            assert column == parquet.read_table("out.parquet").column("at").combine_chunks().cast(kind)
            with pytest.raises(ColumnsError, match=r"^at has times more than 30,000 years from 1970, which"):
                score(SIMPLE, "t.parquet", "again.csv")

    def test_invalid_utf8(self, here):
        """Parquet text that is not UTF-8 is copied byte by byte to Parquet, and refused for CSV."""
        broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
        parquet.write_table(titles_table(1, title=broken), "t.parquet")
        score(SIMPLE, "t.parquet", "out.parquet")
        assert parquet.read_table("out.parquet").column("title").cast(pa.binary()).to_pylist() == [b"\xff"]
        with pytest.raises(ColumnsError, match=r"^title has text that is not UTF-8, which a CSV can't have; nothing"):
            score(SIMPLE, "t.parquet", "out.csv")
        assert not Path("out.csv").exists()

    @given(st.lists(cells, min_size=1, max_size=10), st.sampled_from([".csv", ".parquet"]))
    @settings(deadline=None, max_examples=40)
    def test_csv_text_is_copied(self, texts, suffix):
        """CSV cells are copied as text; 007 stays 007."""
        rows = [[*GOOD, text, "007"] for text in texts]
        with tempfile.TemporaryDirectory() as name:
            output = Path(name) / f"out{suffix}"
            path = write_csv(Path(name), rows, header=[*FEATURES, "title", "code"])
            score(SIMPLE, path, output, table_format=PLAIN_BACKSLASHES)
            copied_rows = read_csv(output) if suffix == ".csv" else parquet.read_table(output).to_pylist()
            assert texts == [row["title"] for row in copied_rows]
            assert {"007"} == {row["code"] for row in copied_rows}

    def test_target_is_copied(self, here):
        """The target of past titles is copied next to the prediction."""
        write_csv(here, [[*GOOD, "123"]], header=[*FEATURES, "total_earnings"])
        score(SIMPLE, "t.csv", "out.csv")
        assert read_csv(here / "out.csv")[0]["total_earnings"] == "123"

    def test_dictionaries_are_joined(self, here):
        """Different dictionaries of row groups and files are joined."""
        for name in ("a", "b"):
            tables = [titles_table(2, kept=pa.array([name, word]).dictionary_encode()) for word in ("x", "y")]
            with parquet.ParquetWriter(f"{name}.parquet", tables[0].schema) as writer:
                for table in tables:
                    writer.write_table(table)
        score(SIMPLE, "?.parquet", "out.parquet")
        kept = parquet.read_table("out.parquet").column("kept")
        assert kept.to_pylist() == ["a", "x", "a", "y", "b", "x", "b", "y"]

    def test_nulls_in_second_file(self, here):
        """A column is nullable if only the second file has nulls."""
        strict = titles_table(2, kept=pa.array(["a", "b"]))
        strict = strict.cast(pa.schema([field.with_nullable(field.name != "kept") for field in strict.schema]))
        parquet.write_table(strict, "a.parquet")
        parquet.write_table(titles_table(2, kept=pa.array([None, "c"])), "b.parquet")
        score(SIMPLE, "?.parquet", "out.parquet")
        assert parquet.read_table("out.parquet").column("kept").to_pylist() == ["a", "b", None, "c"]

    def test_result_columns(self, here):
        """The result has the prediction, the flag and the version, with fixed types."""
        write_parquet(here, title_values(3))
        version = simple_version(bias=7.0, number=4)
        score(version, "t.parquet", "out.parquet")
        table = parquet.read_table("out.parquet")
        types = {"predicted_earnings": pa.float64(), "outside_training_range": pa.bool_(), "model_version": pa.int32()}
        assert table.schema.remove_metadata() == pa.schema(types.items())
        assert table.column("model_version").to_pylist() == [4, 4, 4]
        assert earnings(here / "out.parquet") == simple_earnings(title_values(3), 7.0).tolist()
        assert table.schema.metadata[b"gamesales.model_version"] == b"4"

    def test_outside_range_is_flagged(self, here):
        """Rows outside the training range are flagged and counted."""
        write_csv(here, [GOOD, csv_line(unit_price="71"), csv_line(critic_rating="1.5")])
        report = score(SIMPLE, "t.csv", "out.csv")
        assert [row["outside_training_range"] for row in read_csv(here / "out.csv")] == ["false", "true", "true"]
        assert report.rows_outside_training_range == 2


class TestOutputs:
    """Folders of dated partitions, and single files."""

    def test_partitioned_output(self, here):
        """A date's folder has parts, rejects, a report and _SUCCESS."""
        write_csv(here, [GOOD, csv_line(unit_price="0")], "a.csv")
        write_csv(here, [GOOD, GOOD], "b.csv")
        report = score(SIMPLE, ["a.csv", "b.csv"], "out")
        visible = here / "out/run_date=2026-11-23"
        run = report.run_id[:8]
        assert set(snapshot(visible)) == {
            f"part-{run}-00000.parquet",
            "_rejects",
            f"_rejects/part-{run}-00000.csv",
            "_run.json",
            "_SUCCESS",
        }
        assert earnings(visible) == [GOOD_PREDICTION] * 3
        assert parquet.read_table(visible).num_rows == 3
        metadata = parquet.read_schema(visible / f"part-{run}-00000.parquet").metadata
        assert metadata[b"gamesales.run_id"].decode() == report.run_id

    def test_other_dates_are_kept(self, here):
        """A run for one date leaves other dates unchanged."""
        write_csv(here, [GOOD])
        score(SIMPLE, "t.csv", "out")
        before = snapshot(here / "out")
        score(SIMPLE, "t.csv", "out", day=DAY.replace(day=24))
        assert before.items() <= snapshot(here / "out").items()
        assert {path.name for path in Path("out").iterdir()} == {"run_date=2026-11-23", "run_date=2026-11-24"}

    def test_date_is_replaced(self, here):
        """A second run for a date replaces its folder completely."""
        score(SIMPLE, write_csv(here, [GOOD, ["bad"]]), "out")
        report = score(SIMPLE, write_csv(here, [GOOD, GOOD]), "out")
        names = {path.name for path in here.glob("out/run_date=2026-11-23/**/*")}
        assert names == {f"part-{report.run_id[:8]}-00000.parquet", "_rejects", "_run.json", "_SUCCESS"}
        assert {path.name for path in Path("out").iterdir()} == {"run_date=2026-11-23"}

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "OUT.CSV", "a.b.Parquet"])
    def test_single_file_output(self, here, output):
        """A single file has its rejects and its report next to it."""
        write_csv(here, [GOOD, csv_line(unit_price="0")])
        report = score(SIMPLE, "t.csv", output)
        assert set(snapshot(here)) == {"t.csv", output, f"{output}.rejects.csv", f"{output}.run.json"}
        document = json.loads(Path(f"{output}.run.json").read_text())
        assert document == json.loads(json.dumps(add_old_keys(asdict(report))))

    def test_old_sidecars_are_replaced(self, here):
        """Sidecars of an earlier run are replaced or removed."""
        score(SIMPLE, write_csv(here, [GOOD, csv_line(unit_price="0")]), "out.csv")
        first = Path("out.csv.run.json").read_text()
        score(SIMPLE, write_csv(here, [GOOD, GOOD]), "out.csv")
        assert set(snapshot(here)) == {"t.csv", "out.csv", "out.csv.run.json"}
        assert Path("out.csv.run.json").read_text() != first

    def test_report_describes_run(self, here):
        """The report has the version, the paths and the counts."""
        content = write_csv(here, [GOOD, csv_line(unit_price="99"), ["bad"]]).read_bytes()
        report = score(simple_version(number=3), "t.csv", "out.csv")
        assert (report.run_date, report.model, report.model_version) == ("2026-11-23", "game-earnings", 3)
        assert (report.output, report.rejects) == ("out.csv", "out.csv.rejects.csv")
        assert (report.rows_in, report.rows_scored, report.rows_rejected) == (3, 2, 1)
        assert report.rows_outside_training_range == 1
        assert report.bundle_sha256 == "0" * 64
        (source,) = report.inputs
        assert (source.name, source.size, source.rows, source.rejected) == ("t.csv", len(content), 3, 1)

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
    @pytest.mark.parametrize("content", [csv_text([]), csv_text([]).strip(), csv_text([], end="\r\n") + "\r\n"])
    def test_no_rows_give_empty_result(self, here, output, content):
        """Inputs without rows give a complete, empty result."""
        Path("t.csv").write_bytes(content.encode())
        report = score(SIMPLE, "t.csv", output)
        assert (report.rows_in, report.rows_scored, report.rejects) == (0, 0, None)
        assert earnings(Path(report.output)) == []
        if output == "out.csv":
            assert Path(output).read_text() == '"predicted_earnings","outside_training_range","model_version"\n'

    def test_progress_counts_rows_once(self, here, monkeypatch):
        """Progress counts every row once."""
        monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 400)
        seen = []
        write_csv(here, [GOOD, ["bad"], csv_line(unit_price="0")] * 20)
        score(SIMPLE, "t.csv", "out.csv", limit=ANY, on_rows=seen.append)
        assert len(seen) > 1
        assert sum(seen) == 60

    def test_output_folders_are_made(self, here):
        """Missing folders of the output are made."""
        score(SIMPLE, write_csv(here, [GOOD]), "new/deep/out.csv")
        score(SIMPLE, "t.csv", "also/new")
        assert Path("new/deep/out.csv").exists()
        assert Path("also/new/run_date=2026-11-23/_SUCCESS").exists()


def results(folder):
    """The files of a folder without working folders."""
    return {name: content for name, content in snapshot(folder).items() if ".work" not in name}


class TestFailures:
    """A run that fails leaves an earlier result unchanged, and no other files."""

    @pytest.fixture
    def published(self, here):
        write_csv(here, [GOOD, ["bad"]], "good.csv")
        score(SIMPLE, "good.csv", "out.csv")
        score(SIMPLE, "good.csv", "out.parquet")
        score(SIMPLE, "good.csv", "out")
        return here

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
    @pytest.mark.parametrize(
        ("content", "error", "message"),
        [
            (csv_text([], FEATURES[3:]), ColumnsError, "lacks critic_rating, is_action, is_exclusive_to_us"),
            (csv_text([], [*FEATURES, "model_version"]), ColumnsError, "model_version is a column that scoring writes"),
            (csv_text([], [*FEATURES, "is_action"]), ColumnsError, "has duplicate columns: is_action"),
            (csv_text([GOOD]) + '"', InputError, "ends inside a quoted field: a quote that opens in row 2"),
            ("", InputError, "is empty"),
            (csv_text([["x"], ["y"]]), TooManyRejectsError, "2 of 2 rows were rejected"),
        ],
    )
    def test_bad_input(self, published, output, content, error, message):
        """A bad input changes no earlier result."""
        write = (published / "t.csv").write_text(content)
        assert write == len(content)
        before = snapshot(published)
        with pytest.raises(error, match=message):
            score(SIMPLE, "t.csv", output)
        after = {name: content for name, content in snapshot(published).items() if ".work" not in name}
        assert before == after
        assert error == TooManyRejectsError or not list(published.rglob("*.work"))

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
    def test_damaged_input(self, published, output):
        """A file that is damaged in the middle changes no earlier result."""
        content = io.BytesIO()
        parquet.write_table(titles_table(5000), content, use_dictionary=False, write_page_checksum=True)
        damaged = bytearray(content.getvalue())
        damaged[len(damaged) // 2] ^= 1
        (published / "t.parquet").write_bytes(damaged)
        before = snapshot(published)
        with pytest.raises(InputError, match=r"t\.parquet is damaged after row \d+: "):
            score(SIMPLE, "t.parquet", output)
        assert before == snapshot(published)

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(28, "No space left on device")])
    def test_interrupt_or_machine_error(self, published, output, error):
        """An interrupt, missing memory or a full disk change no earlier result."""
        before = snapshot(published)

        def fail(rows):
            raise error

        with pytest.raises(type(error)):
            score(SIMPLE, "good.csv", output, on_rows=fail, fresh=True)
        assert before == results(published)

    @pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
    def test_disk_error_while_publishing(self, published, output, monkeypatch):
        """A disk error while publishing changes no earlier result."""
        before = snapshot(published)

        def fail(path):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(commit, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            score(SIMPLE, "good.csv", output, fresh=True)
        assert before == results(published)

    def test_failed_self_test(self, published):
        """A version that fails its self-test changes no earlier result."""
        before = snapshot(published)
        registry = open_registry(published.parent / "registry-of-another", "game-earnings")
        registry.publish({"scorer.onnx": simple_graph(bias=1.0)}, simple_details(CONTRACT), "its graph is another's")
        with pytest.raises(SelfTestError, match="golden row"):
            score_date(ScoreJob(("good.csv",), Path("out.csv"), model="1"), registry, DAY)
        assert before == snapshot(published)

    @pytest.mark.parametrize(
        ("source", "output"),
        [
            ("good.csv", "good.csv"),
            ("good.csv", "./sub/../good.csv"),
            ("good.csv", "link.csv"),
            ("link.csv", "good.csv"),
            ("good.csv.rejects.csv", "good.csv"),
            ("good.csv.work/in.csv", "good.csv"),
            ("dates/run_date=2026-11-23/in.csv", "dates"),
            ("dates/.run_date=2026-11-23.work/in.csv", "dates"),
        ],
    )
    def test_output_that_replaces_input(self, published, source, output):
        """An output that would replace an input is refused."""
        for name in ("sub/x", "good.csv.rejects.csv", "good.csv.work/in.csv", "dates/run_date=2026-11-23/in.csv"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            write_csv(published, [GOOD], name)
        Path("dates/.run_date=2026-11-23.work").mkdir()
        write_csv(published, [GOOD], "dates/.run_date=2026-11-23.work/in.csv")
        Path("link.csv").symlink_to("good.csv")
        before = snapshot(published)
        with pytest.raises(UsageError, match="is both input and output"):
            score(SIMPLE, source, output)
        assert before == snapshot(published)

    @pytest.mark.parametrize(("output", "message"), [("folder.csv", "a folder"), ("file", "a file")])
    def test_output_of_wrong_kind(self, published, output, message):
        """A folder at a file's path, or a file at a folder's path, is refused."""
        Path("folder.csv").mkdir()
        Path("file").touch()
        before = snapshot(published)
        with pytest.raises(UsageError) as failure:
            score(SIMPLE, "good.csv", output)
        rule = "expected a file for a path ending in .csv, .csv.gz or .parquet, a folder for any other path"
        expected = f"--output {output} is {message}; {rule}"
        assert failure.value.message == expected
        assert before == snapshot(published)

    @pytest.mark.parametrize("sidecar", ["new.csv.rejects.csv", "new.csv.run.json"])
    def test_folder_at_sidecar_path(self, published, sidecar):
        """A folder at the path of a sidecar is refused."""
        Path(sidecar).mkdir()
        before = snapshot(published)
        with pytest.raises(UsageError, match=f"{sidecar} is a folder; expected a file of this run"):
            score(SIMPLE, "good.csv", "new.csv")
        assert before == snapshot(published)

    @pytest.mark.parametrize("output", ["in/dates", "in/out.csv"])
    def test_output_in_input_folder(self, here, output):
        """The output of a run is never its input, also if a run was killed or an input is a glob."""
        Path("in").mkdir()
        write_csv(here, [GOOD, ("6", *GOOD[1:])], "in/a.csv")
        work = OutputPaths(Path(output), DAY).work
        for source in ("in", "in/*", "in/**/*.csv", "in"):
            (work / "run-0").mkdir(parents=True)
            write_csv(here, [GOOD], work / "run-0/piece.csv")
            report = score(SIMPLE, source, output, fresh=True, limit=ANY)
            assert (report.rows_scored, report.rows_rejected) == (1, 1)

    def test_other_output_in_input_folder(self, here):
        """The output of another run is refused."""
        Path("in").mkdir()
        write_csv(here, [GOOD], "in/a.csv")
        score(SIMPLE, ["in/a.csv"], "in/out.csv")
        with pytest.raises(
            InputError, match=r"files that are neither Parquet nor named \.csv: in/out\.csv\.run\.json$"
        ):
            score(SIMPLE, "in", "in/dates")
        with pytest.raises(ColumnsError, match=r"in/out\.csv: predicted_earnings is a column that scoring writes"):
            score(SIMPLE, "in", "in/other", exclude=["*.run.json"])
        assert not Path("in/other").exists()


FUZZED = many(10_500, 500)


def mutate(random, content, *, footer=False):
    """Flip, replace, remove, repeat or cut off some bytes, or insert special bytes."""
    content = bytearray(content)
    special = b'" , \n \r \0 \xff \xc9 "" \r\n - nan 1e999 "a""b" \xef\xbb\xbf \n\n'.split(b" ")
    for _ in range(random.choice([1, 1, 1, 2, 3, 8])):
        if not content:
            break
        index = random.randrange(max(0, len(content) - 700), len(content)) if footer else random.randrange(len(content))
        match random.randrange(6):
            case 0:
                content[index] = random.randrange(256)
            case 1:
                content[index] ^= 1 << random.randrange(8)
            case 2:
                del content[index : index + random.choice([1, 1, 2, 10, 100])]
            case 3:
                content[index:index] = random.choice(special)
            case 4:
                content[index:index] = content[index : index + random.randrange(200)]
            case 5 if random.random() < 0.3:
                del content[index:]
    return bytes(content)


def make_fuzz_seeds(suffix):
    table = titles_table(6, title_id=pa.array(["T1", "T,2", 'é"3', None, "T\n5", "007"]))
    buffer = io.BytesIO()
    if suffix == ".csv":
        arrow_csv.write_csv(table, buffer)
        text = buffer.getvalue()
        return [text, text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text.replace(b'"', b"")]
    nested = table.append_column("list", pa.array([[1], [2, 3], None, [], [4], [5]]))
    nested = nested.append_column("dictionary", pa.array(["a", "b"] * 3).dictionary_encode())
    nested = nested.append_column("time", pa.array(range(6), pa.timestamp("ns", "UTC")))
    seeds = []
    for content, options in (
        (table, {}),
        (table, {"compression": "zstd", "row_group_size": 2, "data_page_version": "2.0"}),
        (table, {"compression": "none", "use_dictionary": False}),
        (table, {"compression": "none", "write_page_checksum": True}),
        (nested, {"compression": "none"}),
    ):
        buffer = io.BytesIO()
        parquet.write_table(content, buffer, **options)
        seeds.append(buffer.getvalue())
    return seeds


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_fuzzed_files_end_cleanly(here, suffix, monkeypatch):
    """A damaged file gives an error or a result whose counts add up."""
    monkeypatch.setattr(commit, "fsync", lambda path: None)  # for speed: no test here needs durable files
    chance = random.Random(seed("damaged files"))
    seeds = make_fuzz_seeds(suffix)
    path, ended = here / f"t{suffix}", {"scored": 0, "refused": 0}
    for number in range(FUZZED):
        content = mutate(chance, chance.choice(seeds), footer=suffix == ".parquet" and chance.random() < 0.5)
        path.write_bytes(content)
        try:
            report = score(SIMPLE, path, "out.parquet")
        except (InputError, TryAgainError):
            ended["refused"] += 1
        except BaseException as error:
            raise AssertionError((number, content)) from error
        else:
            accounted = report.rows_scored + report.rows_rejected + report.rows_blank
            assert report.rows_in == accounted, (number, content)
            assert report.rows_scored == parquet.read_metadata("out.parquet").num_rows, (number, content)
            ended["scored"] += 1
    assert min(ended.values()) > FUZZED // 100


def test_changed_input_exit_code():
    """A changed input ends with exit code 7."""
    assert TryAgainError.exit_code == 7
