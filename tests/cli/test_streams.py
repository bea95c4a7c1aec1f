"""``gamesales score - --output -``: titles from standard input, predictions to standard output."""

import gzip
import io
import subprocess
import sys
import tempfile

import pytest
from pyarrow import parquet

from gamesales import read_predictions
from support.runs import GOOD, GOOD_EARNS, command_line, csv_line, csv_text, read_csv
from support.versions import titles_table

TITLES = csv_text([GOOD, csv_line(unit_price="70")])
PREDICTIONS = (
    '"predicted_earnings","outside_training_range","model_version"\n'
    f"{GOOD_EARNS:.0f},false,1\n{GOOD_EARNS + 100:.0f},false,1\n"
)


@pytest.fixture
def folder(tmp_path, simple_registry, monkeypatch):
    """A folder with a registry and a champion. Temporary files go to ``tmp``, which a test finds empty at the end."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield tmp_path
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def feed(monkeypatch):
    """Return a function that gives standard input its content."""

    def feed(content):
        data = content if isinstance(content, bytes) else content.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return feed


def test_only_rows_on_stdout(folder, cli, feed):
    """Standard output has the CSV, standard error the summary, and no file remains."""
    feed(TITLES)
    ran = cli("score", "-", "--output", "-")
    assert (ran.code, ran.out) == (0, PREDICTIONS)
    first, last = ran.err.splitlines()
    assert first.startswith("2 of 2 titles scored by version 1 in 0.")
    assert last == "written to standard output"
    assert sorted(path.name for path in folder.iterdir()) == ["registry", "tmp"]


@pytest.mark.parametrize("form", ["gzip", "parquet"])
def test_content_decides_the_format(folder, cli, feed, form):
    """Standard input may have compressed CSV or Parquet too."""
    sink = io.BytesIO()
    parquet.write_table(titles_table(2), sink)
    feed(gzip.compress(TITLES.encode()) if form == "gzip" else sink.getvalue())
    ran = cli("score", "-", "--output", "-")
    assert (ran.code, len(ran.out.splitlines())) == (0, 3)


def test_stdin_to_file(folder, cli, feed):
    """The report of a file names standard input."""
    feed(TITLES)
    assert cli("score", "-", "--output", "out.csv.gz", "--date", "2026-11-23").code == 0
    assert b'"name": "stdin.csv"' in (folder / "out.csv.gz.run.json").read_bytes()
    assert read_predictions("out.csv.gz").column("predicted_earnings").to_pylist() == [GOOD_EARNS, GOOD_EARNS + 100]


def test_rejects_on_stderr(folder, cli, feed):
    """The number of rejects and the first reasons are on standard error."""
    feed(TITLES + "broken\n" + csv_text([csv_line(is_action="7")], header=[]).removeprefix("\n"))
    ran = cli("score", "-", "--output", "-")
    assert (ran.code, ran.out) == (0, PREDICTIONS)
    assert (
        "2 rejected, with reasons: stdin.csv row 3: expected 9 fields, found 1; stdin.csv row 4: is_action: out of "
        "range, allowed: 0 or 1; to keep all of them, give --output a file\n"
    ) in ran.err


@pytest.mark.parametrize(
    ("content", "code", "error"),
    [
        ("", 3, "stdin.csv is empty"),
        ("a,b\n1,2\n", 3, "stdin.csv lacks critic_rating"),
        (csv_text([["x"], ["y"]]), 3, "2 of 2 rows were rejected, more than the 1 allowed"),
        (TITLES.replace("4.5", '"4.5'), 3, "stdin.csv"),
    ],
)
def test_failure_writes_no_row(folder, cli, feed, content, code, error):
    """A run that fails writes nothing to standard output, and names no temporary folder."""
    feed(content)
    ran = cli("score", "-", "--output", "-")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"error: {error}")
    assert str(folder / "tmp") not in ran.err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-", "--output", "-", "--json"], "--output - and --json both write to standard output"),
        (
            ["-", "--output", "out", "--from", "2026-11-01", "--to", "2026-11-02"],
            "a backfill can't read standard input",
        ),
        (["t.csv", "--output", "-", "--from", "2026-11-01", "--to", "2026-11-02"], "a backfill can't read standard in"),
    ],
)
def test_streams_that_are_taken(folder, cli, words, error):
    """Two documents do not share standard output, and two dates share no stream."""
    ran = cli("score", *words)
    assert ran.code == 2
    assert error in ran.out + ran.err


def test_required_file_is_for_folders(folder, cli, feed):
    """Standard input is complete without the file that the job requires in folders."""
    (folder / "job.toml").write_text('inputs = ["in"]\noutput = "out"\nrequire = "_SUCCESS"\n')
    feed(TITLES)
    ran = cli("score", "-", "--output", "-", "--job", "job.toml")
    assert (ran.code, ran.out) == (0, PREDICTIONS)


def test_dry_run_writes_no_row(folder, cli, feed):
    """A preview of standard input goes to standard error."""
    feed(TITLES)
    ran = cli("score", "-", "--output", "-", "--dry-run")
    assert (ran.code, ran.out) == (0, "")
    assert "2 rows in 1 file" in ran.err
    assert ran.err.endswith("to standard output\n")


def test_pipes_of_processes(folder):
    """A real process reads a pipe and writes a pipe. A reader that goes away is no error."""
    (folder / "big.csv").write_text(csv_text([GOOD] * 20_000))
    ran = subprocess.run(
        command_line("score", "-", "--output", "-"),
        cwd=folder,
        input=TITLES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, PREDICTIONS)
    with subprocess.Popen(
        command_line("score", "big.csv", "--output", "-"), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline().startswith(b'"predicted_earnings"')
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, b"")


def test_full_disk_behind_stdout(folder):
    """Output that can't be written whole is exit 7."""
    (folder / "t.csv").write_text(TITLES)
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            command_line("score", "t.csv", "--output", "-"),
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ran.returncode == 7
    assert ran.stderr.startswith(b"error: standard output can't be written: No space left on device; what was written ")


def test_file_called_dash(folder, cli):
    """A folder that is called - can still be written and read by its path."""
    (folder / "-").mkdir()
    (folder / "-" / "t.csv").write_text(TITLES)
    assert cli("score", "./-", "--output", "out.csv").code == 0
    assert len(read_csv(folder / "out.csv")) == 2
