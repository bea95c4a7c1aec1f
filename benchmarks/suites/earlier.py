"""Measure an earlier checkout of gamesales in turn with this one, on what people wait for."""

import sys
from pathlib import Path

from benchmarks.assets import warm_cache
from benchmarks.bench import Bench, Result
from benchmarks.measure import ROOT, Cell
from benchmarks.suites.startup import BARE, IMPORTS, TITLE
from benchmarks.tables import Section, Table, by_round, group, select, show_process, show_ratio

EARLIER, NOW = "earlier", "now"
MILLION = 1_000_000
INTRODUCTION = f"""Commit {{}} in turn with this checkout, in the same rounds, as whole processes. Both score the same
files with the same version of the course's network. The last column compares with a process that only imports {BARE}.
The section needs an earlier checkout, `--earlier FOLDER`, so no other run measures it."""


def run(bench: Bench) -> Result:
    """Measure every command with both checkouts, and the bare imports."""
    if bench.earlier is None:
        raise SystemExit("the suite earlier compares two checkouts; name the other one: --earlier FOLDER")
    cells = [Cell(NOW, BARE, 0, lambda _round: [sys.executable, "-c", IMPORTS[BARE]])]
    for name, (words, source) in make_commands(bench).items():
        for contender, checkout in ((EARLIER, bench.earlier), (NOW, ROOT)):
            cells.append(_make_cell(bench, contender, name, checkout, words, source))
    return bench.measure(cells)


def make_commands(bench: Bench) -> dict[str, tuple[list[str], Path | None]]:
    """Return the arguments of each command and its file of titles, by name."""
    registry, output = ["--registry", str(bench.assets.registry)], bench.assets.output
    sources = {
        "score, 1,000 titles": bench.assets.titles("continuous", 1_000, "parquet"),
        "score, 1 M different titles, Parquet": bench.assets.titles("continuous", MILLION, "parquet"),
        "score, 1 M different titles, CSV": bench.assets.titles("continuous", MILLION, "csv"),
        "score, 10 M realistic titles": bench.assets.titles("realistic", 10 * MILLION, "parquet"),
        "score, 10 M realistic titles, unique text ids": bench.assets.with_column("text_id", 10 * MILLION),
        "score, 10 M realistic titles, unique integer ids": bench.assets.with_column("integer_id", 10 * MILLION),
    }
    commands: dict[str, tuple[list[str], Path | None]] = {
        "--help": (["--help"], None),
        "predict": (["predict", *TITLE.split(), *registry], None),
    }
    for name, source in sources.items():
        target = str(output(f"predictions{source.suffix}"))
        commands[name] = (["score", str(source), "--output", target, *registry], source)
    new = ["--registry", str(output("registry"))]
    commands["train, the default job"] = (["train", "jobs/train.toml", *new], None)
    search = ["tune", "jobs/tune.toml", "--trials", "20", "--storage", str(output("search")), *new]
    commands["tune, 20 trials"] = (search, None)
    return commands


def build_section(result: Result) -> Section:
    bare, rows = by_round(select(result["runs"], case=BARE)), []
    for name, mine in group([run for run in result["runs"] if run["case"] != BARE], "case").items():
        earlier, now = (select(mine, contender=contender) for contender in (EARLIER, NOW))
        ratios = [show_ratio(by_round(now, key), by_round(earlier, key)) for key in ("wall_s", "cpu_s")]
        rows.append([name, *show_process(earlier), *show_process(now), *ratios, show_ratio(by_round(now), bare)])
    costs = ("time", "CPU time", "peak memory")
    columns = ["", *(f"{when}: {cost}" for when in (EARLIER, NOW) for cost in costs)]
    columns += ["time, now / earlier", "CPU time, now / earlier", "now / bare imports"]
    table = Table("Commands, earlier and now", columns, rows)
    return Section("Earlier and now", [INTRODUCTION.format(result["made"]["earlier"])], [table], result["skipped"])


def _make_cell(bench: Bench, contender: str, name: str, checkout: Path, words: list[str], source: Path | None) -> Cell:
    def command(_round: int) -> list[str]:
        if source:
            warm_cache(source)
        bench.assets.clear_output("predictions")
        # The modules of the working directory are imported first, also by the processes that the command starts.
        return ["sh", "-c", 'cd "$0" && exec "$@"', str(checkout), sys.executable, "-m", "gamesales", *words]

    return Cell(contender, name, 0, command)
