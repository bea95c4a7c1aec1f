"""The page of a search: how small the network may be, and which hyperparameters matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gamesales.report.format import MISSING, format_count, format_scientific
from gamesales.report.page import Document, KeyNumber, TableRow, render_template
from gamesales.report.svg import DASHED, PALETTE, Plot, format_axis, format_log_axis, open_axes, render_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Up to this many values are drawn in columns, more values along an axis.
_MAX_COLUMNS = 6
_MAX_ROWS = 15
_ERROR = "Scaled MSE (log scale)"
_LEGEND = "Filled: complete. Hollow: pruned, with the error at that time."
_HEADINGS = {
    "learning_rate": "Learning rate",
    "schedule": "Schedule",
    "batch_size": "Batch size",
    "epochs": "Epochs",
    "l2": "L2",
    "dropout": "Dropout",
}


@dataclass(frozen=True)
class TrialSummary:
    """A trial as the page shows it.

    Attributes:
        number: from 0; trial 0 is the start.
        parameters: the number of weights and biases.
        error: scaled MSE; None: the trial completed no fold.
        final_error: scaled MSE in the final round; None: the trial was not in it.
        network: description of the network.
        hyperparameters: name -> number or text.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    parameters: int
    error: float | None
    final_error: float | None
    network: str
    hyperparameters: Mapping[str, Any]


def render_tune_page(model: str, titles: str, search: Document, trials: Sequence[TrialSummary]) -> str:
    """Render the page as one self-contained HTML document; the same search gives the same bytes.

    Args:
        model: name of the model.
        titles: description of the training titles.
        search: the manifest's ``search``.
        trials: ordered by number.
    """
    settings, importances = search["settings"]["search"], search["importances"]
    tolerance = f"{100 * settings['tolerance']:g}%"
    best, smallest = (trials[search[role]["trial"]] for role in ("best", "smallest"))
    front = [trials[finalist["trial"]] for finalist in search["front"]]
    limit = (best.final_error or math.nan) * (1 + settings["tolerance"])
    plots = [
        plot for name in _rank_hyperparameters(trials, importances) if (plot := _plot_hyperparameter(name, trials))
    ]
    roles = {"best": best.number, "smallest": smallest.number, "start": 0}
    return render_template(
        "tune.html.j2",
        model=model,
        search=search,
        folds=settings["folds"],
        headline=_write_headline(best, smallest, tolerance),
        key_numbers=_build_key_numbers(trials, best, smallest),
        size_plots=[_plot_error_by_size(trials, front, limit, tolerance), _plot_history(trials)],
        hyperparameter_plots=[*([_plot_importances(importances)] if importances else []), *plots],
        headings=("Trial", "Parameters", "Scaled MSE", "Scaled MSE in the final round", *_HEADINGS.values()),
        rows=[_build_row(trial, roles) for trial in _rank_trials(trials)],
        facts={
            "Training titles": titles,
            "Trials": f"{search['complete']:,} complete, {search['pruned']:,} pruned, {search['failed']:,} failed",
            "Time": f"{search['seconds'] / 60:.1f} minutes",
            "Study": search["study"],
            "Seed": settings["seed"],
            "Optuna": search["optuna"],
        },
    )


def _write_headline(best: TrialSummary, smallest: TrialSummary, tolerance: str) -> str:
    if best is smallest:
        return f"The best network is also the smallest network within {tolerance} of its error: {_describe_size(best)}."
    return (
        f"{_describe_size(smallest)} are enough: the error is within {tolerance} of the lowest error, which needs "
        f"{format_count(best.parameters, 'parameter')}."
    )


def _describe_size(trial: TrialSummary) -> str:
    return f"{format_count(trial.parameters, 'parameter')} ({trial.network})"


def _build_key_numbers(trials: Sequence[TrialSummary], best: TrialSummary, smallest: TrialSummary) -> list[KeyNumber]:
    states = [trial.state for trial in trials]
    return [
        _build_error_number("Error of the best network", best, best.final_error),
        _build_error_number("Error of the smallest network", smallest, smallest.final_error),
        _build_error_number("Error of the start", trials[0], trials[0].error),
        (
            "Trials",
            f"{len(states):,}",
            ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states)),
        ),
    ]


def _build_error_number(label: str, trial: TrialSummary, error: float | None) -> KeyNumber:
    rmse = "" if error is None else f"; RMSE is {100 * math.sqrt(error):.2f}% of the range of earnings"
    return label, format_scientific(error), f"{trial.network}, {format_count(trial.parameters, 'parameter')}{rmse}"


def _rank_hyperparameters(trials: Sequence[TrialSummary], importances: Mapping[str, float]) -> list[str]:
    """Return the hyperparameters of all trials, the most important first; units layer by layer."""
    names = dict.fromkeys(name for trial in trials for name in trial.hyperparameters)
    return sorted(names, key=lambda name: -importances.get("units" if name.startswith("units_") else name, 0.0))


def _rank_trials(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """Return the best complete trials; trials of the final round come first."""

    def sort_key(trial: TrialSummary) -> tuple[bool, float]:
        final = trial.final_error
        return final is None, (trial.error or math.inf) if final is None else final

    return sorted((trial for trial in trials if trial.state == "complete"), key=sort_key)[:_MAX_ROWS]


def _build_row(trial: TrialSummary, roles: Mapping[str, int]) -> TableRow:
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


def _plot_error_by_size(
    trials: Sequence[TrialSummary], front: Sequence[TrialSummary], limit: float, tolerance: str
) -> Plot:
    """Plot the error against the number of parameters, with the Pareto front of both, the smallest network first.

    ``limit`` is the highest error in the final round that is within the tolerance.
    """
    shown = _select_measured(trials)
    finals = [(trial.parameters, trial.final_error) for trial in trials if trial.final_error is not None]
    with open_axes("size", _ERROR, "Parameters (log scale)") as (figure, axes):
        _draw_trials(axes, shown, [trial.parameters for trial in shown])
        sizes = [trial.parameters for trial in front]
        axes.step(sizes, _list_errors(front), where="post", lw=1.2, color=PALETTE["accent"])
        axes.plot(*zip(*finals, strict=True), "D", ms=5, mew=0, color=PALETTE["second"])
        axes.axhline(limit, **DASHED)
        axes.set_xscale("log")
        format_log_axis(axes.xaxis, [trial.parameters for trial in shown], "{:,.0f}")
        _scale_errors(axes, [*_list_errors(shown), *(error for _, error in finals), limit])
        svg = render_svg(figure)
    caption = "Line: Pareto front. Diamonds: final round. Dashed: lowest error of the final round"
    return Plot("Error by size", f"{_LEGEND} {caption} plus {tolerance}.", svg)


def _plot_history(trials: Sequence[TrialSummary]) -> Plot:
    """Plot the errors in the order of the trials, with the lowest error so far."""
    from matplotlib import ticker

    shown = _select_measured(trials)
    complete = [trial for trial in shown if trial.state == "complete"]
    with open_axes("history", _ERROR, "Trial") as (figure, axes):
        _draw_trials(axes, shown, [trial.number for trial in shown])
        numbers = [*(trial.number for trial in complete), len(trials) - 1]
        lowest = np.minimum.accumulate(_list_errors(complete))
        axes.step(numbers, [*lowest, lowest[-1]], where="post", lw=1.2, color=PALETTE["accent"])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, min_n_ticks=1))
        _scale_errors(axes, _list_errors(shown))
        svg = render_svg(figure)
    return Plot("Error by trial", f"{_LEGEND} Line: lowest error so far.", svg)


def _plot_importances(importances: Mapping[str, float]) -> Plot:
    """Plot the importance of one or more hyperparameters as bars."""
    names = [name.replace("_", " ") for name in importances][::-1]
    percents = [100 * share for share in importances.values()][::-1]
    with open_axes("importances", "", "Share of the explained variance") as (figure, axes):
        axes.barh(names, percents, height=0.62, color=PALETTE["accent"])
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x")
        axes.tick_params(axis="y", colors=PALETTE["ink"])
        format_axis(axes.xaxis, "{:g}%".format)
        svg = render_svg(figure)
    caption = "Share of the variance of the error that each hyperparameter explains by itself (fANOVA)."
    return Plot("Hyperparameter importance", caption, svg)


def _plot_hyperparameter(name: str, trials: Sequence[TrialSummary]) -> Plot | None:
    """Plot the error against one hyperparameter; None if all trials have the same value."""
    shown = [trial for trial in _select_measured(trials) if name in trial.hyperparameters]
    values = [trial.hyperparameters[name] for trial in shown]
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(distinct) < 2:
        return None
    with open_axes(f"part-{name}", _ERROR, name.replace("_", " ")) as (figure, axes):
        if isinstance(distinct[0], str) or len(distinct) <= _MAX_COLUMNS:
            # Dots of a column are shifted sideways, so that equal errors do not hide each other.
            places = [distinct.index(value) + 0.24 * ((7 * row) % 11 - 5) / 5 for row, value in enumerate(values)]
            _draw_trials(axes, shown, places)
            axes.set_xticks(range(len(distinct)), [_format_value(value) for value in distinct])
        else:
            _draw_trials(axes, shown, values)
            if min(values) > 0 and max(values) >= 10 * min(values):
                axes.set_xscale("log")
                axes.set_xlabel(f"{name.replace('_', ' ')} (log scale)")
                # render_svg would cut longer fractions as it cuts coordinates.
                format_log_axis(axes.xaxis, values, "{:,.0f}" if min(values) >= 1 else "{:.0e}")
        _scale_errors(axes, _list_errors(shown))
        svg = render_svg(figure)
    return Plot(name.replace("_", " ").capitalize(), f"Each dot is one trial. {_LEGEND}", svg)


def _draw_trials(axes: Axes, trials: Sequence[TrialSummary], places: Sequence[float]) -> None:
    """Draw a dot for each trial; pruned trials are hollow and below the others."""
    for state, style in (
        ("pruned", {"mfc": "none", "mew": 0.9, "alpha": 0.55}),
        ("complete", {"mew": 0, "alpha": 0.75}),
    ):
        chosen = [index for index, trial in enumerate(trials) if trial.state == state]
        color = PALETTE["accent"] if state == "complete" else PALETTE["muted"]
        errors = _list_errors([trials[index] for index in chosen])
        settings: dict[str, Any] = {"ms": 4.5, "color": color, **style}
        axes.plot([places[index] for index in chosen], errors, "o", **settings)


def _select_measured(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    return [trial for trial in trials if trial.error is not None and trial.state != "failed"]


def _list_errors(trials: Sequence[TrialSummary]) -> list[float]:
    return [trial.error for trial in trials if trial.error is not None]


def _scale_errors(axes: Axes, errors: Sequence[float]) -> None:
    """Set a log scale for errors that leaves out the worst 5%, so that the other trials have room."""
    low, high = min(errors), float(np.quantile(errors, 0.95))
    high = max(high, 3 * low)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.25, 1.25 * high)
    format_log_axis(axes.yaxis, (low, high), "{:.0e}")


def _format_value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
