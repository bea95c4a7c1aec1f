"""The race for a registry, and its counts."""

import json
import subprocess
import sys

import pytest

from benchmarks import race, registries
from benchmarks.assets import Assets
from benchmarks.bench import OURS, Bench, find_python, load_modules
from benchmarks.measure import ROOT
from benchmarks.race import RegistryContent, WriterRecord
from benchmarks.suites import registry


def make_record(number, *versions, **fields):
    """Record a writer whose versions with their tokens were confirmed, each with its alias."""
    moves = [(f"writer_{number}", version) for version, _ in versions]
    return WriterRecord(f"writer_{number}", list(versions), moves, [versions[-1][0]], began=1.0, ended=3.5, **fields)


A, B, C = ("1", "a"), ("2", "b"), ("3", "c")


@pytest.mark.parametrize(
    ("writers", "versions", "aliases", "history", "counts"),
    [
        ([[A, C], [B]], [A, B, C], "32", None, (0, 0, 0)),  # correct
        ([[A], [("1", "b")]], [("1", "b")], "11", None, (1, 1, 0)),  # two writers of a version
        ([[A, B]], [B], "2", None, (1, 0, 1)),  # a missing version
        ([[("2", "a")]], [A, ("2", "a")], "2", None, (0, 1, 0)),  # stored twice
        ([[A, B]], [A, B], "1", None, (1, 0, 0)),  # an old alias
        ([[A, B]], [A, B], [None], None, (1, 0, 0)),  # a missing alias
        ([[A, B]], [A, B], "2", [("writer_0", "2")] * 2, (1, 1, 0)),  # a history with a change twice
    ],
)
def test_losses_and_duplicates_are_counted(writers, versions, aliases, history, counts):
    """Lost and duplicate versions, lost changes of aliases, and gaps in the numbers are counted."""
    records = [make_record(number, *confirmed) for number, confirmed in enumerate(writers)]
    content = RegistryContent(versions, {f"writer_{number}": alias for number, alias in enumerate(aliases)}, history)
    summary = race.summarize_race(records, content, numbered=True)
    assert (summary["lost"], summary["doubled"], summary["gaps"]) == counts
    assert (summary["writers"], summary["failed"], summary["error"]) == (len(records), 0, None)
    assert (summary["history"], summary["seconds"]) == (history is not None, 2.5)


def test_failures_are_counted():
    """Failed calls count; an alias may have a version whose change failed."""
    record = make_record(0, A, errors=["OSError: full", "OSError: full", "KeyError: 'x'"])
    record.possible.append("2")
    summary = race.summarize_race([record], RegistryContent([A, B], {"writer_0": "2"}), numbered=True)
    counts = [summary[key] for key in ("calls", "failed", "error", "lost")]
    assert counts == [5, 3, "OSError: full", 0]
    assert race.shorten("no file '/data/race/models/meta.yaml'.\nTry again.") == "no file 'meta.yaml'. Try again"


# A registry of one file, in which every version is the first.
CARELESS = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from benchmarks import race, registries

class Registry:
    def __init__(self, folder): self.file = folder
    def publish(self, token): self.file.write_text(token); return "1"
    def set_alias(self, alias, version): raise OSError("no aliases")
    def contents(self): return [("1", self.file.read_text())]

records, content = race.run_race(SimpleNamespace(Registry=Registry), Path(sys.argv[1]), 3, 2)
print(json.dumps(race.summarize_race(records, content, numbered=True)))
"""


def test_careless_registry_is_detected(tmp_path):
    """A registry that loses versions is detected in a real race."""
    command = [sys.executable, "-c", CARELESS, str(tmp_path / "one")]
    summary = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    counts = [summary[key] for key in ("lost", "doubled", "failed", "error")]
    assert counts == [5, 5, 6, "OSError: no aliases"]


def test_ours_loses_nothing(tmp_path, monkeypatch):
    """gamesales loses and duplicates nothing; each size of a race and of lookups has a table."""
    monkeypatch.setattr(registry, "RACES", {"full": [(2, 3), (2, 4)]})
    monkeypatch.setattr(registry, "LOOKUPS", {"full": [(3, 1), (4, 6)]})
    result = registry.run(Bench(Assets(tmp_path), "full", rounds=2, contenders=[OURS]))
    answers = [run["answer"] for run in result["runs"] if "calls" in run["answer"]]
    assert (result["skipped"], sorted(answer["calls"] for answer in answers)) == ([], [12, 12, 16, 16])
    assert {answer[key] for answer in answers for key in ("lost", "doubled", "failed", "gaps")} == {0}
    headings = [table.heading for table in registry.build_section(result).tables]
    assert headings[:2] == ["Race: 12 calls by 2 writers", "Race: 16 calls by 2 writers"]
    assert headings[2:] == ["Lookups after 3 versions", "Lookups after 4 versions and 6 changes of the alias"]


@pytest.mark.parametrize("name", load_modules(registries))
def test_every_registry_runs(tmp_path, name):
    """A race and lookups run on every registry whose environment is installed; the first run installs it."""
    module = load_modules(registries)[name]
    if hasattr(module, "ENVIRONMENT") and not find_python(module).parents[1].joinpath("installed.txt").exists():
        pytest.skip("its environment is not installed")
    bench = Bench(Assets(tmp_path), "quick", rounds=1)
    cells = [registry._make_race(bench, name, module, 2, 2), registry._make_lookup(bench, name, module, 3, 2)]
    raced, looked_up = (run["answer"] for run in bench.measure(cells)["runs"])
    assert (raced["writers"], raced["calls"] >= 6, raced["seconds"] > 0) == (2, True, True)
    assert (looked_up["versions"], min(looked_up.values()) > 0) == (3, True)


def test_missing_environment_is_reported(tmp_path, monkeypatch):
    """A registry whose environment cannot be installed is skipped with the reason."""
    reason = "pins.txt could not be installed"
    monkeypatch.setattr(registry, "install_environment", lambda _module: reason)
    result = registry.run(Bench(Assets(tmp_path), "quick", contenders=["pins_folder"]))
    assert result["skipped"] == [{"contender": "pins_folder", "what": "everything", "reason": reason}]
