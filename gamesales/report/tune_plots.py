"""Plots of a search: error by size, the history of trials, and the hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gamesales.report.svg import DASHED, PALETTE, Plot, format_axis, open_axes, render_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Up to this many values are drawn in columns, more values along an axis.
_MAX_COLUMNS = 6
_ERROR = "Scaled MSE"
_LEGEND = "Filled: complete. Hollow: pruned, with the error at that time."


@dataclass(frozen=True)
class TrialSummary:
    """A trial as the page shows it.

    Attributes:
        number: from 0; trial 0 is the start.
        state: how it ended.
        parameters: size of the network.
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


def plot_error_by_size(trials: Sequence[TrialSummary], front: Sequence[int], limit: float, tolerance: str) -> Plot:
    """Plot the error against the number of parameters, with the Pareto front.

    Args:
        trials: the trials.
        front: numbers of the trials on the Pareto front of error and size, the smallest network first.
        limit: the highest error in the final round that is within the tolerance.
        tolerance: as text, such as ``10%``.
    """
    shown = _select_measured(trials)
    by_number = {trial.number: trial for trial in trials}
    finals = [(trial.parameters, trial.final_error) for trial in trials if trial.final_error is not None]
    with open_axes("size", _ERROR, "Parameters") as (figure, axes):
        _draw_trials(axes, shown, [trial.parameters for trial in shown])
        steps = [by_number[number] for number in front]
        axes.step(
            [trial.parameters for trial in steps], _list_errors(steps), where="post", lw=1.2, color=PALETTE["accent"]
        )
        axes.plot(*zip(*finals, strict=True), "D", ms=5, mew=0, color=PALETTE["second"])
        axes.axhline(limit, **DASHED)
        axes.set_xscale("log")
        _format_log_axis(axes.xaxis, [trial.parameters for trial in shown], "{:,.0f}")
        _scale_errors(axes, [*_list_errors(shown), *(error for _, error in finals), limit])
        svg = render_svg(figure)
    caption = "Line: Pareto front. Diamonds: final round. Dashed: lowest error of the final round"
    return Plot("Error by size", f"{_LEGEND} {caption} plus {tolerance}.", svg)


def plot_history(trials: Sequence[TrialSummary]) -> Plot:
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


def plot_importances(importances: Mapping[str, float]) -> Plot:
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


def plot_hyperparameter(name: str, trials: Sequence[TrialSummary]) -> Plot | None:
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
                # render_svg would cut longer fractions as it cuts coordinates.
                _format_log_axis(axes.xaxis, values, "{:,.0f}" if min(values) >= 1 else "{:.0e}")
        _scale_errors(axes, _list_errors(shown))
        svg = render_svg(figure)
    return Plot(name.replace("_", " ").capitalize(), "Each dot is one trial.", svg)


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
    from matplotlib import ticker

    low, high = min(errors), float(np.quantile(errors, 0.95))
    high = max(high, 3 * low)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.25, 1.25 * high)
    _format_log_axis(axes.yaxis, [low, high], "{:.0e}")
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _format_log_axis(axis: Axis, values: Sequence[float], form: str) -> None:
    from matplotlib import ticker

    narrow = max(values) < 100 * min(values)
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=7))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: form.format(value)))


def _format_value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
