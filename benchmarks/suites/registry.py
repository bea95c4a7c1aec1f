"""Measure many writers of one registry with their losses and duplicates, and the lookups of a single reader."""

from types import ModuleType

from benchmarks import registries
from benchmarks.bench import OURS, Bench, Result, describe_module, find_python, install_environment, load_modules
from benchmarks.measure import Cell, Run, call_python, measure
from benchmarks.tables import NONE, Section, Table, by_round, group, select, show, show_ratio

# Writers, and the versions that each registers; each version is two calls. Only gamesales has the second sizes.
RACES = {"quick": [(8, 12)], "full": [(16, 12), (16, 313)]}
# Versions, and changes of the alias that is then looked up.
LOOKUPS = {"quick": [(60, 1)], "full": [(200, 1), (2_000, 8_000)]}
LOOKUP_COLUMNS = {
    "first_s": "opening, and resolving an alias",
    "again_s": "resolving it again",
    "list_s": "listing the versions",
}
INTRODUCTION = """\
All writers start at once. Each writer registers a version and sets its own alias to the version, again
and again. A call that fails is counted and not repeated. Then another process reads the registry, and its content is
compared with the results of the calls. gamesales stores two files with each version and syncs every file and folder to
the disk. SQLite syncs its database. The other registries sync nothing. MLflow stores the location of the files of a
version, not the files. A quick run includes MLflow only if `--contenders` names it."""
RACE_NOTE = f"""Counts are totals of all rounds. Lost: a version was confirmed to a writer, and is missing or has other
content; or an alias has another version than its writer set last. Duplicates: a version was confirmed to two writers,
or stored twice. {NONE}: the versions have no numbers."""
LOOKUP_NOTE = "One process while nobody writes. Its start and its imports are left out."


def run(bench: Bench) -> Result:
    cells = []
    for name, module in load_modules(registries).items():
        # By default, a quick run leaves out MLflow, which is slow to install.
        if name in bench.contenders or not (bench.contenders or (bench.scale == "quick" and "mlflow" in name)):
            fault, sizes = install_environment(module), slice(None if name == OURS else 1)
            if fault:
                bench.skip(name, "everything", fault)
                continue
            cells += [_make_race(bench, name, module, *race) for race in RACES[bench.scale][sizes]]
            cells += [_make_lookup(bench, name, module, *lookup) for lookup in LOOKUPS[bench.scale][sizes]]
    return bench.measure([cell for cell in cells if cell])


def build_section(result: Result) -> Section:
    modules, cases = load_modules(registries).items(), group(result["runs"], "case").items()
    labels = {name: module.LABEL for name, module in modules}
    tables = [_build_race(case, runs, labels) for case, runs in cases if "calls" in runs[0]["answer"]]
    tables += [_build_lookups(case, runs, labels) for case, runs in cases if "first_s" in runs[0]["answer"]]
    descriptions = [f"**{module.LABEL}** (`{name}`): {describe_module(module)}" for name, module in modules]
    return Section("Many writers, one registry", [INTRODUCTION, *descriptions], tables, result["skipped"])


def _make_race(bench: Bench, name: str, module: ModuleType, writers: int, versions: int) -> Cell:
    command = _call("main", name, module, bench.assets.folder / f"race-{name}", writers, versions)
    return Cell(name, f"{2 * writers * versions:,} calls by {writers} writers", 0, lambda _round: command)


def _make_lookup(bench: Bench, name: str, module: ModuleType, versions: int, moves: int) -> Cell | None:
    """Fill a registry; return the cell of its lookups, or None if it could not be filled."""
    folder = bench.assets.folder / f"lookups-{name}-{versions}"
    case = f"lookups after {versions:,} versions" + (f" and {moves:,} changes of the alias" if moves > 1 else "")
    failure = measure(_call("fill_registry", name, module, folder, versions, moves)).failure
    if failure:
        bench.skip(name, case, failure)
        return None
    return Cell(name, case, 0, lambda _round: _call("time_lookups", name, module, folder))


def _call(function: str, name: str, module: ModuleType, *values: object) -> list[str]:
    return call_python("benchmarks.race", function, name, *values, python=find_python(module))


def _compute_success_rates(runs: list[Run]) -> dict[int, float]:
    """Return successful calls per second, in each round with any."""
    answers = {run["round"]: run["answer"] for run in runs if run["answer"]["calls"] > run["answer"]["failed"]}
    return {number: (answer["calls"] - answer["failed"]) / answer["seconds"] for number, answer in answers.items()}


def _build_race(case: str, runs: list[Run], labels: dict[str, str]) -> Table:
    ours = _compute_success_rates(select(runs, contender=OURS))
    rows, note = [], RACE_NOTE
    for name, mine in group(runs, "contender", labels).items():
        answers, rates = [run["answer"] for run in mine], _compute_success_rates(mine)
        columns = [[answer[key] for answer in answers] for key in ("calls", "lost", "doubled", "failed", "gaps")]
        counts = [NONE if None in column else f"{sum(column):,}" for column in columns]
        history = "all" if answers[0]["history"] else "the last"
        rows.append([name, *counts, history, show(rates.values(), ""), show_ratio(ours, rates)])
        error = next((answer["error"] for answer in answers if answer["error"]), None)
        note += f" The most frequent error of {name}: {error}." if error else ""
    names = ["", "calls", "lost", "duplicates", "failed", "gaps in the numbers", "changes of aliases kept"]
    names += ["successes per second", "gamesales is faster by"]
    return Table(f"Race: {case}", names, rows, note)


def _build_lookups(case: str, runs: list[Run], labels: dict[str, str]) -> Table:
    rows = []
    for name, mine in group(runs, "contender", labels).items():
        cells = []
        for key in LOOKUP_COLUMNS:
            seconds, ours = by_round(mine, key), by_round(select(runs, contender=OURS), key)
            cells += [show((1e3 * value for value in seconds.values()), "ms"), show_ratio(seconds, ours)]
        rows.append([name, *cells])
    columns = [column for title in LOOKUP_COLUMNS.values() for column in (title, "relative to gamesales")]
    return Table(case.capitalize(), ["", *columns], rows, LOOKUP_NOTE)
