"""Measure every trainer: its time, and its error on test titles."""

import math
import statistics

from benchmarks import trainers
from benchmarks.bench import Bench, Result, describe_module, load_modules
from benchmarks.measure import ROOT, Cell, Run, call_python
from benchmarks.tables import (
    NONE,
    Section,
    Table,
    by_round,
    format_value,
    group,
    select,
    show,
    show_process,
    show_ratio,
)
from benchmarks.trainers import keras_default

PLAIN = "keras_fit"
CASE = "1,000 past titles"
MANY = "{:,} past titles, one epoch"
# The whole commands do not report the time of training alone, so only a full run has them.
COMMANDS = ("ours_course", "ours_default", "ours_million", "ours_search", "keras_default")
COLUMNS = ["", "whole process", "training alone", "faster than plain Keras by", "error, scaled MSE"]
COLUMNS += ["training to the error of plain Keras", "CPU time", "peak memory"]
WHOLE = ["", "whole process", "CPU time", "peak memory", "trials per minute"]
NOTE = """The network is 9-50-100-50-1 with ReLU, except in the default job. Errors are measured on 400 test titles.
Training alone leaves out start-up, reading, and the computation of the error. Plain Keras ends with a median scaled MSE
of {}. {} means that not every round reached this error, or that the command does not report it."""


def run(bench: Bench) -> Result:
    """Train with every trainer in each round; the round is the seed."""
    names = [name for name in load_modules(trainers) if bench.scale == "full" or name not in COMMANDS]
    return bench.measure([_make_cell(bench, name) for name in names])


def build_section(result: Result) -> Section:
    runs = select(result["runs"], case=CASE)
    plain = select(runs, contender=PLAIN)
    goal = statistics.median([run["answer"]["scaled_mse"] for run in plain] or [math.nan])
    rows, large, descriptions = [], [], []
    for name, module in sorted(load_modules(trainers).items()):
        measured = select(result["runs"], contender=name)
        descriptions += [f"**{module.LABEL}**: {describe_module(module)}"] if measured else []
        if mine := select(runs, contender=name):
            times, fit_times = [find_time_to(run, goal) for run in mine], by_round(mine, "fit_s")
            time, cpu, memory = show_process(mine)
            alone, ratio = show(fit_times.values(), "s"), show_ratio(by_round(plain, "fit_s"), fit_times)
            error = show((run["answer"]["scaled_mse"] for run in mine), "MSE")
            to_goal = NONE if None in times else show(times, "s")
            rows.append([module.LABEL, time, alone, ratio, error, to_goal, cpu, memory])
        for case in sorted({run["case"] for run in measured} - {CASE, keras_default.CASE}):
            rates = by_round(measured, "trials_per_minute").values()
            cells = [module.LABEL, *show_process(select(measured, case=case)), *([show(rates, "")] if rates else [])]
            large.append(Table(case, WHOLE[: len(cells)], [cells]))
    note = NOTE.format(format_value(goal, "MSE"), NONE)
    tables = [Table(CASE, COLUMNS, rows, note), *_compare_whole(result), *large]
    return Section("Training", descriptions, tables, result["skipped"])


def _compare_whole(result: Result) -> list[Table]:
    """Return the table of the default job, each as a whole process, with its time relative to plain Keras."""
    runs = select(result["runs"], case=keras_default.CASE)
    base, rows = select(runs, contender="keras_default"), []
    for name, mine in group(runs, "contender").items():
        error = show((run["answer"]["scaled_mse"] for run in mine), "MSE")
        rows.append([load_modules(trainers)[name].LABEL, *show_process(mine, base), error])
    columns = ["", "whole process", "time relative to plain Keras", "CPU time", "peak memory", "error, scaled MSE"]
    return [Table(keras_default.CASE, columns, rows)] if rows else []


def find_time_to(run: Run, error: float) -> float | None:
    """Return the seconds of training until the error was reached, None if it never was."""
    return next((seconds for seconds, reached in run["answer"]["curve"] if reached <= error), None)


def _make_cell(bench: Bench, name: str) -> Cell:
    module = load_modules(trainers)[name]
    rows = getattr(module, "ROWS", None)
    train = bench.assets.past_titles(rows) if rows else ROOT / "data/sales_data_training.csv"
    files = train, ROOT / "data/sales_data_test.csv"
    case = MANY.format(rows) if rows else getattr(module, "CASE", CASE)
    return Cell(name, case, rows or 1_000, lambda number: call_python(module.__name__, "main", *files, number + 1))
