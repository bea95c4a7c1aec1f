"""Commands about a registry: gc asks on a terminal, and hints work as they stand."""

import os
import pty
import shlex
import shutil
import subprocess
import sys

import pytest

from gamesales.jobs.loading import open_registry
from support.runs import command_line, snapshot
from support.versions import publish_simple

GC = ("gc", "--keep-newest", "1", "--keep-days", "0")


@pytest.fixture
def other(tmp_path, cli):
    """A registry with a space in its name, with three versions of the model other."""
    registry = open_registry(tmp_path / "my registry", "other")
    for bias in (0.0, 1.0, 2.0):
        publish_simple(registry, bias)
    return registry


def run_on_terminal(folder, answer, *arguments):
    """Run a real command line on a terminal and type an answer. Return the exit code, stdout and the terminal."""
    terminal, child = pty.openpty()
    try:
        command = command_line(*arguments)
        with subprocess.Popen(command, cwd=folder, stdin=child, stdout=subprocess.PIPE, stderr=child) as process:
            os.write(terminal, answer.encode())
            output = process.stdout.read().decode()
            code = process.wait(60)
        os.set_blocking(terminal, False)
        try:
            shown = os.read(terminal, 10_000).decode()
        except BlockingIOError:
            shown = ""
        return code, output, shown.replace("\r\n", "\n")
    finally:
        os.close(terminal)
        os.close(child)


def test_gc_asks_on_terminal(other, tmp_path):
    """On a terminal, gc lists the garbage and removes it only after a yes."""
    arguments = (*GC, "--registry", "my registry", "--name", "other")
    before = snapshot(tmp_path)
    code, output, shown = run_on_terminal(tmp_path, "n\n", *arguments)
    assert (0, "nothing was changed\n") == (code, output)
    assert "would retire  1, 2\nwould remove  other/bundles/" in shown
    assert "would remove  4 files of bundles and 0 temporary files\nRemove them for good? [y/N]: " in shown
    assert before == snapshot(tmp_path)
    code, output, shown = run_on_terminal(tmp_path, "y\n", *arguments)
    assert (0, "retired       1, 2") == (code, output.splitlines()[0])
    assert "removed       4 files of bundles and 0 temporary files" == output.splitlines()[-1]
    code, output, shown = run_on_terminal(tmp_path, "", *arguments)  # nothing to ask
    assert (0, "retired       none", "") == (code, output.splitlines()[0], shown.strip())


@pytest.mark.parametrize("more", ["--yes", "--json", "--dry-run"])
def test_gc_does_not_ask(other, cli, monkeypatch, more):
    """With --yes, --json or --dry-run, gc does not ask on a terminal."""
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    ran = cli(*GC, "--registry", "my registry", "--name", "other", more)
    assert (0, "") == (ran.code, ran.err)
    assert (more != "--dry-run") == other.read_state().is_retired(1)


@pytest.mark.parametrize(
    "command",
    [
        *["show 9", "show @champion", "show v1", "promote 9", "history --alias nobody", "versions --alias nobody"],
        *[
            "rollback",
            "alias list",
            "alias delete nobody",
            "alias set champion 1",
            "compare 1 9",
            "retire 9 --reason x",
        ],
        *["score titles.csv --output out.csv", "predict critic_rating=5", "verify 9", "evaluate 9 --data titles.csv"],
    ],
)
def test_hint_repeats_options(other, cli, tmp_path, command):
    """The command in a hint repeats the registry and the model, so that it works as it stands."""
    (tmp_path / "titles.csv").write_text("critic_rating\n5\n")
    ran = cli(*command.split(), "--registry", "my registry", "--name", "other")
    text = (ran.out + ran.err).splitlines()[-1]
    assert text.endswith("--registry 'my registry' --name other")
    typed = shlex.split(text[text.rindex("gamesales ") :])[1:]
    if "REF" not in typed:
        assert 0 == cli(*typed).code


def test_hint_without_options(other, cli, tmp_path, monkeypatch):
    """A hint repeats neither the usual registry and model nor the registry of the environment."""
    shutil.move(tmp_path / "my registry/other", tmp_path / "my registry/game-earnings")
    monkeypatch.setenv("GAMESALES_REGISTRY", "my registry")
    assert cli("show", "9").err.endswith("List the versions: gamesales versions\n")


def test_usage_hint_names_command(cli):
    """A wrong option or a missing argument points to the help of the command."""
    assert cli("show").err.endswith("See: gamesales show --help\n")
    assert cli("alias", "set", "--foo").err.endswith("See: gamesales alias set --help\n")
    assert cli("nonsense").err.endswith("See: gamesales --help\n")
