"""The page of a search: how small the network may be, and which hyperparameters matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamesales.report.format import MISSING, format_count, format_scientific
from gamesales.report.page import KeyNumber, TableRow, render_template
from gamesales.report.tune_plots import (
    TrialSummary,
    plot_error_by_size,
    plot_history,
    plot_hyperparameter,
    plot_importances,
)

_MAX_ROWS = 15
_HEADINGS = {
    "learning_rate": "Learning rate",
    "schedule": "Schedule",
    "batch_size": "Batch size",
    "epochs": "Epochs",
    "l2": "L2",
    "dropout": "Dropout",
}


@dataclass(frozen=True)
class TunePage:
    """Everything that the page shows, as plain data.

    Attributes:
        model: name of the model.
        trials: ordered by number; trial 0 is the start.
        best: number of the trial with the lowest error in the final round.
        smallest: number of the trial with the smallest network within the tolerance.
        chosen: ``best`` or ``smallest``: the network that was trained and registered.
        tolerance: the share by which the error of the smallest may exceed the error of the best.
        folds: the number of folds.
        front: numbers of the trials on the Pareto front of error and size, the smallest network first.
        importances: hyperparameter -> share of the explained variance, the largest first; empty: too few trials.
        facts: label -> value: what the search was made from.
    """

    model: str
    trials: Sequence[TrialSummary]
    best: int
    smallest: int
    chosen: str
    tolerance: float
    folds: int
    front: Sequence[int]
    importances: Mapping[str, float]
    facts: Mapping[str, str]


def render_tune_page(page: TunePage) -> str:
    """Render the page as one self-contained HTML document; the same search gives the same bytes."""
    tolerance = f"{100 * page.tolerance:g}%"
    lowest_error = page.trials[page.best].final_error or math.nan
    limit = lowest_error * (1 + page.tolerance)
    plots = [plot for name in _rank_hyperparameters(page) if (plot := plot_hyperparameter(name, page.trials))]
    return render_template(
        "tune.html.j2",
        page=page,
        model=page.model,
        headline=_write_headline(page, tolerance),
        key_numbers=_build_key_numbers(page),
        size_plots=[plot_error_by_size(page.trials, page.front, limit, tolerance), plot_history(page.trials)],
        hyperparameter_plots=[*([plot_importances(page.importances)] if page.importances else []), *plots],
        headings=("Parameters", "Scaled MSE", "Scaled MSE in the final round", *_HEADINGS.values()),
        rows=[_build_row(page, trial) for trial in _rank_trials(page.trials)],
    )


def _write_headline(page: TunePage, tolerance: str) -> str:
    best, smallest = page.trials[page.best], page.trials[page.smallest]
    if best is smallest:
        return f"The best network is also the smallest network within {tolerance} of its error: {_describe_size(best)}."
    return (
        f"{_describe_size(smallest)} are enough: the error is within {tolerance} of the lowest error, which needs "
        f"{format_count(best.parameters, 'parameter')}."
    )


def _describe_size(trial: TrialSummary) -> str:
    return f"{format_count(trial.parameters, 'parameter')} ({trial.network})"


def _build_key_numbers(page: TunePage) -> list[KeyNumber]:
    best, smallest, start = (page.trials[number] for number in (page.best, page.smallest, 0))
    states = [trial.state for trial in page.trials]
    return [
        _build_error_number("Error of the best network", best, best.final_error),
        _build_error_number("Error of the smallest network", smallest, smallest.final_error),
        _build_error_number("Error of the start", start, start.error),
        KeyNumber(
            "Trials",
            f"{len(states):,}",
            ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states)),
        ),
    ]


def _build_error_number(label: str, trial: TrialSummary, error: float | None) -> KeyNumber:
    rmse = "" if error is None else f"; RMSE is {100 * math.sqrt(error):.2f}% of the range of earnings"
    return KeyNumber(
        label, format_scientific(error), f"{trial.network}, {format_count(trial.parameters, 'parameter')}{rmse}"
    )


def _rank_hyperparameters(page: TunePage) -> list[str]:
    """Return the hyperparameters of all trials, the most important first; units layer by layer."""
    names = dict.fromkeys(name for trial in page.trials for name in trial.hyperparameters)
    return sorted(names, key=lambda name: -page.importances.get("units" if name.startswith("units_") else name, 0.0))


def _rank_trials(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """Return the best complete trials; trials of the final round come first."""

    def sort_key(trial: TrialSummary) -> tuple[bool, float]:
        final = trial.final_error
        return final is None, (trial.error or math.inf) if final is None else final

    return sorted((trial for trial in trials if trial.state == "complete"), key=sort_key)[:_MAX_ROWS]


def _build_row(page: TunePage, trial: TrialSummary) -> TableRow:
    roles = {"best": page.best, "smallest": page.smallest, "start": 0}
    note = ", ".join(role for role, number in roles.items() if number == trial.number)
    numbers = [f"{trial.parameters:,}", format_scientific(trial.error), format_scientific(trial.final_error)]
    return TableRow(
        f"{trial.number}: {trial.network}",
        [*numbers, *(_format_cell(trial.hyperparameters.get(name)) for name in _HEADINGS)],
        note=note,
        is_marked=bool(note),
    )


def _format_cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2g}"
    return MISSING if value is None else str(value)
