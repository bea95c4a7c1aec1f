"""CSV files in other dialects: what any writer wrote comes back exactly, or the file is refused."""

import csv
import io
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data import csv_scan
from gamesales.data.contract import Column
from gamesales.data.dialect import CsvDialect, TableFormat
from gamesales.data.open_table import open_table
from gamesales.data.screen import screen
from gamesales.data.table import LineCounts
from gamesales.errors import ColumnsError, InputError

BACKSLASH = CsvDialect(escape="\\")
texts = st.text('"\\,;\r\n x\té', max_size=6)
tables = st.lists(st.tuples(texts, texts), max_size=8)
sizes = st.sampled_from([16, 64, 4 << 20])


@pytest.fixture
def opened(tmp_path):
    """Return a function that writes a file and opens it in a dialect."""

    def write(content, name="t.csv", **dialect):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_table(path, TableFormat(CsvDialect(**dialect)))

    return write


def read_rows(table, names=None, **options):
    """Return the well-formed rows by number, and the numbers and reasons of the other rows."""
    names = names or table.schema.names
    good, bad, blank = {}, [], []
    for batch in table.read_batches(names, **options):
        cells = zip(*(column.to_pylist() for column in batch.table.columns), strict=True)
        good.update(zip(batch.rows.tolist(), cells, strict=True))
        bad += [(row.row, row.reason) for row in batch.malformed]
        blank += batch.blank
    assert table.count_rows() == len(good) + len(bad) + len(blank)
    return good, bad, blank


def write_table(path, rows, encoding="utf-8", **options):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, **options).writerows(rows)


@given(
    tables,
    st.sampled_from(",;\t|"),
    st.sampled_from(["double", "escape", "none"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-be"]),
    sizes,
)
@settings(deadline=None, max_examples=200)
def test_written_rows_come_back(rows, delimiter, quotes, quoting, end, encoding, size):
    """What Python's writer wrote in a dialect is read exactly in the same dialect."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", size):
        path = Path(folder) / "t.csv"
        escape = "" if quotes == "double" else "\\"
        if quoting == csv.QUOTE_MINIMAL or quotes == "none":  # Python's writer takes a lone CR for no line break
            rows = [tuple(cell.replace("\r", "") for cell in row) for row in rows]
        write_table(
            path,
            [("a", "b", "n"), *((*row, str(number)) for number, row in enumerate(rows, 1))],
            encoding,
            delimiter=delimiter,
            quoting=csv.QUOTE_NONE if quotes == "none" else quoting,
            doublequote=quotes == "double",
            escapechar=escape or None,
            lineterminator=end,
        )
        table = open_table(path, TableFormat(CsvDialect(delimiter, ".", escape, encoding)))
        assert ({number: (*row, str(number)) for number, row in enumerate(rows, 1)}, [], []) == read_rows(table)


@given(tables, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]), sizes)
@example([('12"', "a"), ("b", ","), ("c", ",")], csv.QUOTE_MINIMAL, 64)
@example([('12"', ', x"')], csv.QUOTE_MINIMAL, 64)
@example([("a", '12"'), (",", "x")], csv.QUOTE_MINIMAL, 64)
@example([('"\n', '"')], csv.QUOTE_MINIMAL, 64)
@settings(deadline=None, max_examples=400)
def test_escapes_hide_no_rows(rows, quoting, size):
    """A file with escaped quotes that is read without its dialect has all its rows, or rejects, or it is refused."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv_scan, "CHUNK_BYTES", size):
        path = Path(folder) / "t.csv"
        rows = [tuple(cell.replace("\r", "") for cell in row) for row in rows]
        written = [("n", "a", "b"), *((number, *row) for number, row in enumerate(rows, 1))]
        write_table(path, written, quoting=quoting, doublequote=False, escapechar="\\", lineterminator="\n")
        try:
            good, bad, _ = read_rows(open_table(path))
        except InputError:
            assert '"' in path.read_text(encoding="utf-8")
        else:  # a title may be several rejected rows, never a part of another row
            numbers = [cells[0] for cells in good.values()]
            assert len(set(numbers)) == len(numbers)
            assert {str(number) for number, *_ in written[1:]}.issuperset(numbers)
            assert len(good) + len(bad) >= len(rows)


class TestQuotes:
    ROWS = 'id,title,n\n1,"a",2\n2,"Vinyl 12{}",3\n3,"b, c",4\n4,"d",5\n'

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("size", [8, 4 << 20])
    def test_backslash_is_refused_with_its_line(self, opened, end, size):
        """A backslash before a quote is refused with the line of the cell, until the job says what it means."""
        content = self.ROWS.format('\\"').replace("\n", end)
        with mock.patch.object(csv_scan, "CHUNK_BYTES", size):
            with pytest.raises(
                InputError, match=r"a backslash stands before a quote in the cell that begins in line 3"
            ):
                opened(content).count_rows()
            with pytest.raises(InputError, match="begins in line 3 spans lines, and a quote is in the middle"):
                opened(content, escape="").count_rows()
            good, *others = read_rows(opened(content, escape="\\"))
            assert ([cells[1] for cells in good.values()], others) == (["a", 'Vinyl 12"', "b, c", "d"], [[], []])

    def test_stray_quote_is_refused_with_its_line(self, opened):
        """A quote in a quoted cell that joins rows is refused, and otherwise it is text."""
        with pytest.raises(InputError, match="begins in line 3 spans lines, and a quote is in the middle"):
            opened(self.ROWS.format('"')).count_rows()
        assert read_rows(opened('a,b\n"12" vinyl",1\n5" disk,2\n'))[0] == {1: ('12 vinyl"', "1"), 2: ('5" disk', "2")}

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("place", [0, 4, 9])
    @pytest.mark.parametrize("size", [32, 4 << 20])
    def test_rows_in_a_cell_are_refused(self, opened, delimiter, place, size):
        """A cell between a stray quote and the next one is refused if it has the numbers of a row."""

        def write_row(title):
            cells = ["3.5", *"1010101", "59.99"]
            cells.insert(place, title)
            return delimiter.join(cells) + "\n"

        names = delimiter.join("abcdefghij") + "\n"
        for between in (0, 1, 20):
            titles = ["a", "b", '"Hello', *["x"] * between, '12"', "c"]
            content = names + "".join(map(write_row, titles))
            with (
                mock.patch.object(csv_scan, "CHUNK_BYTES", size),
                pytest.raises(InputError, match="begins in line 4 spans lines, and has numbers as a row has them"),
            ):
                opened(content, delimiter=delimiter).count_rows()
            stated = opened(content, delimiter=delimiter, escape="")
            assert 4 == stated.count_rows()  # the job states that the cell is right
        prose = f'"Out in 2026{delimiter}or 2027\n1{delimiter} 2{delimiter} 3{delimiter} 4{delimiter} 5 stars"'
        numbers = delimiter.join("123456789")
        for text in (prose, f'"{{""scores"":\n[{numbers}]}}"', f'"{numbers}"'):
            assert 3 == opened(names + write_row(text) * 3, delimiter=delimiter).count_rows()

    @pytest.mark.parametrize("last", ['x,"a\\"",1\n', 'x,"a\\""\n', '"\n\\"'])
    def test_open_quote_at_the_end_has_its_line(self, opened, last):
        """A file that ends in quotes is refused with the line of the quote, and with a backslash if there is one."""
        with pytest.raises(InputError, match=r"a backslash stands .* line 3"):
            opened("a,b\n1,2\n" + last).count_rows()

    @pytest.mark.parametrize("cell", ["C:\\dir\\", '{"a": "\\"b\\""}', '\\"'])
    def test_single_lines_need_no_dialect(self, opened, cell):
        """A backslash before a quote is text in a quoted cell of one line, where no row can be lost."""
        quoted = cell.replace('"', '""')
        table = opened(f'a,b\n"{quoted}",1\nx,2\n')
        assert read_rows(table)[0] == {1: (cell, "1"), 2: ("x", "2")}

    def test_escaped_letter_rejects_its_row(self, opened):
        r"""MySQL writes null as \N; what an escaped letter means is not guessed."""
        content = 'a,b\n1,\\N\n2,"x\ny\\\\"\n3,C:\\dir\n4,z\\'
        table = opened(content, escape="\\")
        good, bad, _ = read_rows(table)
        assert good == {2: ("2", "x\ny\\")}
        assert [row for row, _ in bad] == [1, 3, 4]
        assert bad[0][1] == "the escape character \\ stands before 'N', which needs none"

    @pytest.mark.parametrize("row", ["\\N,x", "x,\\N", "\\N,\\N"])
    def test_null_of_databases_is_refused(self, opened, row):
        r"""A cell of MySQL's \N says that backslashes are escapes, unless the job says that they are text."""
        content = f"a,b\n1,x\\N\n\\Nx,2\n{row}\n"
        with pytest.raises(InputError, match=r"row 3 has a cell \\N, which stands for null"):
            read_rows(opened(content))
        assert len(read_rows(opened(content, escape=""))[0]) == 3
        assert [row for row, _ in read_rows(opened(content, escape="\\"))[1]] == [1, 2, 3]

    def test_lines_and_records_are_counted(self, opened):
        """Lines are physical; records include the header."""
        table = opened('a,b\r\n\r\n1,"x\r\ny\r\nz"\r\n2,"u"\r\n"\n",3')
        assert table.count_lines() == LineCounts(lines=8, records=4, multiline=2)


def read_numbers(batch):
    screened = screen(batch, [Column("a", "price")])
    numbers = np.full(len(batch.rows), np.nan)
    numbers[screened.accepted] = screened.columns[0]
    return numbers.tolist()


class TestNumbers:
    def test_decimal_commas_are_read(self, opened):
        """Numbers have decimal commas, and a point is not a decimal mark. Other text is kept."""
        table = opened("a;b\n4,5;1,5\n-0,25;x.y\n3;z\n", delimiter=";", decimal=",")
        for batch in table.read_batches(["a", "b"], numbers=["a"]):
            assert read_numbers(batch) == [4.5, -0.25, 3.0]
            assert batch.table.column("b").to_pylist() == ["1,5", "x.y", "z"]
            assert batch.original_text().column("a").to_pylist() == ["4,5", "-0,25", "3"]

    def test_points_are_no_decimal_marks(self, opened):
        """In a file with decimal commas, 1.234 is not a number."""
        table = opened("a;b\n4,5;1\n1.234;2\n1.234,5;3\n\xff;4\n".encode("latin-1"), delimiter=";", decimal=",")
        (batch,) = table.read_batches(["a"], numbers=["a"])
        np.testing.assert_equal(read_numbers(batch), [4.5, np.nan, np.nan])
        assert batch.original_text().column("a").to_pylist() == ["4,5", "1.234", "1.234,5"]


class TestEncodings:
    def test_undefined_byte_rejects_its_row(self, opened):
        """A byte that the encoding does not define rejects its row."""
        table = opened(b"a,b\n\x80,1\n\x81\xc3,2\n\xe9,3\n", encoding="cp1252")
        assert read_rows(table) == ({1: ("€", "1"), 3: ("é", "3")}, [(2, "a: not CP1252 text")], [])

    @pytest.mark.parametrize("name", ["cp1252", "CP1252", "windows-1252", "utf8", "UTF-8-SIG", "ascii", "shift_jis"])
    def test_any_spelling_is_read(self, opened, name):
        """An encoding may have any name that Python has for it."""
        assert read_rows(opened(b"a\nx\n", encoding=name))[0] == {1: ("x",)}

    def test_wrong_encoding_is_named(self, opened):
        """UTF-16 and a header in another encoding are named, with the key that helps."""
        with pytest.raises(InputError, match="looks like UTF-16, expected CP1252") as failure:
            opened("a,b\n1,2\n".encode("utf-16"), encoding="cp1252")
        assert '[csv] encoding = "utf-16"' in failure.value.hint
        with pytest.raises(InputError, match="its header has bytes that are not text") as failure:
            opened("prix_été,b\n".encode("cp1252"))
        assert '[csv] encoding = "cp1252"' in failure.value.hint
        with pytest.raises(InputError, match="is not utf-16-le text: truncated data"):
            opened("a,b\n1,2\n".encode("utf-16-le") + b"x", encoding="utf-16-le").count_rows()
        with pytest.raises(InputError, match="is not utf-16 text: UTF-16 stream does not start with BOM"):
            opened("a,b\n1,2\n".encode("utf-16-le"), encoding="utf-16")


class TestSpreadsheets:
    @pytest.mark.parametrize("numbers", [(), ("a", "b")])
    @pytest.mark.parametrize("names", [["a"], ["b", "a"], ["a", "b", "c"]])
    def test_blank_rows_are_counted(self, opened, names, numbers):
        """A row is blank if all its cells are empty, whatever the number of its delimiters and the columns read."""
        table = opened('a,b,c\n1,2,x\n,,\n,,y\n"","",\n,\n3,4,z\n,,\n,,,,\n')
        good, bad, blank = read_rows(table, names, numbers=numbers)
        assert (sorted(good), bad, blank) == ([1, 3, 6], [], [2, 4, 5, 7, 8])

    def test_blank_rows_of_any_bytes(self, opened):
        """A row is not blank if a column has text that is not UTF-8."""
        good, bad, blank = read_rows(opened(b"a,b\n,\n,\xff\n1,2\n"), ["a"])
        assert (good, bad, blank) == ({2: ("",), 3: ("1",)}, [], [1])

    @pytest.mark.parametrize(("start", "blank"), [(0, [2, 4]), (1, [2, 4]), (2, [4]), (3, [4])])
    def test_blank_rows_of_a_range(self, opened, start, blank):
        """A range of rows has the blank rows of the range."""
        (batch,) = opened('a\n1\n""\n2\n""\n').read_batches(["a"], start)
        assert (batch.row_count, list(batch.blank)) == (4 - start, blank)

    @pytest.mark.parametrize("rows", [2, 100_000])
    def test_nul_rejects_its_row(self, opened, rows):
        """A NUL in any cell rejects its row, wherever it is in the file."""
        content = b"a,b,c\n" + b"1,2,long text\n" * rows + b'3,4,"\0\n"\n\0,,\n5,6,y\n'
        for names in (["a"], ["c", "b", "a"]):
            good, bad, _ = read_rows(opened(content), names, numbers=["a"])
            assert len(good) == rows + 1
            assert bad == [(rows + 1, "a cell has a NUL character"), (rows + 2, "a cell has a NUL character")]


class TestRenames:
    def test_columns_are_renamed(self, opened, tmp_path):
        """Our name stands for the name in the file, in CSV and Parquet. Other columns keep their names."""
        opened("A,B,c\n1,x,3\n2,,4,5\n")
        parquet.write_table(pa.table({"A": ["1"], "B": ["x"], "c": ["3"]}), tmp_path / "t.parquet")
        for name in ("t.csv", "t.parquet"):
            table = open_table(tmp_path / name, TableFormat(columns={"b": "A", "a": "B"}))
            assert table.schema.names == ["b", "a", "c"]
            (batch,) = table.read_batches(["a", "c", "b"], numbers=["b"])
            assert batch.table.schema.names == ["a", "c", "b"]
            assert batch.table.column("a").to_pylist() == ["x"]
            assert batch.original_text().schema.names in (["b", "a", "c"], ["a", "c", "b"])

    def test_missing_and_taken_names(self, opened):
        """A column to rename must be there, and its new name must be free."""
        path = opened("a,B\n1,2\n").path
        with pytest.raises(ColumnsError, match=r"t\.csv lacks C, expected by \[columns\] in the job file"):
            open_table(path, TableFormat(columns={"c": "C"}))
        with pytest.raises(ColumnsError, match=r"t\.csv has a already; \[columns\] gives this name"):
            open_table(path, TableFormat(columns={"a": "B"}))
        assert open_table(path, TableFormat(columns={"a": "B", "old": "a"})).schema.names == ["old", "a"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"delimiter": ";;"}, "delimiter"),
        ({"delimiter": "é"}, "delimiter"),
        ({"delimiter": "a"}, "delimiter"),
        ({"delimiter": '"'}, "delimiter"),
        ({"delimiter": "\n"}, "delimiter"),
        ({"decimal": "'"}, "decimal"),
        ({"escape": "\\\\"}, "escape"),
        ({"escape": ","}, "escape"),
        ({"escape": '"'}, "escape"),
        ({"encoding": "klingon"}, "encoding"),
        ({"encoding": "utf-7"}, "encoding"),
        ({"encoding": "cp037"}, "encoding"),
        ({"encoding": "unicode_escape"}, "encoding"),
        ({"encoding": "zip"}, "encoding"),
        ({"encoding": "a\0b"}, "encoding"),
    ],
)
def test_impossible_dialect(values, message):
    """A dialect that can't be read is refused."""
    with pytest.raises(ValueError, match=f"^{message}: expected "):
        CsvDialect(**values)


def test_description_of_a_format():
    """A description has what differs from the default, and gives the format back."""
    assert TableFormat(CsvDialect(encoding="utf8")).describe() == {}
    other = TableFormat(CsvDialect(";", ",", "\\", "cp1252"), {"critic_rating": "CriticScore"})
    assert TableFormat.from_description({"path": "x", **other.describe()}) == other
    assert TableFormat.from_description({"path": "x"}) == TableFormat()


def test_spreadsheet_text_format(opened):
    """The tab-separated UTF-16 of a spreadsheet is read."""
    buffer = io.StringIO()
    csv.writer(buffer, "excel-tab").writerows([["a", "b"], ["é, x", '12" vinyl']])
    table = opened(buffer.getvalue().encode("utf-16"), delimiter="\t", encoding="utf-16")
    assert read_rows(table)[0] == {1: ("é, x", '12" vinyl')}
