"""Many writers, one registry: what is lost, what is doubled and how fast it goes; and how long one reader waits."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import environments, registries
from benchmarks.bench import Bench, Result
from benchmarks.contender import OURS
from benchmarks.environments import ensure
from benchmarks.figures import Figure, by_round, figure, ratios, select
from benchmarks.measure import measure
from benchmarks.rounds import Cell, Run, Skipped, measure_rounds, skipped
from benchmarks.show import NONE, Bars, Ratio, Section, Table, milliseconds, significant, spread, times

# Writers, and the versions that each registers; each is two calls. The larger ones are ours alone.
RACES = {"quick": (8, 12), "full": (16, 12)}
OUR_RACES = {"quick": (), "full": ((16, 313),)}
# Versions, and how often the alias is then moved.
LOOKUPS = {"quick": (60, 1), "full": (200, 1)}
OUR_LOOKUPS = {"quick": (), "full": ((2_000, 8_000),)}


def run(bench: Bench) -> Result:
    """Race each registry in every round, and look things up in one that was filled before."""
    ready, refused = _ready(bench)
    cells = [_race(bench, name, module, RACES[bench.scale]) for name, module in ready.items()]
    filled = [(name, module, LOOKUPS[bench.scale]) for name, module in ready.items()]
    if OURS in ready:
        cells += [_race(bench, OURS, ready[OURS], size) for size in OUR_RACES[bench.scale]]
        filled += [(OURS, ready[OURS], size) for size in OUR_LOOKUPS[bench.scale]]
    for name, module, size in filled:
        fault = _fill(bench, name, module, size)
        if fault is None:
            cells.append(_lookup(bench, name, module, size))
        else:
            refused.append(skipped(name, _lookup_case(*size), fault))
    runs, failed = measure_rounds(cells, bench.patience)
    return {"runs": runs, "skipped": refused + failed}


def show(result: Result) -> Section:
    """Show the races, then the lookups, each size by itself."""
    runs = result["runs"]
    cases = list(dict.fromkeys(run["case"] for run in runs))
    by_case = {case: select(runs, case=case) for case in cases}
    # What a race answers tells calls, what a lookup answers does not.
    races = {case: mine for case, mine in by_case.items() if "calls" in mine[0]["answer"]}
    tables = [_race_table(case, mine) for case, mine in races.items()]
    tables += [_lookup_table(case, mine) for case, mine in by_case.items() if case not in races]
    words = (
        "All writers start at once. Each registers a version and makes an alias of its own name it, again and again; a "
        "call that fails is counted and not tried again. Then a process that took no part reads the registry, and what "
        "writers were told is held against it. gamesales stores two files with each version and syncs every file and "
        "folder to the disk, SQLite syncs its database, the others sync nothing; MLflow stores where a version's files "
        "are, not the files. A quick run has MLflow only if `--contenders` names it."
    )
    who = [f"**{module.LABEL}** (`{name}`): {_why(module)}" for name, module in known().items()]
    plots = [_bars(case, mine) for case, mine in list(races.items())[:1]]
    return Section("Many writers, one registry", [words, *who], tables, plots, result["skipped"])


def known() -> dict[str, ModuleType]:
    """Return the modules of the registries by their names; ours comes first."""
    names = sorted((module.name for module in pkgutil.iter_modules(registries.__path__)), key=lambda name: name != OURS)
    return {name: importlib.import_module(f"{registries.__name__}.{name}") for name in names}


def _ready(bench: Bench) -> tuple[dict[str, ModuleType], list[Skipped]]:
    """Install what the chosen registries need; return those that can be measured, and who can't and why."""
    chosen = {name: module for name, module in known().items() if _wanted(bench, name, module)}
    needed = {environment for module in chosen.values() if (environment := _environment(module))}
    faults = {environment: ensure(environment) for environment in sorted(needed)}
    ready, refused = {}, []
    for name, module in chosen.items():
        fault = faults.get(_environment(module))
        if fault is None:
            ready[name] = module
        else:
            refused.append(skipped(name, "everything", fault))
    return ready, refused


def _wanted(bench: Bench, name: str, module: ModuleType) -> bool:
    """Tell whether a registry takes part: in a quick run MLflow, which is slow to install and to start, if named."""
    if bench.contenders:
        return name in bench.contenders
    return bench.scale == "full" or _environment(module) != "mlflow"


def _race(bench: Bench, name: str, module: ModuleType, size: Sequence[int]) -> Cell:
    writers, each = size
    place = _place(bench, f"race-{name}")
    answer = place.with_suffix(".json")

    def command(_round: int) -> list[str]:
        shutil.rmtree(place, ignore_errors=True)
        return [_python(module), "-m", "benchmarks.race", name, str(place), str(writers), str(each), str(answer)]

    return Cell(name, f"{2 * writers * each:,} calls by {writers} writers", 0, command, answer)


def _fill(bench: Bench, name: str, module: ModuleType, size: Sequence[int]) -> str | None:
    """Make a registry to look things up in; return why that failed, if it did."""
    place = _filled(bench, name, size)
    shutil.rmtree(place, ignore_errors=True)
    command = [_python(module), "-m", "benchmarks.lookups", "fill", name, str(place), *map(str, size)]
    return measure(command).failure


def _lookup(bench: Bench, name: str, module: ModuleType, size: Sequence[int]) -> Cell:
    place = _filled(bench, name, size)
    answer = place.with_suffix(".json")
    command = [_python(module), "-m", "benchmarks.lookups", "time", name, str(place), str(answer)]
    return Cell(name, _lookup_case(*size), 0, lambda _round: command, answer)


def _lookup_case(versions: int, moves: int) -> str:
    return f"lookups after {versions:,} versions" + (f" and {moves:,} moves of the alias" if moves > 1 else "")


def _filled(bench: Bench, name: str, size: Sequence[int]) -> Path:
    return _place(bench, f"filled-{name}-{size[0]}")


def _place(bench: Bench, name: str) -> Path:
    place = bench.assets.folder / "registries" / name
    place.parent.mkdir(exist_ok=True)
    return place


def _environment(module: ModuleType) -> str | None:
    return getattr(module, "ENVIRONMENT", None)


def _python(module: ModuleType) -> str:
    environment = _environment(module)
    return str(environments.python(environment)) if environment else sys.executable


def _why(module: ModuleType) -> str:
    return " ".join((module.__doc__ or "").split())


def _each(runs: list[Run]) -> list[tuple[str, list[Run]]]:
    """Group runs by who was measured, under the names that tables give."""
    called = {name: module.LABEL for name, module in known().items()}
    names = dict.fromkeys(run["contender"] for run in runs)
    return [(called.get(name, name), select(runs, contender=name)) for name in names]


def _answers(runs: list[Run]) -> list[Any]:
    """Return what each round's command told, with the round."""
    return [{**run["answer"], "round": run["round"]} for run in runs]


def successes(runs: list[Run]) -> dict[int, float]:
    """Return calls that succeeded a second, in each round where any did."""
    done = {one["round"]: (one["calls"] - one["failed"]) / one["seconds"] for one in _answers(runs)}
    return {number: rate for number, rate in done.items() if rate > 0}


def _total(runs: list[Run], key: str) -> str:
    """Add up a count over all rounds."""
    counts = [one[key] for one in _answers(runs)]
    return NONE if None in counts else f"{sum(counts):,}"


def _race_table(case: str, runs: list[Run]) -> Table:
    ours = successes(select(runs, contender=OURS))
    rows = [
        [
            name,
            *(_total(mine, key) for key in ("calls", "lost", "doubled", "failed", "gaps")),
            "all" if mine[0]["answer"]["history"] else "the last",
            spread(figure(successes(mine).values()), significant),
            Ratio(ratios(ours, successes(mine)), times),
        ]
        for name, mine in _each(runs)
    ]
    columns = ["", "calls", "lost", "doubled", "told that it failed", "gaps in the numbers", "moves of aliases kept"]
    columns += ["successes a second", "gamesales is faster by"]
    note = (
        "Counts are those of all rounds together. Lost: a writer was told a version and it is not there, or holds "
        "another's content; or an alias names none of what its writer was last told. Doubled: two writers were told "
        f"the same version, or one is stored twice. {NONE}: its versions have no numbers."
    )
    return Table(f"Race: {case}", columns, rows, note + _errors(runs))


def _errors(runs: list[Run]) -> str:
    """Tell the error that each told most often."""
    told = {name: next((one["error"] for one in _answers(mine) if one["error"]), None) for name, mine in _each(runs)}
    return "".join(f" {name} told most often: {error}." for name, error in told.items() if error)


def _lookup_table(case: str, runs: list[Run]) -> Table:
    ours = _answers(select(runs, contender=OURS))
    rows = [
        [
            name,
            _figure(mine, "first_s"),
            _figure(mine, "again_s"),
            Ratio(ratios(by_round(_answers(mine), "again_s"), by_round(ours, "again_s")), times),
            _figure(mine, "list_s"),
            Ratio(ratios(by_round(_answers(mine), "list_s"), by_round(ours, "list_s")), times),
        ]
        for name, mine in _each(runs)
    ]
    columns = ["", "opening, and resolving an alias", "resolving it again", "resolving, of gamesales's time"]
    columns += ["listing the versions", "listing, of gamesales's time"]
    note = "In one process while nobody writes; its start and its imports are left out."
    return Table(case[0].upper() + case[1:], columns, rows, note)


def _figure(runs: list[Run], key: str) -> str:
    return spread(figure(one[key] for one in _answers(runs)), milliseconds)


def _bars(case: str, runs: list[Run]) -> Bars:
    known_rates = [(name, figure(successes(mine).values())) for name, mine in _each(runs)]
    values: list[tuple[str, Figure]] = [(name, found) for name, found in known_rates if found]
    values.sort(key=lambda pair: -pair[1].median)
    return Bars("Successes a second", f"{case}; log scale, the thin line is the spread.", values, significant)
