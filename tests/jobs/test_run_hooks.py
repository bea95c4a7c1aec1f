"""The hooks of a scoring job: programs that start after a run, read its document, and never change its exit code."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from gamesales.errors import collect_warnings
from gamesales.jobs.run_hooks import run_hook
from gamesales.jobs.score import load_score_job, score
from support.receiver import run_receiver
from support.runs import put_column
from support.versions import (
    ROOT,
    publish_profiled,
    titles_table,
)

DAYS = ("2026-11-22", "2026-11-23")
# Adds the document to a file, and prints.
KEEP = ["sh", "-c", 'cat >>"$0"; echo >>"$0"; echo "kept it"']


@pytest.fixture
def store(tmp_path, simple_registry, cli):
    """A folder with a registry, titles of two dates, and a function that writes the job with its hooks."""
    for day in DAYS:
        (tmp_path / day).mkdir()
        parquet.write_table(titles_table(20, title_id=[f"T{row}" for row in range(20)]), tmp_path / day / "a.parquet")
    return tmp_path


@pytest.fixture
def run(store, cli):
    """Write a job with the hooks that keep their documents, score, and return the run and the documents by hook."""

    def command(*words, job="", **hooks):
        hooks = {name: [*KEEP, f"{name}.jsonl"] for name in ("on_success", "on_failure")} | hooks
        keys = [f"{name} = {json.dumps(value)}" for name, value in hooks.items()]
        text = "\n".join(['inputs = ["{date}"]', 'output = "out"', *keys, job])
        (store / "job.toml").write_text(text, encoding="utf-8")
        ran = cli("score", "--job", "job.toml", *words)
        return ran, {name: read_lines(store / f"{name}.jsonl") for name in ("on_success", "on_failure")}

    return command


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


class TestWhen:
    def test_success(self, run):
        """After exit code 0, on_success reads the document of score --json, with exit code and message."""
        ran, read = run("--date", DAYS[0], "--json")
        (document,) = read["on_success"]
        assert (0, []) == (ran.code, read["on_failure"])
        assert ran.document.items() <= document.items()
        assert (0, "20 of 20 titles scored by version 1") == (document["exit_code"], document["message"])

    def test_backfill(self, run):
        """A hook runs once for each date, and again for a date that is already done."""
        _, read = run("--from", DAYS[0], "--to", DAYS[1])
        assert [*DAYS] == [document["run_date"] for document in read["on_success"]]
        _, read = run("--date", DAYS[1])
        assert [False, False, True] == [document["already_done"] for document in read["on_success"]]

    def test_failure(self, run):
        """After a failure, on_failure reads the error, and where the result would have been."""
        ran, read = run("--date", "2026-11-30", "--json")
        (document,) = read["on_failure"]
        assert (3, []) == (ran.code, read["on_success"])
        assert ran.document["error"] == document["error"]
        assert document["error"]["message"] == document["message"]
        keys = ("exit_code", "model", "run_date", "output")
        assert [3, "game-earnings", "2026-11-30", "out"] == [document[key] for key in keys]

    def test_no_permission(self, run, store):
        """The exit code in the document and in the metrics is the exit code of the process, also for system errors."""
        shutil.rmtree(store / "registry")
        (store / "registry").write_text("")
        ran, read = run("--date", DAYS[0], "--metrics-file", "games.prom")
        assert ran.code == read["on_failure"][0]["exit_code"] > 0
        assert f"}} {ran.code}\n" in (store / "games.prom").read_text(encoding="utf-8")

    def test_metrics_file_fails(self, run):
        """A metrics file that can't be written is a failure, too."""
        ran, read = run("--date", DAYS[0], "--metrics-file", "none/games.prom")
        assert ran.code == read["on_failure"][0]["exit_code"] == 2

    @pytest.mark.parametrize(("action", "code"), [("warn", 0), ("fail", 6), ("withhold", 8)])
    def test_drift(self, store, run, simple_registry, action, code):
        """Exit codes 6 and 8 are failures with the report of the run. A release is a success."""
        publish_profiled(simple_registry)
        titles = put_column(titles_table(500, seed=9), "unit_price", np.full(500, 59.99))
        parquet.write_table(titles, store / DAYS[0] / "a.parquet")
        ran, read = run("--date", DAYS[0], "--on-drift", action)
        (document,) = read["on_failure" if code else "on_success"]
        assert (code, code, code == 8) == (ran.code, document["exit_code"], document["is_withheld"])
        assert ("titles have drifted: average unit_price" in document["message"]) == (code > 0)
        if code == 8:
            ran, read = run("--release", DAYS[0], "--reason", "a sale")
            assert (0, "a sale") == (ran.code, read["on_success"][0]["release"]["reason"])

    def test_dry_run(self, run):
        """A dry run starts no hook."""
        assert {"on_success": [], "on_failure": []} == run("--date", DAYS[0], "--dry-run")[1]

    def test_interrupted(self, store):
        """A run that is interrupted starts no hook."""
        (store / "job.toml").write_text(
            f'inputs = ["{{date}}"]\noutput = "out"\non_failure = {json.dumps([*KEEP, "kept.jsonl"])}\n'
        )

        def interrupt(*_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            score(load_score_job(store / "job.toml"), "registry", [date(2026, 11, 22)], on_plan=interrupt)
        assert not (store / "kept.jsonl").exists()


class TestHow:
    @pytest.fixture
    def hook(self, tmp_path, monkeypatch):
        """Run a hook; return the lines that it printed, and the warnings."""
        monkeypatch.chdir(tmp_path)

        def start(*command, document=None, timeout=10):
            lines = []
            with collect_warnings() as warnings:
                run_hook("on_success", command, document or {}, timeout, lines.append)
            return lines, warnings

        return start

    def test_output_on_stderr(self, run):
        """What a hook prints is on stderr with its name. Stdout has the result of the command only."""
        ran, _ = run("--date", DAYS[0], "--json")
        assert "on_success: kept it\n" in ran.err
        assert ran.document["rows_scored"] == 20

    def test_output_as_json(self, run):
        """With --log-format json, a line of a hook is an event."""
        ran, _ = run("--date", DAYS[0], "--log-format", "json")
        events = [json.loads(line) for line in ran.err.splitlines()]
        assert ["on_success: kept it"] == [event["line"] for event in events if event["event"] == "hook"]

    @pytest.mark.parametrize(
        ("command", "warning"),
        [
            (["sh", "-c", "exit 3"], "on_success ended with exit code 3: sh"),
            (["none-such"], "on_success can't start 'none-such': No such file or directory"),
            (["/etc"], "on_success can't start '/etc': Permission denied"),
            (["sh", "-c", "kill -9 $$"], "on_success ended with exit code -9: sh"),
        ],
    )
    def test_failed_hook(self, run, command, warning):
        """The failure of a hook is a warning. The run keeps its exit code."""
        ran, _ = run("--date", DAYS[0], on_success=command)
        assert 0 == ran.code
        assert f"warning: {warning}" in ran.err

    def test_failed_hook_after_failure(self, run):
        """The failure of a hook for failures does not hide the failure."""
        ran, _ = run("--date", "2026-11-30", on_failure=["false"])
        assert 3 == ran.code
        assert "warning: on_failure ended with exit code 1: false" in ran.err

    def test_no_shell(self, hook):
        """Arguments reach the program as they are."""
        words = ["$HOME", "a  b", "*", ";", "'", "é", ""]
        lines, warnings = hook("printf", "%s|", *words)
        assert (["on_success: $HOME|a  b|*|;|'|é||"], []) == (lines, warnings)

    def test_null_character(self, hook):
        """An argument that no program can have is a warning."""
        assert "on_success can't start 'true': embedded null byte" in hook("true", "a\0b")[1]

    def test_timeout(self, hook):
        """A hook that takes too long is killed, with the programs that it started."""
        started = time.monotonic()
        lines, warnings = hook("sh", "-c", "sleep 60 & echo $!; wait", timeout=0.3)
        assert time.monotonic() - started < 20
        assert ["on_success was killed, because it did not end within 0.3 s: sh"] == warnings
        assert is_gone(int(lines[0].rpartition(" ")[2]))

    def test_background_program(self, hook):
        """A program that a hook leaves behind with its output is not awaited."""
        started = time.monotonic()
        lines, warnings = hook("sh", "-c", "sleep 60 & echo $!")
        assert time.monotonic() - started < 20
        assert [] == warnings
        os.kill(int(lines[0].rpartition(" ")[2]), signal.SIGKILL)

    def test_hook_that_does_not_read(self, hook):
        """A hook need not read a document, however long."""
        assert ([], []) == hook("true", document={"text": "x" * 1_000_000})

    def test_long_document(self, hook):
        """A hook can read a document of any length, while it prints as much."""
        document = {"text": "é" * 1_000_000}
        lines, warnings = hook("cat", document=document)
        text = "".join(line.removeprefix("on_success: ") for line in lines)
        assert [] == warnings
        assert abs(len(text) - len(json.dumps(document, ensure_ascii=False))) < 1000  # a cut may divide a letter

    def test_odd_output(self, hook):
        """Output that is not UTF-8 or has no last line break is shown as far as possible."""
        assert ["on_success: a\ufffd", "on_success: b"] == hook("printf", r"a\377\r\nb")[0]

    def test_endless_output(self, hook):
        """Endless output ends with the timeout."""
        lines, warnings = hook("yes", timeout=0.2)
        assert {"on_success: y"} >= set(lines[:-1])
        assert len(warnings) == 1


def is_gone(pid):
    """Return whether a process ends within some seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


class TestExamples:
    """The hooks of docs/guides/nightly.md, against a server on the loopback."""

    def test_slack(self, run, tmp_path):
        """post_to_slack.py sends the message and the hint of a failure."""
        with run_receiver() as receiver:
            (tmp_path / "url").write_text(f"{receiver.url}/services/T0\n", encoding="utf-8")
            command = [sys.executable, str(ROOT / "jobs/nightly/post_to_slack.py"), "url"]
            ran, _ = run("--date", "2026-11-30", on_failure=command)
            assert 3 == ran.code
            assert "warning: on_failure" not in ran.err
        ((path, kind, body),) = receiver.requests
        assert ("/services/T0", "application/json") == (path, kind)
        text = json.loads(body)["text"]
        assert text.startswith("game-earnings on 2026-11-30: ")
        assert "(exit code 3)" in text

    def test_slack_refuses(self, run, tmp_path):
        """An answer that is an error is a warning."""
        with run_receiver(status=403) as receiver:
            (tmp_path / "url").write_text(receiver.url, encoding="utf-8")
            command = [sys.executable, str(ROOT / "jobs/nightly/post_to_slack.py"), "url"]
            ran, _ = run("--date", DAYS[0], on_success=command)
        assert 0 == ran.code
        assert "warning: on_success ended with exit code 1" in ran.err

    def test_webhook(self, run, tmp_path):
        """curl posts the document to a URL that is in a file of its own."""
        if shutil.which("curl") is None:
            pytest.skip("needs curl")
        page = (ROOT / "docs/guides/nightly.md").read_text(encoding="utf-8")
        (line,) = [line.strip() for line in page.splitlines() if line.strip().startswith('on_success = ["curl"')]
        command = json.loads(line.partition(" = ")[2])
        with run_receiver() as receiver:
            (tmp_path / "webhook").write_text(f'url = "{receiver.url}/hook"\n', encoding="utf-8")
            command = ["webhook" if word == "/etc/gamesales/webhook" else word for word in command]
            ran, _ = run("--date", DAYS[0], on_success=command)
        ((path, kind, body),) = receiver.requests
        assert (0, "/hook", "application/json") == (ran.code, path, kind)
        assert 20 == json.loads(body)["rows_scored"]


def test_process_ends_after_a_stuck_hook(store):
    """The process ends at once and with its own exit code, although a program of the hook keeps the output open."""
    (store / "job.toml").write_text(
        'inputs = ["{date}"]\noutput = "out"\non_success = ["sh", "-c", "setsid sleep 30 & echo $!; sleep 60"]\n'
        "hook_timeout = 1\n"
    )
    command = [sys.executable, "-m", "gamesales", "score", "--job", "job.toml", "--date", DAYS[0]]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=store, env=environment, capture_output=True, text=True, timeout=25, check=False)
    os.kill(int(done.stderr.partition("on_success: ")[2].split()[0]), signal.SIGKILL)
    assert 0 == done.returncode, done.stderr
    assert "was killed, because it did not end within 1 s" in done.stderr
