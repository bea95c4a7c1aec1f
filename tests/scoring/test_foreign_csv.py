"""Runs over CSV files as other programs write them: each title is scored once, or the run says what to do."""

import csv
import gzip
from dataclasses import asdict

import pytest

from gamesales.data.dialect import CsvDialect, TableFormat
from gamesales.errors import ColumnsError, InputError, TooManyRejectsError
from support.runs import GOOD, csv_text, read_csv, read_rejects, score, simple_version
from support.versions import FEATURES

VERSION = simple_version()
HEADER = [*FEATURES, "title_id", "title"]


def make_titles(count=26):
    return [[*GOOD, f"A{number:03}", f"Example, Title {number}"] for number in range(1, count + 1)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, rows, header=HEADER, encoding="utf-8", **options):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, **options).writerows([header, *rows])


@pytest.fixture
def output(here):
    return here / "out.csv"


class TestBackslashes:
    """A file of 26 titles, in which the second cell ends in an escaped quote."""

    @pytest.fixture
    def rows(self, here):
        rows = make_titles()
        rows[1][-1] = 'Vinyl 12"'
        write(here / "t.csv", rows, doublequote=False, escapechar="\\")
        return rows

    def test_line_and_key_are_named(self, rows, output):
        """Without the dialect the run fails, names the line, and publishes nothing."""
        with pytest.raises(InputError, match=r"t\.csv: a backslash stands before a quote .* line 3") as failure:
            score(VERSION, "t.csv", output)
        assert r'[csv] escape = "\\"' in failure.value.hint
        assert not output.exists()

    def test_all_titles_are_scored(self, rows, output):
        """With the dialect all titles are scored, and their text is exact."""
        report = score(VERSION, "t.csv", output, table_format=TableFormat(CsvDialect(escape="\\")))
        assert (report.rows_in, report.rows_scored) == (26, 26)
        assert [row["title"] for row in read_csv(output)] == [row[-1] for row in rows]


def test_european_spreadsheet(here, output):
    """Semicolons, decimal commas and a Windows encoding are read as the job says."""
    rows = [["4,5", *GOOD[1:-1], "59,99", "A1", "Café"], ["3,0", *GOOD[1:-1], "1.059,99", "A2", "x"]]
    write(here / "t.csv", rows, encoding="cp1252", delimiter=";")
    plain = TableFormat(CsvDialect(";", encoding="cp1252"))
    with pytest.raises(
        TooManyRejectsError, match=r'critic_rating: not a number; a decimal comma\? \[csv\] decimal = ","'
    ):
        score(VERSION, "t.csv", output, table_format=plain)
    table_format = TableFormat(CsvDialect(";", ",", encoding="cp1252"))
    kept = score(VERSION, "t.csv", here / "kept.csv", table_format=table_format, keep=["unit_price"])
    report = score(VERSION, "t.csv", output, table_format=table_format)
    assert (report.rows_scored, report.rows_rejected) == (1, 1) == (kept.rows_scored, kept.rows_rejected)
    assert read_csv(here / "kept.csv")[0]["unit_price"] == "59,99"
    (copied,) = read_csv(output)
    assert (copied["title"], float(copied["predicted_earnings"])) == ("Café", pytest.approx(5699.0, rel=0.01))
    (reject,) = read_rejects(here / "out.csv.rejects.csv")
    assert (reject["value"], reject["record"]["unit_price"]) == ("1.059,99", "1.059,99")


@pytest.mark.parametrize(
    ("delimiter", "words", "key"),
    [(";", "semicolons", '";"'), ("\x01", "Hive's control characters", '"\\u0001"')],
)
def test_other_delimiter_is_named(here, output, delimiter, words, key):
    """A header with another delimiter is named with the key that helps."""
    write(here / "t.csv", make_titles(2), delimiter=delimiter)
    with pytest.raises(ColumnsError, match=f"its header looks separated by {words}") as failure:
        score(VERSION, "t.csv", output)
    assert failure.value.hint == f"If so, write in the job file: [csv] delimiter = {key}"
    assert score(VERSION, "t.csv", output, table_format=TableFormat(CsvDialect(delimiter))).rows_scored == 2


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (str.upper, "differs only in case: 'CRITIC_RATING' for critic_rating"),
        (lambda name: f" {name}", "has blanks around the name: ' critic_rating' for critic_rating"),
        (lambda name: name.title().replace("_", ""), "did you mean: 'CriticRating' for critic_rating"),
    ],
)
def test_other_names_are_named_and_renamed(here, output, change, cause):
    """Columns with similar names are named, and renamed as the job says."""
    names = {name: change(name) for name in FEATURES}
    write(here / "t.csv", make_titles(2), [*names.values(), "title_id", "title"])
    with pytest.raises(ColumnsError) as failure:
        score(VERSION, "t.csv", output)
    assert cause in failure.value.message
    assert f'critic_rating = "{names["critic_rating"]}"' in failure.value.hint
    assert score(VERSION, "t.csv", output, table_format=TableFormat(columns=names)).rows_scored == 2


class TestBlankRows:
    def test_blank_rows_are_reported(self, here, output):
        """Blank rows are neither scored nor rejected, and the counts add up."""
        rows = [[*GOOD, "A1", "x"], [""] * 11, ["x", *GOOD[1:], "A2", ""], [""] * 11]
        (here / "t.csv").write_text(csv_text(rows, HEADER) + ",,\n")
        report = score(VERSION, "t.csv", output)
        counts = (report.rows_in, report.rows_scored, report.rows_rejected, report.rows_blank)
        assert counts == (5, 1, 1, 3)
        (source,) = report.inputs
        assert (source.rows, source.rejected, source.blank, source.lines, source.records) == (5, 1, 3, 6, 6)

    def test_blank_rows_allow_no_rejects(self, here, output):
        """The share of rejects that a run allows does not grow with its blank rows."""
        (here / "t.csv").write_text(csv_text([["x", *GOOD[1:]], *[[""] * 9] * 2000], FEATURES))
        with pytest.raises(TooManyRejectsError, match="1 of 2,001 rows were rejected, more than the 0 allowed"):
            score(VERSION, "t.csv", output)

    def test_only_blank_rows(self, here, output):
        """A file of blank rows has no titles."""
        (here / "t.csv").write_text(csv_text([[""] * 9] * 3, FEATURES))
        report = score(VERSION, "t.csv", output)
        assert (report.rows_in, report.rows_scored, report.rows_blank) == (3, 0, 3)


def test_nul_rejects_a_row(here, output):
    """A row with a NUL in any column is rejected with its cells."""
    (here / "t.csv").write_text(csv_text([[*GOOD, "x"], [*GOOD, "y"], [*GOOD, "Exam\0ple"]], [*FEATURES, "t"]))
    report = score(VERSION, "t.csv", output)
    assert (report.rows_scored, report.rows_rejected) == (2, 1)
    (reject,) = read_rejects(here / "out.csv.rejects.csv")
    assert (reject["row"], reject["reason"], reject["record"]["t"]) == (3, "a cell has a NUL character", "Exam\0ple")


def test_few_line_breaks_are_warned_about(here, output):
    """A file in which few cells have line breaks is reported with its lines and records."""
    rows = make_titles()
    rows[3][-1] = "two\nlines"
    write(here / "t.csv", rows, lineterminator="\n")
    report = score(VERSION, "t.csv", output)
    assert any("t.csv: 1 of 27 records have a line break in a cell" in warning for warning in report.warnings)
    assert (report.inputs[0].lines, report.inputs[0].records, report.inputs[0].multiline_records) == (28, 27, 1)


def test_dialect_enters_the_run_id(here, output):
    """The dialect and the renames are part of a run's identity, unless they are the default."""
    write(here / "t.csv", make_titles(2))
    formats = [TableFormat(), TableFormat(CsvDialect(encoding="UTF-8")), TableFormat(CsvDialect(escape="\\"))]
    formats.append(TableFormat(columns={"name": "title"}))
    runs = [score(VERSION, "t.csv", output, table_format=table_format).run_id for table_format in formats]
    assert runs[0] == runs[1]
    assert len(set(runs)) == 3


def test_compressed_text_in_another_dialect(here, output):
    """Text is decompressed, decoded and parsed in the dialect of the job, whatever the file's name."""
    write(here / "t.csv", make_titles(), encoding="utf-16", delimiter="\t")
    (here / "t.csv").write_bytes(gzip.compress((here / "t.csv").read_bytes()))
    report = score(VERSION, "t.csv", output, table_format=TableFormat(CsvDialect("\t", encoding="utf-16")))
    assert (report.rows_scored, asdict(report.inputs[0])["lines"]) == (26, 27)
    assert [row["title_id"] for row in read_csv(output)] == [f"A{number:03}" for number in range(1, 27)]
