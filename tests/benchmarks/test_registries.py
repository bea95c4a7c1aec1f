"""The race for a registry, and what is counted after it: small, and on registries that are really there."""

import json
import subprocess
import sys

import pytest

from benchmarks import environments, race
from benchmarks.assets import Assets
from benchmarks.bench import Bench
from benchmarks.contender import OURS
from benchmarks.race import Found, Told
from benchmarks.suites import registry
from support.versions import ROOT

ALL = registry.known()


def told(number, *versions, moved=True, **more):
    """What a writer was told: versions with their tokens, and that its alias names each."""
    alias = f"writer_{number}"
    moves = [(alias, version) for version, _ in versions] if moved else []
    return Told(alias, list(versions), moves, may_name=[versions[-1][0]], begun=1.0, ended=3.5, **more)


def counted(tolds, found, **more):
    return race.answer(tolds, found, numbered=True, **more)


class TestCounting:
    def test_what_is_there_as_told_is_neither_lost_nor_doubled(self):
        tolds = [told(0, ("1", "a"), ("3", "b")), told(1, ("2", "c"))]
        found = Found([("1", "a"), ("2", "c"), ("3", "b")], {"writer_0": "3", "writer_1": "2"})
        assert counted(tolds, found) == {
            "writers": 2,
            "calls": 6,
            "failed": 0,
            "error": None,
            "lost": 0,
            "doubled": 0,
            "gaps": 0,
            "history": False,
            "seconds": 2.5,
        }

    def test_of_two_writers_that_were_told_one_number_the_first_is_lost(self):
        tolds = [told(0, ("1", "a")), told(1, ("1", "b"))]
        answer = counted(tolds, Found([("1", "b")], {"writer_0": "1", "writer_1": "1"}))
        assert (answer["lost"], answer["doubled"]) == (1, 1)

    def test_a_version_that_is_not_there_is_lost_and_leaves_a_gap(self):
        answer = counted([told(0, ("1", "a"), ("2", "b"))], Found([("2", "b")], {"writer_0": "2"}))
        assert (answer["lost"], answer["gaps"]) == (1, 1)

    def test_a_version_that_is_stored_twice_is_doubled(self):
        answer = counted([told(0, ("2", "a"))], Found([("1", "a"), ("2", "a")], {"writer_0": "2"}))
        assert (answer["lost"], answer["doubled"]) == (0, 1)

    @pytest.mark.parametrize("named", ["1", None])
    def test_an_alias_that_does_not_name_what_was_told_last_is_lost(self, named):
        found = Found([("1", "a"), ("2", "b")], {"writer_0": named})
        assert counted([told(0, ("1", "a"), ("2", "b"))], found)["lost"] == 1

    def test_an_alias_may_name_what_failed_later(self):
        one = told(0, ("1", "a"))
        one.may_name.append("2")
        assert counted([one], Found([("1", "a"), ("2", "b")], {"writer_0": "2"}))["lost"] == 0

    def test_a_registry_with_a_history_must_hold_every_move(self):
        tolds = [told(0, ("1", "a"), ("2", "b"))]
        kept = [("writer_0", "2"), ("writer_0", "2")]
        answer = counted(tolds, Found([("1", "a"), ("2", "b")], {"writer_0": "2"}, kept))
        assert (answer["lost"], answer["doubled"], answer["history"]) == (1, 1, True)

    def test_failures_are_counted_and_the_commonest_is_told(self):
        one = told(0, ("1", "a"), errors=["OSError: full", "OSError: full", "KeyError: 'x'"])
        answer = counted([one], Found([("1", "a")], {"writer_0": "1"}))
        assert (answer["calls"], answer["failed"], answer["error"]) == (5, 3, "OSError: full")

    def test_an_error_is_told_without_the_folders_of_its_paths(self):
        assert race._in_short("no file '/data/race/models/meta.yaml'.\nTry again.") == "no file 'meta.yaml'. Try again"


# A registry of one file, which says of every version that it is the first.
CARELESS = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from benchmarks import race

class Registry:
    def __init__(self, place): self.file = place
    def create(self): pass
    def publish(self, token): self.file.write_text(token); return "1"
    def set_alias(self, alias, version): raise OSError("no aliases")
    def contents(self): return [("1", self.file.read_text())]
    def moves(self): return None

told, found = race.race(SimpleNamespace(Registry=Registry), Path(sys.argv[1]), 3, 2)
print(json.dumps(race.answer(told, found, numbered=True)))
"""


def test_a_careless_registry_is_found_out(tmp_path):
    command = [sys.executable, "-c", CARELESS, str(tmp_path / "one")]
    answer = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    assert (answer["lost"], answer["doubled"], answer["failed"]) == (5, 5, 6)
    assert answer["error"] == "OSError: no aliases"


@pytest.mark.parametrize("name", ALL)
def test_every_registry_can_be_raced_for_and_looked_up_in(tmp_path, name):
    """MLflow and pins only where their environments are installed, as the first run of the suite does."""
    environment = getattr(ALL[name], "ENVIRONMENT", None)
    if environment and not environments.python(environment).exists():
        pytest.skip(f"{environment} is not installed")
    python = registry._python(ALL[name])

    def run(*arguments):
        subprocess.run([python, "-m", *map(str, arguments)], cwd=ROOT, check=True, capture_output=True)

    run("benchmarks.race", name, tmp_path / "race", 2, 2, tmp_path / "race.json")
    raced = json.loads((tmp_path / "race.json").read_bytes())
    assert (raced["writers"], raced["calls"] >= 6, raced["seconds"] > 0) == (2, True, True)
    run("benchmarks.lookups", "fill", name, tmp_path / "filled", 3, 2)
    run("benchmarks.lookups", "time", name, tmp_path / "filled", tmp_path / "filled.json")
    found = json.loads((tmp_path / "filled.json").read_bytes())
    assert found.pop("versions") == 3
    assert all(value > 0 for value in found.values())


class TestSuite:
    @pytest.fixture
    def result(self, tmp_path, monkeypatch):
        """The suite as a full run has it, with ours alone and few calls."""
        monkeypatch.setattr(registry, "RACES", {"full": (2, 3)})
        monkeypatch.setattr(registry, "OUR_RACES", {"full": ((2, 4),)})
        monkeypatch.setattr(registry, "LOOKUPS", {"full": (3, 1)})
        monkeypatch.setattr(registry, "OUR_LOOKUPS", {"full": ((4, 6),)})
        return registry.run(Bench(Assets(tmp_path), "full", rounds=2, contenders=[OURS]))

    def test_ours_loses_nothing_doubles_nothing_and_tells_no_failure(self, result):
        raced = [run["answer"] for run in result["runs"] if "calls" in run["answer"]]
        assert result["skipped"] == []
        assert [one["calls"] for one in raced].count(12) == [one["calls"] for one in raced].count(16) == 2
        for one in raced:
            assert [one[key] for key in ("lost", "doubled", "failed", "gaps")] == [0, 0, 0, 0]

    def test_each_size_has_a_table(self, result):
        assert [table.heading for table in registry.show(result).tables] == [
            "Race: 12 calls by 2 writers",
            "Race: 16 calls by 2 writers",
            "Lookups after 3 versions",
            "Lookups after 4 versions and 6 moves of the alias",
        ]

    def test_ours_comes_first_and_no_two_are_called_the_same(self):
        assert next(iter(ALL)) == OURS
        assert len({module.LABEL for module in ALL.values()}) == len(ALL)

    def test_a_registry_whose_environment_cannot_be_had_is_told(self, tmp_path, monkeypatch):
        monkeypatch.setattr(registry, "ensure", lambda name: f"{name}.txt could not be installed")
        result = registry.run(Bench(Assets(tmp_path), "quick", contenders=["pins_folder"]))
        reason = "pins.txt could not be installed"
        assert result["skipped"] == [{"contender": "pins_folder", "what": "everything", "reason": reason}]
