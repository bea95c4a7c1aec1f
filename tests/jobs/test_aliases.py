"""Aliases besides the champion, and the end of versions; and what a terminal gets to see of odd names."""

import re

import pytest

from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.registry import log
from gamesales.registry.log import EventLog
from gamesales.registry.store import LocalStore
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


def told(ran):
    return (ran.code, *ran.err.removeprefix("error: ").rstrip("\n").split("\n       ", 1))


# alias set


def test_an_alias_is_set_and_set_again(cli, three):
    first = cli("alias", "set", "challenger", "2", "--reason", "on trial")
    second = cli("alias", "set", "challenger", "game-earnings/3", "--json")

    assert (0, "game-earnings@challenger is now version 2 (was unset)\n") == (first.code, first.out)
    assert ("challenger", 3, 2, True) == tuple(
        second.document[key] for key in ("alias", "version", "previous_version", "changed")
    )
    assert ["on trial", ""] == [event.reason for event in three.events()[-2:]]


def test_an_alias_can_be_set_to_what_another_names(cli, three):
    cli("alias", "set", "fallback", "@champion")
    assert {"champion": 1, "fallback": 1} == three.state().named


def test_setting_an_alias_to_what_it_names_writes_nothing(cli, three):
    cli("alias", "set", "challenger", "2")
    events = three.events()
    ran = cli("alias", "set", "challenger", "2")
    assert (0, "game-earnings@challenger is version 2 already; nothing was changed\n") == (ran.code, ran.out)
    assert events == three.events()


@pytest.mark.parametrize("ref", ["2", "@challenger"])
def test_the_champion_is_no_matter_of_alias_set(cli, three, ref):
    cli("alias", "set", "challenger", "2")
    events = three.events()
    message = "champion is what scores, and is set by a promotion, which asks the gate"
    assert (2, message, f"Promote it: gamesales promote {ref}") == told(cli("alias", "set", "champion", ref))
    assert events == three.events()


def test_an_unsound_version_gets_no_alias(cli, three):
    details = simple_details(Contract.from_toml(DATA / "contract.toml"), bias=1.0)
    three.publish({"scorer.onnx": simple_graph(bias=0.0)}, details, "for a test")
    assert 4 == cli("alias", "set", "challenger", "4").code


# alias delete


def test_a_deleted_alias_names_nothing_and_can_be_set_again(cli, three):
    cli("alias", "set", "challenger", "2")
    ran = cli("alias", "delete", "challenger", "--reason", "lost")
    assert (0, "game-earnings@challenger names nothing any more (was 2)\n") == (ran.code, ran.out)
    assert 4 == cli("show", "@challenger").code
    assert "game-earnings@challenger is now version 3 (was unset)\n" == cli("alias", "set", "challenger", "3").out
    deleted = cli("alias", "delete", "challenger", "--json").document
    expected = {"model": "game-earnings", "alias": "challenger", "previous_version": 3, "sequence": 11}
    assert expected == deleted


@pytest.mark.parametrize("reason", [[], ["--reason", " \t"]])
def test_the_champion_is_deleted_with_a_reason_only(cli, three, reason):
    code, message, hint = told(cli("alias", "delete", "champion", *reason))
    assert 2 == code
    assert message.startswith("without a champion nothing scores")
    assert hint == 'Add --reason "…"; or go back to the version before: gamesales rollback'
    assert 0 == cli("alias", "delete", "champion", "--reason", "it is wrong by half").code
    assert {} == three.state().named


def test_what_names_nothing_cannot_be_deleted(cli, three):
    message = "no version of game-earnings is nobody in registry/; there is nothing to delete"
    assert (4, message, "See what there is: gamesales alias list") == told(cli("alias", "delete", "nobody"))


# alias list


def test_the_list_tells_what_each_alias_names_since_when_on_whose_word_and_why(cli, three, monkeypatch):
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
    assert three.events()[-1].time == row["since"]


def test_the_list_of_a_registry_without_aliases_says_how_to_set_one(cli, tmp_path):
    words = "no alias names a version of game-earnings in registry/. Promote one: gamesales promote REF\n"
    assert (0, words) == (cli("alias", "list").code, cli("alias", "list").out)
    assert [] == list(tmp_path.iterdir())


# retire


def test_a_retired_version_is_named_no_more_and_still_shown(cli, three):
    ran = cli("retire", "2", "--reason", "trained on half a file")
    assert (0, "version 2 of game-earnings is retired\n") == (ran.code, ran.out)
    assert [4, 4, 0] == [cli(*line.split()).code for line in ("promote 2", "alias set challenger 2", "show 2")]
    assert [3, 1] == [row["version"] for row in cli("versions", "--json").document["versions"]]


def test_retiring_twice_writes_nothing_and_tells_who_did_it_and_why(cli, three):
    first = cli("retire", "2", "--reason", "trained on half a file", "--json").document
    events = three.events()
    text, second = cli("retire", "2", "--reason", "again"), cli("retire", "2", "--reason", "again", "--json").document
    assert {**first, "changed": False} == second
    assert first["changed"]
    assert text.out.endswith(f"by {first['actor']}: trained on half a file; nothing was changed\n")
    assert events == three.events()


@pytest.mark.parametrize("ref", ["1", "@champion"])
def test_what_an_alias_names_cannot_be_retired(cli, three, ref):
    code, message, hint = told(cli("retire", ref, "--reason", "old"))
    assert (2, "version 1 is champion and can't be retired") == (code, message)
    assert "gamesales alias delete NAME" in hint


def test_what_cannot_be_is_told_and_changes_nothing(cli, three):
    events = three.events()
    answers = {
        "retire 2": (2, "to retire a version needs a reason, for the log"),
        "retire 7 --reason x": (4, "no version 7 of game-earnings in registry/; newest is 3"),
        "retire latest --reason x": (2, "'latest' names no version"),
        "alias set latest 2": (2, "'latest' can't be an alias"),
        "alias set with-hyphen 2": (2, "'with-hyphen' can't be an alias"),
        "alias delete with-hyphen": (2, "'with-hyphen' can't be an alias"),
        "alias set challenger 7": (4, "no version 7 of game-earnings"),
        "alias set challenger": (2, "Missing argument 'REF'"),
        "alias rename": (2, "No such command 'rename'"),
    }
    for command, (code, words) in answers.items():
        found, message, *_ = told(cli(*command.split()))
        assert code == found, command
        assert message.startswith(words)
    assert events == three.events()


# The group


def test_the_group_tells_its_commands(cli):
    for ran in (cli("alias"), cli("alias", "--help")):
        assert [] == [word for word in ("set", "delete", "list") if word not in ran.out]


def test_only_the_parser_of_the_named_command_is_built():
    """Typer takes milliseconds for each."""
    import typer

    from gamesales.cli.main import make_app

    assert ["set", "delete", "list"] == list(typer.main.get_command(make_app("alias")).commands["alias"].commands)
    assert ["versions"] == list(typer.main.get_command(make_app("versions")).commands)


def test_each_command_is_found_in_the_module_that_has_it():
    """One that is missing in the table would be found too, but only by loading all modules."""
    from gamesales.cli.main import MODULES, load_commands

    assert MODULES == {module: tuple(load_commands([module])) for module in MODULES}


# Odd names in a terminal


def test_no_text_of_the_registry_can_forge_a_line_or_steer_the_terminal(cli, three, monkeypatch):
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
    finding = {"condition": EVIL, "holds": True, "found": EVIL}
    EventLog(LocalStore("registry"), "game-earnings").append(
        log.ALIAS_SET, EVIL, lambda events: {**body, "evidence": {"findings": [finding], "forced": False}}
    )
    three.retire(2, EVIL)
    lines = {
        "history": 1 + len(three.events()),
        "alias list": 3,
        "versions --retired": 5,
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
