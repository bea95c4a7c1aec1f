"""Plain command lines: what the parser without Typer reads is what Typer reads, for every command."""

import functools
import importlib.util
import inspect
import os
from unittest import mock

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.exceptions import TyperException

from gamesales.cli.app import _add_command, make_app
from gamesales.cli.commands import MODULE_OF, CommandGroup, load_command
from gamesales.cli.plain import parse_plain
from gamesales.cli.plain_table import TABLE
from gamesales.registry.refs import REGISTRY_VARIABLE
from support.versions import ROOT

COMMANDS = {name: load_command(name) for name in MODULE_OF}
FUNCTIONS = {name: command for name, command in COMMANDS.items() if not isinstance(command, CommandGroup)}
PLAIN = ["4", "champion", "mae<5", "a=b", "data/new titles.csv", "tests", "Ünïcode", "2026-11-23", "-"]
ODD = [
    "",
    "-3",
    "--",
    "0",
    "007",
    "+5",
    "1.5",
    "\u0663",
    " 5 ",
    "\udcff",
    "a\nb",
    "no/such",
    "9999999999",
    "--json",
    "-x",
]


@pytest.fixture(scope="module")
def ask_typer():
    """Return a function that returns the arguments that Typer calls a command with; None if it refuses or helps."""
    calls = []
    make_app()  # evaluates the annotations of the functions
    app = typer.Typer(add_completion=False)
    for name, function in FUNCTIONS.items():

        @functools.wraps(function)
        def record(**values):
            calls.append(values)

        _add_command(app, name, record)
    parsers = typer.main.get_command(app).commands

    def ask(words):
        calls.clear()
        try:
            parsers[words[0]].main(words[1:], prog_name="gamesales", standalone_mode=False)
        except TyperException:
            return None
        return calls[0] if calls else None

    return ask


@st.composite
def command_lines(draw):
    """Draw a command line of any command: half are plain, and half may have anything."""
    name = draw(st.sampled_from(list(FUNCTIONS)))
    parser = typer.main.get_command(make_app(name)).commands[name]
    is_odd = draw(st.booleans())
    values = {
        "number": st.sampled_from(["1", "20", *(ODD if is_odd else [])]),
        "text": st.sampled_from([*PLAIN, *(ODD if is_odd else [])]),
    }
    pieces = [["--help"], ["--nope"], ["--"], ["-v"], ["--version"]] if is_odd and draw(st.integers(0, 3)) == 0 else []
    pieces = [draw(st.sampled_from(pieces))] if pieces else []
    for parameter in parser.params:
        repeats = [1, 1, 1, 0, 2] if is_odd else [1]
        for _ in range(draw(st.sampled_from(repeats if parameter.required else [0, 0, 0, *repeats]))):
            is_number = parameter.type_descriptor.annotation in (int, float)
            text = draw(values["number" if is_number else "text"])
            if parameter.param_type_name == "argument":
                pieces.append([text])
                continue
            option = draw(st.sampled_from(parameter.opts))
            if is_odd:
                option = draw(st.sampled_from([option] * 6 + [option[:-1], option.upper(), f"--no{option[1:]}"]))
            if parameter.is_flag != (is_odd and draw(st.integers(0, 9)) == 0):
                pieces.append([option])
            else:
                pieces.append(draw(st.sampled_from([[option, text], [f"{option}={text}"]])))
    return [name, *(word for piece in draw(st.permutations(pieces)) for word in piece)]


def fill_defaults(name, values):
    bound = inspect.signature(FUNCTIONS[name]).bind(**values)
    bound.apply_defaults()
    return bound.arguments


def compare(ask_typer, words):
    """Compare both parsers on a command line. Return whether it is plain."""
    plain = parse_plain(words)
    if plain is not None:
        expected = ask_typer(words)
        assert expected is not None, f"Typer refuses {words}"
        found = fill_defaults(words[0], plain)
        assert expected == found
        assert {key: type(value) for key, value in expected.items()} == {key: type(found[key]) for key in expected}
    return plain is not None


def test_table_is_typers():
    """``make docs`` writes the table again."""
    path = ROOT / "docs/make_plain_table.py"
    spec = importlib.util.spec_from_file_location("make_plain_table", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.make_file() == script.FILE.read_text(encoding="utf-8")
    assert script.make_table() == TABLE
    assert set(TABLE) == set(FUNCTIONS)


@given(command_lines(), st.sampled_from([None, "", "s3://games/registry", "\udcff"]))
def test_parsers_agree(ask_typer, words, registry):
    """A command line is parsed as Typer parses it, or it is left to Typer."""
    variables = {} if registry is None else {REGISTRY_VARIABLE: registry}
    with mock.patch.dict(os.environ, variables):
        if registry is None:
            os.environ.pop(REGISTRY_VARIABLE, None)
        compare(ask_typer, words)


LINES = [
    "score",
    "score a.csv b.csv - --output out --workers 2 --registry r --json --fresh",
    "score data/in --output=out.parquet --date=2026-11-23 --max-rejects 1% --keep a,b --unique-ids",
    "score --job jobs/score.toml --from 2026-11-01 --to 2026-11-02 --metrics-file m.prom",
    "score --release 2026-11-23 --reason sale",
    "predict critic_rating=4.5 is_action=1 --model @champion --json",
    "versions",
    "versions --where mae<5000 --where rows>3 --sort mae --limit 3",
    "show 4 --as-of 2026-11-23",
    "compare 1 2 --all",
    "promote 4 --reason better --dry-run",
    "evaluate 4 --data titles.csv",
    "export 4 --format onnx --output m.onnx",
    "backtest --predictions p --actuals a.csv --fail-if-worse",
    "train jobs/train.toml --checkpoint-epochs 5",
    "preprocess a.csv b.csv -v",
    "simulate --rows 10 --output t.csv --ids",
]


@pytest.mark.parametrize("line", LINES)
def test_plain_lines(ask_typer, line, monkeypatch):
    """Usual command lines do without Typer, also with the registry in the environment."""
    monkeypatch.delenv(REGISTRY_VARIABLE, raising=False)
    assert compare(ask_typer, line.split())
    monkeypatch.setenv(REGISTRY_VARIABLE, "s3://games/registry")
    assert compare(ask_typer, line.split())


OTHERS = [
    "",
    "--help",
    "--version",
    "nope",
    "alias list",
    "score --help",
    "score --out x",
    "score --workers 0",
    "score --workers",
    "score --output",
    "score --output= a.csv",
    "score --output -x",
    "score --json=1",
    "score --no-json",
    "score --model a --model b",
    "score --json --json",
    "score -- a.csv",
    "predict",
    "show",
    "show 1 2",
    "compare 1",
    "export 1 --output x",
    "history --limit -1",
    "tune --minutes 5",
]


@pytest.mark.parametrize("line", OTHERS)
def test_other_lines(line):
    """Help, mistakes, and values that need a check are Typer's."""
    assert parse_plain(line.split()) is None


def test_completion_is_typers(monkeypatch):
    """A shell that asks for completions gets them from Typer."""
    assert parse_plain(["versions"]) == {}
    monkeypatch.setenv("_GAMESALES_COMPLETE", "bash_complete")
    assert parse_plain(["versions"]) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_path(tmp_path):
    """Typer reports a path that can't be read."""
    (tmp_path / "secret").touch(0o000)
    assert parse_plain(["score", "--job", str(tmp_path / "secret")]) is None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_defaults_agree(ask_typer, name):
    """Typer calls a command without options with the defaults of its function."""
    required = []
    for parameter, kind in TABLE[name]["arguments"].items():
        required += ["x=1"] if parameter in TABLE[name]["required"] and kind else []
    for option, (parameter, kind) in TABLE[name]["options"].items():
        required += [option, "7" if kind == "count" else "x"] if parameter in TABLE[name]["required"] else []
    assert compare(ask_typer, [name, *required])
