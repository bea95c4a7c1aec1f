"""The help of every command: it fits the terminal, has examples that work, and starts without Rich."""

import re
import shlex

import pytest
import typer

from gamesales import __version__
from gamesales.cli.app import make_app
from gamesales.cli.commands import MODULE_OF, TOPICS
from gamesales.cli.main import run
from gamesales.cli.terminal import measure
from support.terminals import terminals


def list_commands(group, path=()):
    """Return every command and every group by its path: ``("alias", "set")``."""
    commands = {(*path, name): command for name, command in group.commands.items()}
    members = [list_commands(command, name) for name, command in commands.items() if hasattr(command, "commands")]
    return {**commands, **{name: command for group in members for name, command in group.items()}}


COMMANDS = list_commands(typer.main.get_command(make_app()))
LEAVES = {path: command for path, command in COMMANDS.items() if not hasattr(command, "commands")}


def read_help(path, width=80, option="--help"):
    with terminals(width) as (out, err):
        assert run([*path, option]) == 0
    assert err.getvalue() == ""
    return out.getvalue()


def read_examples(command):
    """Return the command lines of the examples of a command."""
    lines = command.epilog.replace("\\\n", "").splitlines()
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_help_fits(path, width):
    """No line of the help is wider than the terminal, except a command of an example, and no word is broken."""
    lines = read_help(path, width).splitlines()
    assert all(measure(line) <= min(width, 100) for line in lines if not line.startswith("  gamesales "))
    assert [line for line in lines if line != line.rstrip()] == []
    words = set(read_help(path, 1000).split())
    assert {word for line in lines for word in line.split()} == words


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_examples_parse(path):
    """Each command has an example, and each example is a command line of this command that Typer accepts."""
    command = LEAVES[path]
    assert read_examples(command)
    for program, *words in read_examples(command):
        assert (program, *words[: len(path)]) == ("gamesales", *path)
        assert command.make_context("gamesales", words[len(path) :]).params
    assert all(line in read_help(path) for line in command.epilog.splitlines())


def test_first_steps_parse():
    """The examples of the program are command lines."""
    for _, name, *words in read_examples(typer.main.get_command(make_app())):
        assert LEAVES[(name,)].make_context("gamesales", words).params


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_options_are_explained(path):
    """Each command, argument and option has a sentence."""
    assert LEAVES[path].help.endswith(".")
    for parameter in LEAVES[path].params:
        assert re.fullmatch(r"[A-Za-z0-9.].*\.", parameter.help), parameter.name
        assert parameter.metavar or parameter.is_flag


def test_short_options():
    """-h is --help, of the program and of its commands, and -V is --version."""
    for path in [(), ("show",), ("alias",), ("alias", "set")]:
        assert read_help(path, option="-h") == read_help(path)
    assert read_help((), option="-V") == f"gamesales {__version__}\n" == read_help((), option="--version")


def test_program_without_command():
    """Without a command, the program and its groups show their help and end with 2."""
    for path in [(), ("policy",)]:
        with terminals(80) as (out, _):
            assert run(list(path)) == 2
        assert out.getvalue() == read_help(path)


def test_topics_have_all_commands():
    """The list of commands by topic has each command once."""
    assert sorted(name for names in TOPICS.values() for name in names) == sorted(MODULE_OF)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("scor a.csv", "no command scor of gamesales (did you mean score?)", "gamesales --help"),
        ("xyzzy", "no command xyzzy of gamesales", "gamesales --help"),
        ("alias sett a 1", "no command sett of gamesales alias (did you mean set?)", "gamesales alias --help"),
        ("score --outptu x", "no option --outptu (did you mean --output?)", "gamesales score --help"),
        ("versions --tracebak", "no option --tracebak (did you mean --traceback?)", "gamesales versions --help"),
        ("train --job x.toml", "no option --job; give JOB without --job", "gamesales train --help"),
        ("versions --limit x", '--limit expects a whole number, received "x"', "gamesales versions --help"),
        ("versions --limit 0", '--limit expects 1 or more, received "0"', "gamesales versions --help"),
        ("tune --minutes x", '--minutes expects a number, received "x"', "gamesales tune --help"),
        ("versions --limit", "--limit needs a value", "gamesales versions --help"),
        ("versions --json=1", "--json takes no value", "gamesales versions --help"),
        ("show", "REF is missing", "gamesales show --help"),
        ("alias set", "NAME is missing", "gamesales alias set --help"),
        ("export 4 --format onnx", "--output is missing", "gamesales export --help"),
        ("show 1 2 3", "too many arguments: 2 3", "gamesales show --help"),
        ("--nope", "no option --nope", "gamesales --help"),
        ("score --engine rai", "--engine expects local or ray, received 'rai' (did you mean ray?)", None),
    ],
)
def test_mistakes(cli, line, message, hint):
    """A mistake is explained in our words, with a guess, and the hint names the help of the command."""
    ran = cli(*line.split())
    assert ran.code == 2
    assert ran.err == f"error: {message}\n" + (f"       See: {hint}\n" if hint else "")
