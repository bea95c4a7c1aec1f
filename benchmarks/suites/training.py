"""Past titles in, a network out: how long, and how good on titles that it never saw."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

from benchmarks import trainers
from benchmarks.assets import ROOT
from benchmarks.bench import Bench, Result
from benchmarks.figures import Figure, by_round, figure, ratios, select
from benchmarks.rounds import Cell, Run, measure_rounds
from benchmarks.show import NONE, Bars, Ratio, Section, Table, megabytes, seconds, spread, times

PLAIN = "keras_fit"
CASE = "1,000 past titles"
# The whole commands do not tell what training alone takes, so no ratio hangs on them: a full run alone has them.
COMMANDS = ("ours_course", "ours_default", "ours_million")
# Trainers that say so train on so many titles instead.
MANY = "{:,} past titles, one epoch"


def run(bench: Bench) -> Result:
    """Train with every trainer in each round; the round is the seed."""
    cells = [_cell(bench, name) for name in _trainers() if bench.scale == "full" or name not in COMMANDS]
    runs, failed = measure_rounds(cells, bench.patience)
    return {"runs": runs, "skipped": failed}


def show(result: Result) -> Section:
    """Show whole processes, training alone, and the time to the error that plain Keras ends with."""
    known = _trainers()
    runs = select(result["runs"], case=CASE)
    goal = figure(run["answer"]["scaled_mse"] for run in select(runs, contender=PLAIN))
    each = {name: select(runs, contender=name) for name in known}
    rows = [_row(known[name], mine, runs, goal) for name, mine in each.items() if mine]
    columns = [
        "",
        "whole process",
        "training alone",
        "plain Keras fit takes",
        "error, scaled MSE",
        "training until as good as plain Keras",
        "CPU time",
        "peak memory",
    ]
    reached = f"{goal.median:.2e}" if goal else NONE
    note = (
        "The network is 9-50-100-50-1 with ReLU, save in the default job; errors are on 400 titles held back. "
        "Training alone leaves out the start of the process, reading, and looking at the error. "
        f"As good as plain Keras means a scaled MSE of {reached}, the median that it ends with; "
        f"{NONE} means that it was not reached in every round, or that the command does not tell."
    )
    who = [
        f"**{module.LABEL}**: {' '.join((module.__doc__ or '').split())}"
        for name, module in known.items()
        if select(result["runs"], contender=name)
    ]
    values = [(known[name].LABEL, _training(mine)) for name, mine in each.items()]
    plots = [Bars("Training alone", "Log scale.", [(name, found) for name, found in values if found], seconds)]
    tables = [Table(CASE, columns, rows, note), *_many(result["runs"], known)]
    return Section("Training", who, tables, plots, result["skipped"])


def time_to(run: Run, error: float) -> float | None:
    """Return the seconds of training after which a run was as good as ``error``, None if it never was."""
    return next((at for at, found in run["answer"]["curve"] if found <= error), None)


def _many(runs: list[Run], known: dict[str, ModuleType]) -> list[Table]:
    """Show what large files take; nothing of results that have none."""
    tables = []
    for module in known.values():
        case = MANY.format(getattr(module, "ROWS", 0))
        mine = select(runs, case=case)
        cells = [
            module.LABEL,
            spread(figure(run["wall_s"] for run in mine), seconds),
            spread(figure(run["cpu_s"] for run in mine), seconds),
            spread(figure(by_round(mine, "peak_bytes").values()), megabytes),
        ]
        tables += [Table(case, ["", "whole process", "CPU time", "peak memory"], [cells])] if mine else []
    return tables


def _row(module: ModuleType, mine: list[Run], runs: list[Run], goal: Figure | None) -> list[str | Ratio]:
    plain = _fit_times(select(runs, contender=PLAIN))
    until = [time_to(run, goal.median) if goal else None for run in mine]
    return [
        module.LABEL,
        spread(figure(run["wall_s"] for run in mine), seconds),
        spread(_training(mine), seconds),
        Ratio(ratios(plain, _fit_times(mine)), times),
        spread(figure(run["answer"]["scaled_mse"] for run in mine), lambda error: f"{error:.2e}"),
        NONE if None in until else spread(figure(until), seconds),
        spread(figure(run["cpu_s"] for run in mine), seconds),
        spread(figure(by_round(mine, "peak_bytes").values()), megabytes),
    ]


def _fit_times(runs: list[Run]) -> dict[int, float]:
    return {run["round"]: run["answer"]["fit_s"] for run in runs if run["answer"]["fit_s"]}


def _training(runs: list[Run]) -> Figure | None:
    return figure(_fit_times(runs).values())


def _trainers() -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(trainers.__path__))
    return {name: importlib.import_module(f"{trainers.__name__}.{name}") for name in names}


def _cell(bench: Bench, name: str) -> Cell:
    answer = bench.assets.folder / f"trainer-{name}.json"
    rows = getattr(_trainers()[name], "ROWS", None)
    files = [str(ROOT / f"data/sales_data_{which}.csv") for which in ("training", "test")]
    if rows:
        files[0] = str(bench.assets.past_titles(rows))

    def command(number: int) -> list[str]:
        answer.unlink(missing_ok=True)
        return [sys.executable, "-m", f"{trainers.__name__}.{name}", *files, str(answer), str(number + 1)]

    return Cell(name, MANY.format(rows) if rows else CASE, rows or 1_000, command, answer)
