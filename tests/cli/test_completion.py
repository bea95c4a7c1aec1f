"""Completions of commands, options, versions, aliases and choices, as bash, zsh and fish ask for them."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from support.versions import ROOT, publish_simple

ANSWERS = [
    ("gamesales ver", ["versions", "verify"]),
    ("gamesales alias ", ["set", "delete", "list"]),
    ("gamesales versions --so", ["--sort"]),
    ("gamesales versions --sort m", ["mae", "mape"]),
    ("gamesales score --on-drift ", ["warn", "fail", "withhold"]),
    ("gamesales show ", ["champion", "3", "2", "1"]),
    ("gamesales show ch", ["champion"]),
    ("gamesales compare 1 ", ["champion", "3", "2", "1"]),
    ("gamesales promote 3 --alias c", ["champion"]),
    ("gamesales show --registry elsewhere ", []),
    ("gamesales show --registry s3://bucket/registry ", []),
    ("gamesales score --output pre", []),
]


@pytest.fixture
def registry(simple_registry):
    publish_simple(simple_registry, 1.0)
    publish_simple(simple_registry, 2.0)
    return simple_registry


@pytest.mark.parametrize(("line", "expected"), ANSWERS, ids=[line for line, _ in ANSWERS])
def test_answers(registry, cli, monkeypatch, line, expected):
    """Each answer is what the registry, the command or the option has. Without one, the shell completes paths."""
    monkeypatch.setenv("_GAMESALES_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    ran = cli()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == expected


@pytest.mark.parametrize("number", [None, "", "x", "9"])
def test_odd_questions(cli, monkeypatch, number):
    """A question that no shell asks has no completions, and prints no error."""
    monkeypatch.setenv("_GAMESALES_COMPLETE", "complete_bash")
    if number is not None:
        monkeypatch.setenv("COMP_WORDS", "gamesales ")
        monkeypatch.setenv("COMP_CWORD", number)
    assert cli().err == ""


def test_retired_versions_are_left_out(registry, cli, monkeypatch):
    """A retired version is no completion, and the registry of the environment is read."""
    registry.retire(2, "old")
    monkeypatch.setenv("_GAMESALES_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "gamesales show ")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert cli().out.splitlines() == ["champion\tversion 1", "3\tversion", "1\tchampion"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(cli, monkeypatch, shell):
    """Each shell gets a script, as the guide installs it."""
    monkeypatch.setenv("_GAMESALES_COMPLETE", f"source_{shell}")
    ran = cli()
    assert (ran.code, ran.err) == (0, "")
    assert f"complete_{shell}" in ran.out
    guide = (ROOT / "docs/guides/terminal.md").read_text(encoding="utf-8")
    assert f"_GAMESALES_COMPLETE=source_{shell} gamesales" in guide


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"), [("gamesales rollb", "gamesales rollback "), ("gamesales show cham", "show champion ")]
)
def test_bash_completes(tmp_path, registry, typed, completed):
    """A real bash on a terminal completes a command and an alias when the tab key is pressed."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/gamesales"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gamesales "$@"\n')
    program.chmod(0o755)
    (tmp_path / "bashrc").write_text('PS1="ready> "\neval "$(_GAMESALES_COMPLETE=source_bash gamesales)"\n')
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "dumb", "HISTFILE": "/dev/null"}
    terminal, child = pty.openpty()
    command = ["bash", "--noprofile", "--rcfile", str(tmp_path / "bashrc"), "-i"]
    streams = {"stdin": child, "stdout": child, "stderr": child}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **streams) as process:
        try:
            read_until(terminal, "ready> ")
            os.write(terminal, f"{typed}\t".encode())
            assert completed in read_until(terminal, completed)
        finally:
            process.kill()
            os.close(terminal)
            os.close(child)


def read_until(terminal, text):
    """Read a terminal until it has shown a text, for half a minute at most."""
    shown, end = "", time.monotonic() + 30
    while text not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 10_000).decode(errors="replace")
    return shown
