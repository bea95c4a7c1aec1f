"""Aliases, retirement, and the escaping of text from the registry."""

import re
from importlib import import_module
from inspect import signature
from types import FunctionType

import pytest
import typer

from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.registry.event import ALIAS_SET
from gamesales.registry.log import EventLog
from gamesales.storage.store import LocalStore
from support.runs import read_failure
from support.versions import DATA, publish_simple, simple_details, simple_graph

EVIL = "fine\n 99  boss\x1b[2J\x1b[1A\r\u2028\x85\u202eend"
HARMFUL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def three(tmp_path):
    """A registry with three versions, the first of them champion."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    for bias in (0.0, 250.0, 500.0):
        publish_simple(registry, bias)
    registry.set_alias("champion", 1, "the first", lambda state, version: {"findings": [], "forced": False})
    return registry


# alias set


def test_set_alias_twice(cli, three):
    """An alias can be set and set again."""
    first = cli("alias", "set", "challenger", "2", "--reason", "on trial")
    second = cli("alias", "set", "challenger", "game-earnings/3", "--json")

    assert (0, "game-earnings@challenger is now version 2 (was unset)\n") == (first.code, first.out)
    assert ("challenger", 3, 2, True) == tuple(
        second.document[key] for key in ("alias", "version", "previous_version", "changed")
    )
    assert ["on trial", ""] == [event.reason for event in three.read_events()[-2:]]


def test_set_alias_from_alias(cli, three):
    """An alias can be set to the version that another alias names."""
    cli("alias", "set", "fallback", "@champion")
    assert {"champion": 1, "fallback": 1} == three.read_state().read_targets()


def test_set_alias_unchanged(cli, three):
    """Setting an alias to its version writes nothing."""
    cli("alias", "set", "challenger", "2")
    events = three.read_events()
    ran = cli("alias", "set", "challenger", "2")
    assert (0, "game-earnings@challenger is already version 2; nothing was changed\n") == (ran.code, ran.out)
    assert events == three.read_events()


@pytest.mark.parametrize("ref", ["2", "@challenger"])
def test_set_champion_is_refused(cli, three, ref):
    """alias set refuses champion and suggests a promotion."""
    cli("alias", "set", "challenger", "2")
    events = three.read_events()
    message = "champion is the version that scores; only gamesales promote may set it, because of the gate"
    assert (2, message, f"Promote it: gamesales promote {ref}") == read_failure(cli("alias", "set", "champion", ref))
    assert events == three.read_events()


def test_set_alias_failed_self_test(cli, three):
    """A version that fails its self-test gets no alias."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"), bias=1.0)
    three.publish({"scorer.onnx": simple_graph(bias=0.0)}, details, "for a test")
    assert 4 == cli("alias", "set", "challenger", "4").code


# alias delete


def test_delete_alias(cli, three):
    """A deleted alias names no version and can be set again."""
    cli("alias", "set", "challenger", "2")
    ran = cli("alias", "delete", "challenger", "--reason", "lost")
    assert (0, "game-earnings@challenger is deleted (was 2)\n") == (ran.code, ran.out)
    assert 4 == cli("show", "@challenger").code
    assert "game-earnings@challenger is now version 3 (was unset)\n" == cli("alias", "set", "challenger", "3").out
    deleted = cli("alias", "delete", "challenger", "--json").document
    expected = {"model": "game-earnings", "alias": "challenger", "previous_version": 3, "sequence": 11}
    assert expected == deleted


@pytest.mark.parametrize("reason", [[], ["--reason", " \t"]])
def test_delete_champion_needs_reason(cli, three, reason):
    """Deleting champion needs a reason."""
    code, message, hint = read_failure(cli("alias", "delete", "champion", *reason))
    assert 2 == code
    assert message.startswith("without a champion, nothing scores")
    assert hint == 'Add --reason "…"; or go back to the previous version: gamesales rollback'
    assert 0 == cli("alias", "delete", "champion", "--reason", "it is wrong by half").code
    assert {} == three.read_state().read_targets()


def test_delete_unset_alias(cli, three):
    """An unset alias can't be deleted."""
    message = "no version of game-earnings is nobody in registry/; there is nothing to delete"
    assert (4, message, "List all aliases: gamesales alias list") == read_failure(cli("alias", "delete", "nobody"))


# alias list


def test_list_aliases(cli, three, monkeypatch):
    """The list says which version each alias names, since when, by whom and why."""
    monkeypatch.setenv("LOGNAME", "grace")
    cli("alias", "set", "challenger", "2")
    cli("alias", "set", "challenger", "3", "--reason", "on trial")
    lines = [re.split(r"\s{2,}", line.strip()) for line in cli("alias", "list").out.splitlines()]

    assert ["alias", "version", "since", "by", "before", "why"] == lines[0]
    assert ["challenger", "3", "grace", "2", "on trial"] == [*lines[1][:2], *lines[1][3:]]
    assert ["champion", "1", "-", "the first"] == [*lines[2][:2], *lines[2][4:]]
    row = cli("alias", "list", "--json").document["aliases"][0]
    assert {"alias": "challenger", "version": 3, "actor": "grace", "reason": "on trial", "previous_version": 2} == {
        key: value for key, value in row.items() if key != "since"
    }
    assert three.read_events()[-1].time == row["since"]


def test_list_aliases_empty(cli, three):
    """Without aliases, the list says how to promote a version."""
    cli("alias", "delete", "champion", "--reason", "for a test")
    words = "no alias of game-earnings in registry/. Promote a version: gamesales promote REF\n"
    assert (0, words) == (cli("alias", "list").code, cli("alias", "list").out)


# retire


def test_retired_version_is_shown(cli, three):
    """A retired version gets no alias and is not listed, but can be shown."""
    ran = cli("retire", "2", "--reason", "trained on half a file")
    assert (0, "version 2 of game-earnings is retired\n") == (ran.code, ran.out)
    assert [4, 4, 0] == [cli(*line.split()).code for line in ("promote 2", "alias set challenger 2", "show 2")]
    assert [3, 1] == [row["version"] for row in cli("versions", "--json").document["versions"]]


def test_retire_twice(cli, three):
    """Retiring a version again writes nothing and says who retired it."""
    first = cli("retire", "2", "--reason", "trained on half a file", "--json").document
    events = three.read_events()
    text, second = cli("retire", "2", "--reason", "again"), cli("retire", "2", "--reason", "again", "--json").document
    assert {**first, "changed": False} == second
    assert first["changed"]
    assert text.out.endswith(f"by {first['actor']}: trained on half a file; nothing was changed\n")
    assert events == three.read_events()


@pytest.mark.parametrize("ref", ["1", "@champion"])
def test_retire_version_with_alias(cli, three, ref):
    """A version that an alias names can't be retired."""
    code, message, hint = read_failure(cli("retire", ref, "--reason", "old"))
    assert (2, "version 1 is champion and can't be retired") == (code, message)
    assert "Promote another version first, or delete the alias: gamesales alias delete champion" == hint


def test_wrong_alias_commands(cli, three):
    """A wrong command is an error and writes nothing."""
    events = three.read_events()
    answers = {
        "retire 2": (2, "retiring a version needs a reason"),
        "retire 7 --reason x": (4, "no version 7 of game-earnings in registry/; newest is 3"),
        "retire latest --reason x": (2, "'latest' names no version"),
        "alias set latest 2": (2, "'latest' can't be an alias"),
        "alias set with-hyphen 2": (2, "'with-hyphen' can't be an alias"),
        "alias delete with-hyphen": (2, "'with-hyphen' can't be an alias"),
        "alias set challenger 7": (4, "no version 7 of game-earnings"),
        "alias set challenger": (2, "REF is missing"),
        "alias rename": (2, "no command rename of gamesales alias"),
    }
    for command, (code, words) in answers.items():
        actual, message, *_ = read_failure(cli(*command.split()))
        assert code == actual, command
        assert message.startswith(words)
    assert events == three.read_events()


# The command group


def test_alias_help(cli):
    """The group alias lists its commands."""
    for ran in (cli("alias"), cli("alias", "--help")):
        assert [] == [word for word in ("set", "delete", "list") if word not in ran.out]


def test_one_parser_is_built():
    """Only the parser of the given command is built, because Typer takes milliseconds for each."""
    from gamesales.cli.app import make_app

    assert ["set", "delete", "list"] == list(typer.main.get_command(make_app("alias")).commands["alias"].commands)
    assert ["versions"] == list(typer.main.get_command(make_app("versions")).commands)


def test_command_table_is_complete():
    """The table of modules names every command, in the order of its module; groups have their own commands."""
    from gamesales.cli.commands import MODULES, CommandGroup

    for module, names in MODULES.items():
        members = vars(import_module(f"gamesales.cli.{module}"))
        groups = [member for member in members.values() if isinstance(member, CommandGroup)]
        grouped = [command for group in groups for command in group.commands.values()]
        commands = [
            name
            for name, member in members.items()
            if isinstance(member, FunctionType)
            and member.__module__ == f"gamesales.cli.{module}"
            and "as_json" in signature(member).parameters
            and member not in grouped
        ]
        assert commands == [name for name in names if members[name] not in groups]
        assert groups == [members[name] for name in names if name not in commands]


# Terminal output


def test_registry_text_is_escaped(cli, three, monkeypatch):
    """Text from the registry can neither forge a line nor control the terminal."""
    monkeypatch.setenv("LOGNAME", EVIL)
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    data = {"path": EVIL, "rows": 1, "sha256": "1" * 64}
    details |= {"data": {"train": data, "test": data}, "git_commit": EVIL, "software": {EVIL: EVIL}}
    details |= {"network": {"layers": [{"layer": EVIL}]}, "baselines": {EVIL: {}}}
    three.publish({"scorer.onnx": simple_graph()}, details, EVIL)
    evaluation = {"data": EVIL, "data_sha256": "1" * 64, "rows": 1, "metrics": {"mae": 1.0}}
    three.record_evaluation(4, evaluation, EVIL)
    version = three.find_version(4)
    body = {"alias": EVIL, "version": 4, "digest": version.digest, "previous_version": None, "rollback": False}
    finding = {"condition": EVIL, "is_met": True, "observation": EVIL}
    EventLog(LocalStore("registry"), "game-earnings").append(
        ALIAS_SET, EVIL, lambda events: {**body, "evidence": {"findings": [finding], "forced": False}}
    )
    three.retire(2, EVIL)
    lines = {
        "history": 1 + len(three.read_events()),
        "alias list": 3,
        "versions --retired": 8,
        "versions": None,
        "show 4": None,
        "show 2": None,
        "compare 1 4": None,
        "compare 4 4 --all": None,
        "retire 2 --reason x": 1,
        "retire 4 --reason x": 0,
        "promote 2": 0,
        "compare 2 @champion": None,
    }
    for command, expected in lines.items():
        ran = cli(*command.split())
        assert not HARMFUL.search(ran.out + ran.err), command
        assert not re.search(r"^ 99 +boss", ran.out + ran.err, re.MULTILINE), command
        assert expected in (None, ran.out.count("\n")), command
        assert ran.out or ran.err.count("\n") == 2, command
    assert EVIL == cli("alias", "list", "--json").document["aliases"][1]["alias"], "programs get it as it was"
