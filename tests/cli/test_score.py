"""``gamesales score`` from the outside: what it prints, writes and returns, and what it says when it can't."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.cli import main, progress
from gamesales.cli import render as output
from gamesales.scoring import scorer
from support.runs import (
    CONTRACT,
    GOOD,
    GOOD_EARNS,
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


@pytest.fixture
def folder(tmp_path, simple_registry):
    """A folder with a registry, a champion in it, and a file of three titles, of which the last is rejected."""
    (tmp_path / "t.csv").write_text(csv_text([GOOD, csv_line(unit_price="199"), csv_line(is_action="7")]))
    return tmp_path


def kept(folder):
    """All that lies in a folder except the registry."""
    return {name: content for name, content in snapshot(folder).items() if not name.startswith("registry")}


class TestWords:
    def test_what_a_run_tells(self, folder, cli):
        ran = cli("score", "t.csv", "--output", "out.csv")
        first, *rest = ran.out.splitlines()
        assert (ran.code, ran.err) == (0, "")
        assert first.startswith("2 of 3 titles scored by version 1 in 0.")
        assert first.endswith(" s")
        assert rest == [
            "1 rejected, with reasons: out.csv.rejects.csv",
            "1 outside the range of the training titles (flagged)",
            "written to out.csv",
        ]
        assert earnings(folder / "out.csv") == [GOOD_EARNS, GOOD_EARNS + 1390]

    def test_a_run_without_anything_to_remark_on_takes_two_lines(self, folder, cli):
        (folder / "t.csv").write_text(csv_text([GOOD]))
        ran = cli("score", "t.csv", "--output", "out.parquet")
        assert [line.split(" in ")[0] for line in ran.out.splitlines()] == [
            "1 of 1 titles scored by version 1",
            "written to out.parquet",
        ]

    def test_a_folder_of_dates(self, folder, cli):
        ran = cli("score", "t.csv", "--output", "predictions", "--date", "2026-11-23")
        assert ran.out.splitlines()[1:] == [
            "1 rejected, with reasons: predictions/run_date=2026-11-23/_rejects",
            "1 outside the range of the training titles (flagged)",
            "written to predictions/run_date=2026-11-23",
        ]

    def test_the_date_is_today_unless_it_is_given(self, folder, cli):
        before = datetime.now(UTC).date()
        assert cli("score", "t.csv", "--output", "out").code == 0
        assert (folder / "out").is_dir()
        (place,) = (folder / "out").iterdir()
        assert place.name in {f"run_date={day}" for day in (before, datetime.now(UTC).date())}

    def test_the_shipped_titles_in_a_folder_with_a_space(self, folder, cli):
        ran = cli("score", DATA / "new_titles.csv", "--output", "my predictions/new titles.csv")
        assert ran.code == 0
        rows = read_csv(folder / "my predictions/new titles.csv")
        shipped = read_csv(DATA / "new_titles.csv")
        assert [(row["title_id"], row["title"]) for row in shipped] == [(row["title_id"], row["title"]) for row in rows]

    def test_many_inputs_of_both_kinds(self, folder, cli):
        (folder / "in").mkdir()
        shutil.move(folder / "t.csv", folder / "in/t.csv")
        parquet.write_table(titles_table(5), folder / "more.parquet")
        ran = cli("score", "in", "mor*", "--output", "out.csv", "--json")
        assert [one["name"] for one in ran.document["inputs"]] == ["t.csv", "more.parquet"]
        assert (ran.document["rows_in"], ran.document["rows_scored"]) == (8, 7)

    def test_any_version_can_score(self, folder, cli, simple_registry):
        publish_simple(simple_registry, bias=1000.0)
        assert "by version 2 in" in cli("score", "t.csv", "--output", "out.csv", "--model", "2").out
        assert earnings(folder / "out.csv") == [GOOD_EARNS + 1000, GOOD_EARNS + 2390]

    def test_the_registry_may_be_elsewhere(self, folder, cli, monkeypatch):
        shutil.move(folder / "registry", folder / "store")
        assert cli("score", "t.csv", "--output", "out.csv").code == 4
        assert cli("score", "t.csv", "--output", "out.csv", "--registry", "store").code == 0
        monkeypatch.setenv("GAMESALES_REGISTRY", str(folder / "store"))
        assert cli("score", "t.csv", "--output", "out.csv").code == 0

    def test_workers_do_not_change_a_byte(self, folder, cli):
        cli("score", "t.csv", "--output", "one.parquet", "--workers", "1")
        cli("score", "t.csv", "--output", "two.parquet", "--workers", "7")
        assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()

    def test_more_rejects_can_be_allowed_or_none(self, folder, cli):
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "0").code == 3
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "33%").code == 3
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "34%").code == 0
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "1").code == 0

    @pytest.mark.parametrize("content", [HEADER, HEADER.strip(), HEADER.replace("\n", "\r\n")])
    def test_no_titles_are_no_failure(self, folder, cli, content):
        (folder / "t.csv").write_bytes(content.encode())
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert ran.code == 0
        assert ran.out.startswith("0 of 0 titles scored by version 1")
        assert read_csv(folder / "out.csv") == []


def test_an_output_that_is_a_link_stays_one(cli, simple_registry, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out.csv").symlink_to(tmp_path / "elsewhere" / "predictions.csv")
    assert cli("score", DATA / "new_titles.csv", "--output", "out.csv").code == 0
    assert (tmp_path / "out.csv").is_symlink()
    assert (tmp_path / "elsewhere" / "predictions.csv").read_text().count("\n") == 37


class TestJson:
    def test_one_document_and_nothing_else(self, folder, cli):
        ran = cli("score", "t.csv", "--output", "out.csv", "--json", "--date", "2026-11-23")
        assert (ran.code, ran.err) == (0, "")
        document = ran.document
        assert (document["rows_in"], document["rows_scored"], document["rows_rejected"]) == (3, 2, 1)
        assert document["run_date"] == "2026-11-23"
        assert (document["model"], document["model_version"]) == ("game-earnings", 1)
        assert (document["output"], document["rejects"]) == ("out.csv", "out.csv.rejects.csv")
        assert json.loads((folder / "out.csv.run.json").read_text()) == document

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
    def test_a_failure_is_one_document_too(self, folder, cli, arguments, code, name):
        (folder / "narrow.csv").write_text("a,b\n1,2\n")
        ran = cli("score", *arguments, "--json")
        assert (code, "") == (ran.code, ran.err)
        assert list(ran.document) == ["error"]
        assert set(ran.document["error"]) == {"code", "message", "hint"}
        assert name == ran.document["error"]["code"]


GOOD_FILE = csv_text([GOOD])
BAD_BYTES = b"caf\xe9"
INPUTS = {
    "empty": (b"", "t.csv is empty; expected a header line with column names"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "t.csv is not a CSV file in UTF-8: it holds other bytes than text"),
    "utf-16": (GOOD_FILE.encode("utf-16"), "t.csv is not a CSV file in UTF-8: it holds other bytes than text"),
    "nul": (GOOD_FILE.encode() + b"1,\0\n", "t.csv is not a CSV file in UTF-8: it holds other bytes than text"),
    "open quote": (GOOD_FILE.encode() + b'"4,', "t.csv ends inside a quoted field: a quote that opens in row 2"),
    "semicolons": (GOOD_FILE.replace(",", ";").encode(), "t.csv lacks critic_rating, is_action, is_exclusive_to_us"),
    "no header": (csv_text([GOOD], GOOD).encode(), "t.csv has columns twice: 0, 1"),
    "doubled": (csv_text([], [*FEATURES, "is_sports", "is_action"]).encode(), "columns twice: is_action, is_sports"),
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
    """What is wrong with an input: exit 3, one line, and nothing written beside the earlier result."""

    @pytest.fixture
    def standing(self, folder, cli):
        """An earlier result of each kind."""
        for name in ("out.csv", "out.parquet", "out"):
            assert cli("score", "t.csv", "--output", name, "--date", "2026-11-23").code == 0
        return folder

    @pytest.mark.parametrize("name", INPUTS)
    @pytest.mark.parametrize("out", ["out.csv", "out.parquet", "out", "new/out.csv"])
    def test_a_file_that_can_not_be_used(self, standing, cli, name, out):
        content, said = INPUTS[name]
        (standing / "t.csv").write_bytes(content)
        before = kept(standing)
        ran = cli("score", "t.csv", "--output", out, "--date", "2026-11-23")
        assert (3, "") == (ran.code, ran.out)
        error, *_ = ran.err.splitlines()
        assert error.startswith("error: ")
        assert said in error
        assert before == kept(standing)

    @pytest.mark.parametrize("name", CELLS)
    def test_a_cell_that_can_not_be_used_costs_its_row_and_no_other(self, folder, cli, name):
        column, cell, reason = CELLS[name]
        (folder / "t.csv").write_text(csv_text([GOOD, csv_line(**{column: cell}), GOOD]))
        assert cli("score", "t.csv", "--output", "out.csv").code == 0
        (reject,) = read_rejects(folder / "out.csv.rejects.csv")
        assert (reject["row"], reject["column"], reject["value"]) == (2, column, cell)
        assert reject["reason"] == f"{column}: {reason}"
        assert earnings(folder / "out.csv") == [GOOD_EARNS] * 2

    def test_latin_1_costs_its_rows_and_no_other(self, folder, cli):
        rows = csv_text([[*GOOD, "first"], [*GOOD, "X"], [*GOOD, "last"]], [*FEATURES, "title"])
        (folder / "t.csv").write_bytes(rows.encode().replace(b"X", BAD_BYTES))
        assert cli("score", "t.csv", "--output", "out.csv").code == 0
        (reject,) = read_rejects(folder / "out.csv.rejects.csv")
        assert (reject["row"], reject["column"], reject["value"]) == (2, "title", "caf\\xe9")
        assert [row["title"] for row in read_csv(folder / "out.csv")] == ["first", "last"]

    def test_every_column_of_every_file_is_named_before_anything_is_written(self, standing, cli):
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
    def test_a_truncated_parquet_file(self, standing, cli, cut):
        parquet.write_table(titles_table(500), standing / "t.parquet")
        (standing / "t.parquet").write_bytes((standing / "t.parquet").read_bytes()[:cut])
        before = kept(standing)
        ran = cli("score", "t.parquet", "--output", "out.csv")
        assert ran.code == 3
        assert "error: t.parquet is not a Parquet file, or damaged: " in ran.err
        assert before == kept(standing)

    @pytest.mark.parametrize("out", ["out.csv", "out.parquet", "out"])
    def test_a_parquet_file_that_is_damaged_in_the_middle(self, standing, cli, out):
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
        (standing / "empty").mkdir()
        (standing / "empty/notes.txt").touch()
        before = kept(standing)
        ran = cli("score", source, "--output", "out.csv")
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith(f"error: nothing to score at {source}: expected a .csv, .csv.gz or .parquet file")
        assert before == kept(standing)

    def test_columns_that_differ_between_files(self, standing, cli):
        (standing / "u.csv").write_text(csv_text([[*GOOD, "x"]], [*FEATURES, "title"]))
        parquet.write_table(titles_table(1, title=pa.array([7])), standing / "v.parquet")
        ran = cli("score", "t.csv", "u.csv", "--output", "out.csv")
        assert (ran.code, ran.err.splitlines()[0]) == (3, "error: u.csv has title, which t.csv lacks")
        ran = cli("score", "u.csv", "v.parquet", "--output", "out.csv")
        assert (ran.code, ran.err.splitlines()[0]) == (
            3,
            "error: v.parquet: title has type int64, in u.csv it has string",
        )

    def test_too_many_rejects_are_told_with_where_they_lie(self, standing, cli):
        (standing / "t.csv").write_text(csv_text([["x"], GOOD, ["y"], ["z"], ["a"]]))
        before = kept(standing)
        ran = cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "2")
        assert (ran.code, ran.out) == (3, "")
        first = "; ".join(f"t.csv row {row}: expected 9 fields, found 1" for row in (1, 3, 4))
        assert ran.err.splitlines() == [
            f"error: 4 of 5 rows were rejected, more than the 2 allowed; nothing was published. First: {first}",
            "       Those found so far, with reasons: out.csv.work/rejects.csv. To allow more: --max-rejects N or N%",
        ]
        assert [one["row"] for one in read_rejects(standing / "out.csv.work/rejects.csv")] == [1, 3, 4, 5]
        assert before.items() <= kept(standing).items()
        (standing / "t.csv").write_text(GOOD_FILE)
        assert cli("score", "t.csv", "--output", "out.csv").code == 0
        assert not (standing / "out.csv.work").exists()


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["t.csv", "--output", "t.csv"], "t.csv is both input and output"),
            (["t.csv", "--output", "link.csv"], "t.csv is both input and output"),
            (["t.csv", "--output", "folder.csv"], "--output folder.csv is a folder; .csv and .parquet mean one file"),
            (["t.csv", "--output", "file"], "--output file is a file; .csv and .parquet mean one file"),
            (["t.csv", "--output", "file/out.csv"], "file is not a folder"),
            (["t.csv", "--output", ""], "expected an --output that is a path"),
            (["t.csv", "--output", "out.csv", "--date", "tomorrow"], "--date expects YYYY-MM-DD, received 'tomorrow'"),
            (["t.csv", "--output", "out.csv", "--date", ""], "--date expects YYYY-MM-DD, received ''"),
            (["t.csv", "--output", "out.csv", "--max-rejects", "some"], "--max-rejects expects a count such as 25"),
            (["t.csv", "--output", "out.csv", "--max-rejects", ""], "--max-rejects expects a count such as 25"),
            (["t.csv", "--output", "out.csv", "--workers", "0"], "Invalid value for '--workers'"),
            (["t.csv", "--output", "out.csv", "--model", "latest"], "'latest' names no version; expected 4"),
            (["t.csv"], "--output is not given, and there is no jobs/score.toml"),
            (["--output", "out.csv"], "INPUT is not given, and there is no jobs/score.toml"),
            (["t.csv", "--outptu", "out.csv"], "No such option: --outptu"),
            (["t.csv", "--output", "x" * 300 + ".csv"], "File name too long"),
        ],
    )
    def test_what_is_wrong_with_the_command_is_said(self, folder, cli, arguments, said):
        (folder / "link.csv").symlink_to("t.csv")
        (folder / "folder.csv").mkdir()
        (folder / "file").touch()
        before = kept(folder)
        ran = cli("score", *arguments)
        assert (2, "") == (ran.code, ran.out)
        assert said in ran.err
        assert "Traceback" not in ran.err
        assert before == kept(folder)

    def test_no_command_shows_the_help(self, cli):
        ran = cli()
        assert ran.code == 2
        assert "score" in ran.out + ran.err

    def test_help_and_release(self, cli):
        assert "Predict what the titles in files will earn" in cli("score", "--help").out
        assert cli("--version").out.startswith("gamesales 0.")
        assert cli("--version").code == 0


class TestRegistry:
    def test_nothing_promoted_says_what_to_type(self, folder, cli):
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

    def test_no_registry_at_all(self, folder, cli):
        ran = cli("score", "t.csv", "--output", "out.csv", "--registry", "nowhere")
        assert (ran.code, ran.err.splitlines()[0]) == (4, "error: no model game-earnings in nowhere/")
        assert not (folder / "nowhere").exists()

    @pytest.mark.parametrize("command", ["score", "predict"])
    def test_golden_rows_that_do_not_reproduce(self, folder, cli, simple_registry, command):
        """As on a machine whose runtime computes otherwise; no promotion would have let it through."""
        simple_registry.publish({"scorer.onnx": simple_graph(bias=1.0)}, simple_details(CONTRACT), "for a test")
        before = kept(folder)
        words = [f"{name}={cell}" for name, cell in zip(FEATURES, GOOD, strict=True)]
        arguments = ["t.csv", "--output", "out.csv"] if command == "score" else words
        ran = cli(command, *arguments, "--model", "2")
        assert (4, "") == (ran.code, ran.out)
        assert "error: version 2 of game-earnings fails its self-test: golden row 1 should earn " in ran.err
        assert before == kept(folder)

    def test_a_changed_byte_of_the_graph_is_noticed(self, folder, cli):
        (graph,) = (folder / "registry").rglob("scorer.onnx")
        content = bytearray(graph.read_bytes())
        content[100] ^= 1
        graph.write_bytes(content)
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert ran.code == 4
        assert "scorer.onnx was changed: expected sha256 " in ran.err
        assert not (folder / "out.csv").exists()


class TestMachine:
    """A file that may not grow, a place that may not be written, a reader that goes away."""

    @pytest.fixture
    def big(self, folder, cli):
        """A file that scores to more than a small disk holds, beside an earlier result."""
        assert cli("score", "t.csv", "--output", "out.csv", "--max-rejects", "1").code == 0
        (folder / "out.csv.rejects.csv").unlink()
        chance = random.Random(1)  # what can't be compressed
        rows = [csv_line(chance.randbytes(20).hex()) for _ in range(20_000)]
        (folder / "big.csv").write_text(csv_text(rows, [*FEATURES, "title"]))
        return folder

    @pytest.mark.parametrize("target", ["out.csv", "out"])
    def test_a_file_that_may_not_grow(self, big, target):
        """A quota, or ulimit -f."""
        before = kept(big)
        limit = 100_000
        ran = gamesales(
            big,
            "score",
            "big.csv",
            "--output",
            target,
            env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        assert (7, "") == (ran.returncode, ran.stdout)
        assert "File too large" in ran.stderr
        assert {name: content for name, content in kept(big).items() if name != "out"} == before

    @pytest.mark.parametrize("target", ["locked/out.csv", "locked/out", "locked/new/out.csv"])
    def test_a_place_that_may_not_be_written(self, folder, target):
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
    def test_a_reader_that_goes_away_is_no_failure(self, folder, arguments, unbuffered):
        """As head does, whenever the loss of it is noticed."""
        read_end, write_end = os.pipe()
        os.close(read_end)
        command = [sys.executable, "-m", "gamesales", *arguments]
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with os.fdopen(write_end, "wb") as pipe:
            ran = subprocess.run(command, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.PIPE, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert (folder / "out.csv").exists() == (arguments[0] == "score")

    def test_an_interrupted_start_of_a_run_writes_nothing(self, folder, cli, monkeypatch):
        """SIGTERM while the version is loaded."""
        before = kept(folder)
        monkeypatch.setattr(scorer.Scorer, "__init__", lambda *arguments: main._terminate(signal.SIGTERM, None))
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert (143, "") == (ran.code, ran.out)
        assert ran.err.startswith("error: interrupted; ")
        assert before == kept(folder)


class TestFaults:
    """What nobody expected: told in one line all the same, with all of it on demand."""

    @pytest.fixture
    def break_scoring(self, folder, monkeypatch):
        def breaking(error):
            def fail(*arguments):
                raise error

            monkeypatch.setattr(scorer.Scorer, "score", fail)

        return breaking

    def test_a_fault_of_ours_says_how_to_report_it(self, cli, break_scoring):
        break_scoring(RuntimeError("the\nend"))
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.splitlines() == [
            "error: a fault of gamesales: RuntimeError: the end",
            "       Run it again with --traceback and report what it shows",
        ]

    def test_traceback_shows_where(self, cli, break_scoring):
        break_scoring(RuntimeError("the end"))
        ran = cli("score", "t.csv", "--output", "out.csv", "--traceback")
        assert ran.code == 1
        assert "Traceback (most recent call last)" in ran.err
        assert "error: a fault of gamesales: RuntimeError: the end" in ran.err

    def test_traceback_of_a_wrong_input(self, folder, cli):
        ran = cli("score", "none.csv", "--output", "out.csv", "--traceback", "--json")
        assert ran.code == 3
        assert "Traceback (most recent call last)" in ran.err
        assert ran.document["error"]["code"] == "input_not_found"

    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (MemoryError(), 7, "the machine has no memory left for this"),
            (OSError(28, "full", "out"), 7, "out: No space left on device"),
            (OSError(13, "denied"), 7, "Permission denied"),
            (OSError(5, "broken"), 7, "Input/output error"),
            (OSError(36, "long", "x"), 2, "x: File name too long"),
            (ModuleNotFoundError("no keras", name="keras"), 2, "keras is not installed; this command needs the train"),
            (OSError(2, "gone"), 1, "a fault of gamesales: FileNotFoundError"),
        ],
    )
    def test_what_the_machine_refuses_is_told_by_what_it_is(self, cli, break_scoring, error, code, said):
        break_scoring(error)
        ran = cli("score", "t.csv", "--output", "out.csv")
        assert (code, "") == (ran.code, ran.out)
        assert ran.err.startswith("error: ")
        assert said in ran.err


class TestTerminal:
    """What a person sees while it runs, and how results are laid out."""

    @pytest.fixture
    def shown(self, monkeypatch, capsys):
        """Let a test look at a terminal, from when it calls this; what it shows is returned at the end."""

        @contextmanager
        def look(show):
            monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
            monkeypatch.setenv("FORCE_COLOR", "1")
            seen = SimpleNamespace(text="")
            with show() as tell:
                yield seen, tell
            seen.text = capsys.readouterr().err

        return look

    def test_rows_are_counted_on_a_terminal(self, shown):
        with shown(lambda: progress.scoring("text")) as (seen, told):
            told.on_plan(5000, 2, "game-earnings/1")
            told.on_rows(1000)
            told.on_rows(234)
        assert "1,234 of 5,000 rows" in seen.text

    def test_a_short_run_says_nothing_elsewhere_and_a_long_one_a_line_now_and_then(self, capsys, monkeypatch):
        with progress.scoring("text") as told:
            told.on_plan(5000, 2, "game-earnings/1")
            told.on_rows(1000)
            assert capsys.readouterr().err == ""
            monkeypatch.setattr(progress, "_SECONDS", 0.0)
            told.on_rows(1000)
        assert capsys.readouterr().err.startswith("  2,000 of 5,000 rows after ")

    def test_epochs_are_a_bar_on_a_terminal(self, shown):
        with shown(progress.epochs) as (seen, on_epoch):
            on_epoch(SimpleNamespace(number=3, of=4, loss=0.5, validation_loss=0.25))
        assert "━" in seen.text
        assert "3/4" in seen.text
        assert "loss 5.00e-01  validation 2.50e-01" in seen.text

    def test_epochs_are_about_ten_lines_elsewhere(self, capsys):
        with progress.epochs() as on_epoch:
            for number in range(1, 48):
                on_epoch(SimpleNamespace(number=number, of=47, loss=1 / number, validation_loss=None))
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "  epoch 4/47  loss 2.50e-01"
        assert lines[-1] == "  epoch 47/47  loss 2.13e-02"
        assert len(lines) == 12

    def test_tables_align_words_left_and_numbers_right(self):
        rows = [["a", "1,000", "$5", "1.00 %"], ["long word", "1", "$1,250", "-"]]
        assert output.table(["what", "count", "price", "share"], rows).splitlines() == [
            "what       count   price   share",
            "a          1,000      $5  1.00 %",
            "long word      1  $1,250       -",
        ]

    def test_a_table_without_rows_is_its_header(self):
        assert output.table(["what", "count"], []) == "what  count"

    def test_metrics_that_are_unknown_are_a_dash(self):
        metrics = {"scaled_mse": 8.99e-5, "mae": 1563.2, "rmse": None, "r2": 0.99671}
        assert output.metric_cells(metrics) == ["8.99e-05", "$1,563", "-", "0.9967", "-"]
        header, row = output.metrics_table({"version 2": metrics}).splitlines()
        assert header.split() == ["scaled", "MSE", "MAE", "RMSE", "R2", "MAPE"]
        assert row.split() == ["version", "2", "8.99e-05", "$1,563", "-", "0.9967", "-"]


def test_the_module_runs_as_the_command_does(folder):
    ran = gamesales(folder, "score", "t.csv", "--output", "out.csv")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "2 of 3 titles scored by version 1" in ran.stdout
    script = Path(sys.executable).with_name("gamesales")
    if script.exists():
        again = subprocess.run([script, "versions"], cwd=folder, capture_output=True, text=True, check=True)
        assert "champion" in again.stdout
