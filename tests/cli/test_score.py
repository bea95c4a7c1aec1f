"""``gamesales score`` as a command: what it prints, writes and returns, and its errors."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.cli import main, progress, render
from gamesales.cli.table import format_table
from gamesales.scoring import scorer
from gamesales.stats.metrics import format_metrics
from support.runs import (
    CONTRACT,
    GOOD,
    GOOD_EARNS,
    command_line,
    csv_line,
    csv_text,
    earnings,
    gamesales,
    read_csv,
    read_rejects,
    snapshot,
)
from support.versions import DATA, FEATURES, publish_simple, simple_details, simple_graph, titles_table

HEADER = csv_text([])
# What a run over the fixture's titles prints on stderr, and in its table.
WARNING = "warning: titles outside the training range: 1 of 2; unit_price 60 to 199, in training 30 to 70\n"
OUTSIDE = [
    "1 outside the range of the training titles (flagged)",
    "",
    "column      outside  tonight    in training  likely cause",
    "unit_price        1  60 to 199  30 to 70",
    "",
]


@pytest.fixture
def folder(tmp_path, simple_registry):
    """A folder with a registry, a champion, and a file of three titles. The last title is rejected."""
    (tmp_path / "t.csv").write_text(csv_text([GOOD, csv_line(unit_price="199"), csv_line(is_action="7")]))
    return tmp_path


def kept(folder):
    """The content of a folder except the registry."""
    return {name: content for name, content in snapshot(folder).items() if not name.startswith("registry")}


class TestSummary:
    def test_summary(self, folder, cli):
        """A run prints counts, rejects, outliers and the output."""
        ran = cli("score", "t.csv", "--output", "out.csv")
        first, *rest = ran.out.splitlines()
        assert (ran.code, ran.err) == (0, WARNING)
        assert first.startswith("2 of 3 titles scored by version 1 in 0.")
        assert first.endswith(" s")
        assert rest == [
            "1 rejected, with reasons: out.csv.rejects.csv",
            *OUTSIDE,
            "written to out.csv",
        ]
        assert earnings(folder / "out.csv") == [GOOD_EARNS, GOOD_EARNS + 1390]

    def test_summary_of_clean_run(self, folder, cli):
        """A run without rejects or outliers prints two lines."""
        (folder / "t.csv").write_text(csv_text([GOOD]))
        ran = cli("score", "t.csv", "--output", "out.parquet")
        assert [line.split(" in ")[0] for line in ran.out.splitlines()] == [
            "1 of 1 title scored by version 1",
            "written to out.parquet",
        ]

    def test_dated_folder(self, folder, cli):
        """An output folder gets a partition for the date."""
        ran = cli("score", "t.csv", "--output", "predictions", "--date", "2026-11-23")
        assert ran.out.splitlines()[1:] == [
            "1 rejected, with reasons: predictions/run_date=2026-11-23/_rejects",
            *OUTSIDE,
            "written to predictions/run_date=2026-11-23",
        ]

    def test_date_is_today(self, folder, cli):
        """The default date is today in UTC."""
        before = datetime.now(UTC).date()
        assert cli("score", "t.csv", "--output", "out").code == 0
        assert (folder / "out").is_dir()
        (place,) = (folder / "out").iterdir()
        assert place.name in {f"run_date={day}" for day in (before, datetime.now(UTC).date())}

    def test_path_with_space(self, folder, cli):
        """Paths may contain spaces."""
        ran = cli("score", DATA / "new_titles.csv", "--output", "my predictions/new titles.csv")
        assert ran.code == 0
        rows = read_csv(folder / "my predictions/new titles.csv")
        shipped = read_csv(DATA / "new_titles.csv")
        assert [(row["title_id"], row["title"]) for row in shipped] == [(row["title_id"], row["title"]) for row in rows]

    def test_csv_and_parquet_inputs(self, folder, cli):
        """A run can read CSV and Parquet files together."""
        (folder / "in").mkdir()
        shutil.move(folder / "t.csv", folder / "in/t.csv")
        parquet.write_table(titles_table(5), folder / "more.parquet")
        ran = cli("score", "in", "mor*", "--output", "out.csv", "--json")
        assert [file["name"] for file in ran.document["inputs"]] == ["t.csv", "more.parquet"]
        assert (ran.document["rows_in"], ran.document["rows_scored"]) == (8, 7)

    def test_model_option(self, folder, cli, simple_registry):
        """--model chooses the version."""
        publish_simple(simple_registry, bias=1000.0)
        assert "by version 2 in" in cli("score", "t.csv", "--output", "out.csv", "--model", "2").out
        assert earnings(folder / "out.csv") == [GOOD_EARNS + 1000, GOOD_EARNS + 2390]

    def test_registry_option(self, folder, cli, monkeypatch):
        """--registry or the environment names the registry."""
        shutil.move(folder / "registry", folder / "store")
        assert cli("score", "t.csv", "--output", "out.csv").code == 4
        assert cli("score", "t.csv", "--output", "out.csv", "--registry", "store").code == 0
        monkeypatch.setenv("GAMESALES_REGISTRY", str(folder / "store"))
        assert cli("score", "t.csv", "--output", "out.csv").code == 0

    def test_workers_change_no_byte(self, folder, cli):
        """The output is the same with any number of workers."""
        cli("score", "t.csv", "--output", "one.parquet", "--workers", "1")
        cli("score", "t.csv", "--output", "two.parquet", "--workers", "7")
        assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()

    def test_max_rejects(self, folder, cli):
        """--max-rejects takes a count or a percentage."""
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "0").code == 3
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "33%").code == 3
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "34%").code == 0
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "1").code == 0

    @pytest.mark.parametrize("content", [HEADER, HEADER.strip(), HEADER.replace("\n", "\r\n")])
    def test_no_titles(self, folder, cli, content):
        """A file with only a header makes an empty result."""
        (folder / "t.csv").write_bytes(content.encode())
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert ran.code == 0
        assert ran.out.startswith("0 of 0 titles scored by version 1")
        assert read_csv(folder / "out.csv") == []


def test_output_link_stays_link(cli, simple_registry, tmp_path):
    """A run replaces the target of a link, not the link."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out.csv").symlink_to(tmp_path / "elsewhere" / "predictions.csv")
    assert cli("score", DATA / "new_titles.csv", "--output", "out.csv").code == 0
    assert (tmp_path / "out.csv").is_symlink()
    assert (tmp_path / "elsewhere" / "predictions.csv").read_text().count("\n") == 37


class TestJson:
    def test_json_document(self, folder, cli):
        """--json prints one document, the report of the run."""
        ran = cli("score", "t.csv", "--output", "out.csv", "--json", "--date", "2026-11-23")
        assert (ran.code, ran.err) == (0, WARNING)
        document = ran.document
        assert (document["rows_in"], document["rows_scored"], document["rows_rejected"]) == (3, 2, 1)
        assert document["run_date"] == "2026-11-23"
        assert (document["model"], document["model_version"]) == ("game-earnings", 1)
        assert (document["output"], document["rejects"]) == ("out.csv", "out.csv.rejects.csv")
        assert json.loads((folder / "out.csv.run.json").read_text()) == document
        assert document["outside_columns"] == [
            {
                "column": "unit_price",
                "rows": 1,
                "minimum": 60.0,
                "maximum": 199.0,
                "training_minimum": 30.0,
                "training_maximum": 70.0,
                "likely_cause": "",
            }
        ]

    @pytest.mark.parametrize(
        ("arguments", "code", "name"),
        [
            (["none.csv", "--output", "out.csv"], 3, "input_not_found"),
            (["t.csv", "--output", "out.csv", "--max-rejects", "0"], 3, "too_many_rejects"),
            (["narrow.csv", "--output", "out.csv"], 3, "columns"),
            (["t.csv", "--output", "t.csv"], 2, "usage"),
            (["t.csv"], 2, "usage"),
            (["t.csv", "--output", "out.csv", "--frobnicate"], 2, "usage"),
            (["t.csv", "--output", "out.csv", "--model", "9"], 4, "unknown_version"),
            (["t.csv", "--output", "out.csv", "--model", "@trial"], 4, "nothing_promoted"),
        ],
    )
    def test_json_error(self, folder, cli, arguments, code, name):
        """--json prints an error as one document, and as text on stderr."""
        (folder / "narrow.csv").write_text("a,b\n1,2\n")
        ran = cli("score", *arguments, "--json")
        assert code == ran.code
        assert f"error: {ran.document['error']['message']}\n" in ran.err
        assert list(ran.document) == ["error"]
        assert set(ran.document["error"]) == {"code", "message", "hint"}
        assert name == ran.document["error"]["code"]


class TestMaxOutside:
    """The share of titles outside the training range that a run may have."""

    def test_prices_in_cents(self, folder, cli):
        """Prices in cents end the run, and the message names the column, its range and the likely cause."""
        (folder / "cents.csv").write_text(csv_text([csv_line(unit_price="5999"), csv_line(unit_price="3999")]))
        ran = cli("score", "cents.csv", "--output", "out.csv", "--max-outside", "20%", "--json")
        assert (ran.code, ran.document["error"]["code"]) == (3, "too_many_outside")
        assert ran.document["error"]["message"] == (
            "2 of 2 titles (100.0%) are outside the training range, more than the 20% allowed; nothing was published. "
            "unit_price 3,999 to 5,999, in training 30 to 70 (100 times as large: cents?)"
        )
        assert ran.err.count("unit_price") == 1, "said once"
        assert not (folder / "out.csv").exists()
        assert cli("score", "cents.csv", "--output", "out.csv", "--max-outside", "100%").code == 0
        assert cli("score", "cents.csv", "--output", "out.csv", "--max-outside", "20%").code == 3

    def test_scaled_already(self, folder, cli):
        """Scaled columns are recognized by their values."""
        (folder / "scaled.csv").write_text(csv_text([csv_line(unit_price="0.8", critic_rating="0.7")]))
        ran = cli("score", "scaled.csv", "--output", "out.csv")
        assert ran.err == (
            "warning: titles outside the training range: 1 of 1; "
            "critic_rating 0.7, in training 2 to 5 (all between 0 and 1: already scaled?); "
            "unit_price 0.8, in training 30 to 70 (all between 0 and 1: already scaled?)\n"
        )

    @pytest.mark.parametrize(("limit", "code"), [("33%", 3), ("34%", 0), ("0%", 3), ("20", 2), ("-1%", 2), ("x%", 2)])
    def test_limit(self, folder, cli, limit, code):
        """The limit is a share of the scored rows."""
        rows = [GOOD, GOOD, csv_line(unit_price="199"), csv_line(is_action="7")]
        (folder / "t.csv").write_text(csv_text(rows))
        assert cli("score", "t.csv", "--output", "out.csv", "--max-outside", limit).code == code

    def test_job_file(self, folder, cli):
        """The job file has the limit too."""
        job = 'inputs = ["t.csv"]\noutput = "out.csv"\nmax_outside = {}\n'
        (folder / "job.toml").write_text(job.format('"20%"'))
        assert cli("score", "--job", "job.toml").code == 3
        assert cli("score", "--job", "job.toml", "--max-outside", "50%").code == 0
        (folder / "job.toml").write_text(job.format('"20"'))
        assert 'max_outside: expected a share such as "20%"' in cli("score", "--job", "job.toml").err


GOOD_FILE = csv_text([GOOD])
BAD_BYTES = b"caf\xe9"
INPUTS = {
    "empty": (b"", "t.csv is empty; expected a header line with column names"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "t.csv is not a CSV file in UTF-8: its header has bytes that"),
    "utf-16": (GOOD_FILE.encode("utf-16"), "t.csv looks like UTF-16, expected UTF-8"),
    "open quote": (GOOD_FILE.encode() + b'"4,', "t.csv ends inside a quoted field: a quote that opens in row 2"),
    "semicolons": (GOOD_FILE.replace(",", ";").encode(), "t.csv lacks critic_rating, is_action, is_exclusive_to_us"),
    "no header": (csv_text([GOOD], GOOD).encode(), "t.csv has duplicate columns: 0, 1"),
    "doubled": (
        csv_text([], [*FEATURES, "is_sports", "is_action"]).encode(),
        "duplicate columns: is_action, is_sports",
    ),
    "reserved": (csv_text([], [*FEATURES, "model_version"]).encode(), "model_version is a column that scoring writes"),
    "missing": (csv_text([], FEATURES[2:-1]).encode(), "t.csv lacks critic_rating, is_action, unit_price (it has "),
}
CELLS = {
    "text": ("unit_price", "cheap", "not a number"),
    "nan": ("critic_rating", "NaN", "not a number"),
    "infinity": ("unit_price", "inf", "not a finite number"),
    "too large": ("unit_price", "1e39", "not a finite number"),
    "negative price": ("unit_price", "-1", "out of range, allowed: above 0"),
    "flag 2": ("is_sequel", "2", "out of range, allowed: 0 or 1"),
    "nothing": ("is_sequel", "", "missing"),
}


class TestInputs:
    """A wrong input exits with 3 and one line, and keeps the earlier result."""

    @pytest.fixture
    def standing(self, folder, cli):
        """An earlier result of each kind."""
        for name in ("out.csv", "out.parquet", "out"):
            assert cli("score", "t.csv", "--output", name, "--date", "2026-11-23").code == 0
        return folder

    @pytest.mark.parametrize("name", INPUTS)
    def test_unusable_file(self, standing, cli, name):
        """An unusable file exits with 3 and changes nothing."""
        content, message = INPUTS[name]
        (standing / "t.csv").write_bytes(content)
        before = kept(standing)
        for out in ("out.csv", "out.parquet", "out", "new/out.csv"):
            ran = cli("score", "t.csv", "--output", out, "--date", "2026-11-23")
            assert (3, "") == (ran.code, ran.out)
            error, *_ = ran.err.splitlines()
            assert error.startswith("error: ")
            assert message in error
            assert before == kept(standing)

    @pytest.mark.parametrize("name", CELLS)
    def test_unusable_cell(self, folder, cli, name):
        """An unusable cell rejects only its row."""
        column, cell, reason = CELLS[name]
        (folder / "t.csv").write_text(csv_text([GOOD, csv_line(**{column: cell}), GOOD]))
        assert cli("score", "t.csv", "--output", "out.csv").code == 0
        (reject,) = read_rejects(folder / "out.csv.rejects.csv")
        assert (reject["row"], reject["column"], reject["value"]) == (2, column, cell)
        assert reject["reason"] == f"{column}: {reason}"
        assert earnings(folder / "out.csv") == [GOOD_EARNS] * 2

    def test_latin_1(self, folder, cli):
        """Bytes that are not UTF-8 reject only their row."""
        rows = csv_text([[*GOOD, "first"], [*GOOD, "X"], [*GOOD, "last"]], [*FEATURES, "title"])
        (folder / "t.csv").write_bytes(rows.encode().replace(b"X", BAD_BYTES))
        assert cli("score", "t.csv", "--output", "out.csv").code == 0
        (reject,) = read_rejects(folder / "out.csv.rejects.csv")
        assert (reject["row"], reject["column"], reject["value"]) == (2, "title", "caf\\xe9")
        assert [row["title"] for row in read_csv(folder / "out.csv")] == ["first", "last"]

    def test_missing_columns_of_files(self, standing, cli):
        """The error names each missing column of each file."""
        (standing / "in").mkdir()
        for number in range(4):
            (standing / f"in/{number}.csv").write_text(csv_text([], FEATURES[number:]))
        before = kept(standing)
        ran = cli("score", "in", "--output", "out.csv")
        assert ran.code == 3
        for number in range(1, 4):
            assert f"in/{number}.csv lacks {', '.join(FEATURES[:number])} (it has " in ran.err
        assert "in/0.csv" not in ran.err
        assert before == kept(standing)

    @pytest.mark.parametrize("cut", [10, 500, -1])
    def test_truncated_parquet(self, standing, cli, cut):
        """A truncated Parquet file, which may still be written, exits with 7."""
        parquet.write_table(titles_table(500), standing / "t.parquet")
        (standing / "t.parquet").write_bytes((standing / "t.parquet").read_bytes()[:cut])
        before = kept(standing)
        ran = cli("score", "t.parquet", "--output", "out.csv")
        assert ran.code == 7
        assert "error: t.parquet lacks the footer of a Parquet file: it is still written" in ran.err
        assert before == kept(standing)

    @pytest.mark.parametrize("out", ["out.csv", "out.parquet", "out"])
    def test_damaged_parquet(self, standing, cli, out):
        """A damaged Parquet file keeps the earlier result."""
        parquet.write_table(titles_table(500), standing / "t.parquet", use_dictionary=False, write_page_checksum=True)
        content = bytearray((standing / "t.parquet").read_bytes())
        content[len(content) // 3] ^= 16
        (standing / "t.parquet").write_bytes(content)
        before = kept(standing)
        ran = cli("score", "t.parquet", "--output", out, "--date", "2026-11-23")
        assert ran.code == 3
        assert "error: t.parquet is damaged after row " in ran.err
        assert before == kept(standing)

    @pytest.mark.parametrize("source", ["empty", "none.csv", "none*.parquet", "none/*.csv"])
    def test_nothing_to_score(self, standing, cli, source):
        """A source without files exits with 3."""
        (standing / "empty").mkdir()
        before = kept(standing)
        ran = cli("score", source, "--output", "out.csv")
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith(f"error: nothing to score at {source}: expected a CSV or Parquet file")
        assert before == kept(standing)

    def test_different_columns(self, standing, cli):
        """Columns that differ between files are named."""
        (standing / "u.csv").write_text(csv_text([[*GOOD, "x"]], [*FEATURES, "title"]))
        parquet.write_table(titles_table(1, title=pa.array([7])), standing / "v.parquet")
        ran = cli("score", "t.csv", "u.csv", "--output", "out.csv")
        assert (ran.code, ran.err.splitlines()[0]) == (3, "error: u.csv has title, which t.csv lacks")
        ran = cli("score", "u.csv", "v.parquet", "--output", "out.csv")
        assert (ran.code, ran.err.splitlines()[0]) == (
            3,
            "error: v.parquet: title has type int64, in u.csv it has string",
        )

    def test_too_many_rejects(self, standing, cli):
        """Too many rejects publish nothing, and the error names their file."""
        (standing / "t.csv").write_text(csv_text([["x"], GOOD, ["y"], ["z"], ["a"]]))
        before = kept(standing)
        ran = cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "2")
        assert (ran.code, ran.out) == (3, "")
        first = "; ".join(f"t.csv row {row}: expected 9 fields, found 1" for row in (1, 3, 4))
        (rejects,) = Path("out.csv.work").rglob("rejects.csv")
        assert ran.err.splitlines() == [
            f"error: 4 of 5 rows were rejected, more than the 2 allowed; nothing was published. First: {first}",
            f"       The rejects so far, with reasons: {rejects}. To allow more: --max-rejects N or N%",
        ]
        assert [reject["row"] for reject in read_rejects(rejects)] == [1, 3, 4, 5]
        assert before.items() <= kept(standing).items()
        (standing / "t.csv").write_text(GOOD_FILE)
        assert cli("score", "t.csv", "--output", "out.csv").code == 0
        assert not (standing / "out.csv.work").exists()


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["t.csv", "--output", "t.csv"], "t.csv is both input and output"),
            (["t.csv", "--output", "link.csv"], "t.csv is both input and output"),
            (["t.csv", "--output", "folder.csv"], "--output folder.csv is a folder; expected a file"),
            (
                ["t.csv", "--output", "file"],
                "--output file is a file; expected a file for a path ending in .csv, .csv.gz or .parquet, a folder",
            ),
            (["t.csv", "--output", "file/out.csv"], "file is not a folder"),
            (["t.csv", "--output", ""], "expected an --output that is a path"),
            (["t.csv", "--output", "out.csv", "--date", "tomorrow"], "--date expects YYYY-MM-DD, received 'tomorrow'"),
            (["t.csv", "--output", "out.csv", "--date", ""], "--date expects YYYY-MM-DD, received ''"),
            (["t.csv", "--output", "out.csv", "--max-rejects", "some"], "--max-rejects expects a count such as 25"),
            (["t.csv", "--output", "out.csv", "--max-rejects", ""], "--max-rejects expects a count such as 25"),
            (["t.csv", "--output", "out.csv", "--workers", "0"], "--workers expects 1 or more"),
            (["t.csv", "--output", "out.csv", "--model", "latest"], "'latest' names no version; expected 4"),
            (["t.csv"], "--output is missing, and there is no jobs/score.toml"),
            (["--output", "out.csv"], "INPUT is missing, and there is no jobs/score.toml"),
            (["t.csv", "--outptu", "out.csv"], "no option --outptu (did you mean --output?)"),
            (["t.csv", "--output", "x" * 300 + ".csv"], "File name too long"),
        ],
    )
    def test_wrong_usage(self, folder, cli, arguments, message):
        """A wrong command line exits with 2 and writes nothing."""
        (folder / "link.csv").symlink_to("t.csv")
        (folder / "folder.csv").mkdir()
        (folder / "file").touch()
        before = kept(folder)
        ran = cli("score", *arguments)
        assert (2, "") == (ran.code, ran.out)
        assert message in ran.err
        assert "Traceback" not in ran.err
        assert before == kept(folder)

    def test_no_command(self, cli):
        """gamesales without a command shows the help."""
        ran = cli()
        assert ran.code == 2
        assert "score" in ran.out + ran.err

    def test_help_and_release(self, cli):
        """--help and --version print and exit with 0."""
        assert "Predict the earnings of titles in files" in cli("score", "--help").out
        assert cli("--version").out.startswith("gamesales 0.")
        assert cli("--version").code == 0


class TestRegistry:
    def test_nothing_promoted(self, folder, cli):
        """Without a champion, the hint is the command that promotes."""
        shutil.rmtree(folder / "registry")
        from gamesales.jobs.loading import open_registry

        registry = open_registry(folder / "registry", "game-earnings")
        publish_simple(registry)
        publish_simple(registry, bias=1.0)
        before = kept(folder)
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert (ran.code, ran.out) == (4, "")
        assert ran.err.splitlines() == [
            "error: no version of game-earnings is champion in registry/; newest is 2",
            "       Promote one: gamesales promote 2",
        ]
        assert before == kept(folder)
        assert cli("promote", "2").code == 0
        assert cli("score", "t.csv", "--output", "out.csv").code == 0

    def test_no_registry(self, folder, cli):
        """A missing registry exits with 4 and is not created."""
        ran = cli("score", "t.csv", "--output", "out.csv", "--registry", "nowhere")
        words = f"error: no model game-earnings in {folder}/nowhere: there is no such folder"
        assert (ran.code, ran.err.splitlines()[0]) == (4, words)
        assert not (folder / "nowhere").exists()

    @pytest.mark.parametrize("command", ["score", "predict"])
    def test_failed_self_test(self, folder, cli, simple_registry, command):
        """A version whose golden rows do not reproduce exits with 4."""
        simple_registry.publish({"scorer.onnx": simple_graph(bias=1.0)}, simple_details(CONTRACT), "for a test")
        before = kept(folder)
        words = [f"{name}={cell}" for name, cell in zip(FEATURES, GOOD, strict=True)]
        arguments = ["t.csv", "--output", "out.csv"] if command == "score" else words
        ran = cli(command, *arguments, "--model", "2")
        assert (4, "") == (ran.code, ran.out)
        assert "error: version 2 of game-earnings fails its self-test: golden row 1: expected " in ran.err
        assert before == kept(folder)

    def test_changed_graph(self, folder, cli):
        """A changed byte of the graph exits with 4."""
        (graph,) = (folder / "registry").rglob("scorer.onnx")
        content = bytearray(graph.read_bytes())
        content[100] ^= 1
        graph.write_bytes(content)
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert ran.code == 4
        assert "scorer.onnx was changed: expected sha256 " in ran.err
        assert not (folder / "out.csv").exists()


class TestMachine:
    """Limits of the machine: file sizes, permissions, and a reader that goes away."""

    @pytest.fixture
    def big(self, folder, cli):
        """A file whose result is larger than a small disk, and an earlier result."""
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "1").code == 0
        (folder / "out.csv.rejects.csv").unlink()
        chance = random.Random(1)  # can't be compressed
        rows = [csv_line(chance.randbytes(20).hex()) for _ in range(20_000)]
        (folder / "big.csv").write_text(csv_text(rows, [*FEATURES, "title"]))
        return folder

    @pytest.mark.parametrize("target", ["out.csv", "out.parquet", "out"])
    def test_file_size_limit(self, big, target):
        """A quota, or ulimit -f, exits with 7 and keeps the earlier result."""
        before = kept(big)
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
        ran = gamesales(big, "score", "big.csv", "--output", target, first=limit)
        assert (7, "") == (ran.returncode, ran.stdout)
        assert "File too large" in ran.stderr
        assert {name: content for name, content in kept(big).items() if name != "out"} == before

    @pytest.mark.parametrize("target", ["locked/out.csv", "locked/out", "locked/new/out.csv"])
    def test_no_permission(self, folder, target):
        """A folder without write permission exits with 7."""
        (folder / "locked").mkdir(mode=0o555)
        powerless = []
        if os.geteuid() == 0:  # root may write anywhere, unless it gives that right away
            powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
            if not shutil.which("setpriv"):
                pytest.skip("needs setpriv(1), as root may write anywhere")
        command = [*powerless, sys.executable, "-m", "gamesales", "score", "t.csv", "--output", target]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        if "setpriv:" in ran.stderr:
            pytest.skip(f"may not give up rights here: {ran.stderr.strip()}")
        assert (7, "") == (ran.returncode, ran.stdout)
        assert "Permission denied" in ran.stderr
        assert "Check the disk's space and your permissions" in ran.stderr
        assert list((folder / "locked").iterdir()) == []

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("arguments", [["score", "t.csv", "--output", "out.csv"], ["show", "1", "--json"]])
    def test_reader_goes_away(self, folder, arguments, unbuffered):
        """A closed pipe, as by head, exits with 0."""
        read_end, write_end = os.pipe()
        os.close(read_end)
        command = [sys.executable, "-m", "gamesales", *arguments]
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with os.fdopen(write_end, "wb") as pipe:
            ran = subprocess.run(command, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.PIPE, check=False)
        assert (ran.returncode, ran.stderr.decode()) == (0, WARNING if arguments[0] == "score" else "")
        assert (folder / "out.csv").exists() == (arguments[0] == "score")

    def test_terminated_at_start(self, folder, cli, monkeypatch):
        """SIGTERM while the version loads exits with 143 and writes nothing."""
        before = kept(folder)
        monkeypatch.setattr(scorer.Scorer, "__init__", lambda *arguments: main._terminate(signal.SIGTERM, None))
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert (143, "") == (ran.code, ran.out)
        assert ran.err.startswith("error: interrupted; ")
        assert before == kept(folder)


class TestFaults:
    """Unexpected errors: one line, and a traceback on demand."""

    @pytest.fixture
    def break_scoring(self, folder, monkeypatch):
        def breaking(error):
            def fail(*arguments):
                raise error

            monkeypatch.setattr(scorer.Scorer, "score", fail)

        return breaking

    def test_bug(self, cli, break_scoring):
        """An unexpected error is one line with a hint."""
        break_scoring(RuntimeError("the\nend"))
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.splitlines() == [
            "error: a bug in gamesales: RuntimeError: the end",
            "       Run the command again with --traceback and report what it shows",
        ]

    def test_traceback(self, cli, break_scoring):
        """--traceback shows where a bug is."""
        break_scoring(RuntimeError("the end"))
        ran = cli("score", "t.csv", "--output", "out.csv", "--traceback")
        assert ran.code == 1
        assert "Traceback (most recent call last)" in ran.err
        assert "error: a bug in gamesales: RuntimeError: the end" in ran.err

    def test_traceback_of_input_error(self, folder, cli):
        """--traceback works for expected errors too."""
        ran = cli("score", "none.csv", "--output", "out.csv", "--traceback", "--json")
        assert ran.code == 3
        assert "Traceback (most recent call last)" in ran.err
        assert ran.document["error"]["code"] == "input_not_found"

    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            (MemoryError(), 7, "the machine is out of memory"),
            (OSError(28, "full", "out"), 7, "out: No space left on device"),
            (OSError(13, "denied"), 7, "Permission denied"),
            (OSError(5, "broken"), 7, "Input/output error"),
            (OSError(36, "long", "x"), 2, "x: File name too long"),
            (ModuleNotFoundError("no keras", name="keras"), 2, "keras is not installed; this command needs the train"),
            (OSError(2, "gone"), 1, "a bug in gamesales: FileNotFoundError"),
        ],
    )
    def test_machine_errors(self, cli, break_scoring, error, code, message):
        """Errors of the machine get their exit code and message."""
        break_scoring(error)
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert (code, "") == (ran.code, ran.out)
        assert ran.err.startswith("error: ")
        assert message in ran.err


class TestLog:
    """Progress in a log, and the layout of results."""

    def test_rows_in_log(self, capsys, monkeypatch):
        """Without a terminal, only a long run prints lines."""
        with progress.show_scoring("text") as callbacks:
            callbacks["on_plan"](5000, 2, "game-earnings/1")
            callbacks["on_rows"](1000)
            assert capsys.readouterr().err == ""
            monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
            callbacks["on_rows"](1000)
        assert capsys.readouterr().err.startswith("  2,000 of 5,000 rows after ")

    def test_epochs_in_log(self, capsys):
        """Without a terminal, about ten epochs are printed."""
        with progress.show_training() as (_, on_epoch):
            for number in range(1, 48):
                on_epoch(SimpleNamespace(number=number, total=47, loss=1 / number, validation_loss=None))
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "  epoch 4/47  loss 2.50e-01"
        assert lines[-1] == "  epoch 47/47  loss 2.13e-02"
        assert len(lines) == 12

    def test_table_alignment(self):
        """Text is aligned left and numbers right."""
        rows = [["a", "1,000", "$5", "1.00%"], ["long word", "1", "$1,250", "-"]]
        assert format_table(["what", "count", "price", "share"], rows).splitlines() == [
            "what       count   price  share",
            "a          1,000      $5  1.00%",
            "long word      1  $1,250      -",
        ]

    def test_empty_table(self):
        """A table without rows is its header."""
        assert format_table(["what", "count"], []) == "what  count"

    def test_missing_metrics(self):
        """A missing metric is a dash."""
        metrics = {"scaled_mse": 8.99e-5, "mae": 1563.2, "rmse": None, "r2": 0.99671}
        assert format_metrics(metrics) == ["8.99e-05", "$1,563", "-", "0.9967", "-"]
        header, row = render.format_metrics_table({"version 2": metrics}).splitlines()
        assert header.split() == ["scaled", "MSE", "MAE", "RMSE", "R2", "MAPE"]
        assert row.split() == ["version", "2", "8.99e-05", "$1,563", "-", "0.9967", "-"]


def test_module_runs_as_command(folder):
    """python -m gamesales and the script run the same."""
    command = command_line("score", "t.csv", "--output", "out.csv")
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, WARNING)
    assert "2 of 3 titles scored by version 1" in ran.stdout
    script = Path(sys.executable).with_name("gamesales")
    if script.exists():
        again = subprocess.run([script, "versions"], cwd=folder, capture_output=True, text=True, check=True)
        assert "champion" in again.stdout
