"""The plots of a search's page: error against size, trial by trial, what mattered, and each part by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gamesales.report.svg import PALETTE, Plot, finish, open_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# More values than these are drawn along an axis, fewer side by side.
_MOST_SIDE_BY_SIDE = 6
_ERROR = "Scaled MSE"
_KEY = "Filled: complete. Hollow: pruned, with the error that it had until then."


@dataclass(frozen=True)
class Attempt:
    """One trial: its size, its error if it reached a fold, and its error in the final if it was there.

    ``parts`` are what was chosen, by name: a number or a text each.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    parameters: int
    error: float | None
    final_error: float | None
    network: str
    parts: Mapping[str, Any]


def plot_size(attempts: Sequence[Attempt], front: Sequence[int], limit: float, share: str) -> Plot:
    """Draw error against size, with the trials that none beats in both.

    Args:
        attempts: the trials.
        front: the numbers of those that none beats, the smallest first.
        limit: the most error that is near enough to the best in the final.
        share: by how much that is above the best, such as ``10 %``.
    """
    shown = _with_errors(attempts)
    by_number = {attempt.number: attempt for attempt in attempts}
    finals = [(one.parameters, one.final_error) for one in attempts if one.final_error is not None]
    with open_axes("size", _ERROR, "Parameters") as (figure, axes):
        _draw(axes, shown, [attempt.parameters for attempt in shown])
        ends = [by_number[number] for number in front]
        axes.step([one.parameters for one in ends], _errors(ends), where="post", lw=1.2, color=PALETTE["accent"])
        axes.plot(*zip(*finals, strict=True), "D", ms=5, mew=0, color=PALETTE["second"])
        axes.axhline(limit, color=PALETTE["ink"], lw=0.8, ls=(0, (4, 3)))
        axes.set_xscale("log")
        _ticks(axes.xaxis, [attempt.parameters for attempt in shown], "{:,.0f}")
        _scale_errors(axes, [*_errors(shown), *(error for _, error in finals), limit])
        svg = finish(figure)
    caption = f"{_KEY} Line: what none beats in both. Diamonds: the final. Dashed: {share} above its best."
    return Plot("Error against size", caption, svg)


def plot_history(attempts: Sequence[Attempt]) -> Plot:
    """Draw the trials in their order, with the lowest error so far."""
    from matplotlib import ticker

    shown = _with_errors(attempts)
    done = [attempt for attempt in shown if attempt.state == "complete"]
    with open_axes("history", _ERROR, "Trial") as (figure, axes):
        _draw(axes, shown, [attempt.number for attempt in shown])
        numbers = [*(attempt.number for attempt in done), len(attempts) - 1]
        lowest = np.minimum.accumulate(_errors(done))
        axes.step(numbers, [*lowest, lowest[-1]], where="post", lw=1.2, color=PALETTE["accent"])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, min_n_ticks=1))
        _scale_errors(axes, _errors(shown))
        svg = finish(figure)
    return Plot("Trial by trial", f"{_KEY} Line: the lowest so far.", svg)


def plot_importances(importances: Mapping[str, float]) -> Plot:
    """Draw what mattered, as bars; one part or more."""
    from matplotlib import ticker

    names = [name.replace("_", " ") for name in importances][::-1]
    shares = [100 * share for share in importances.values()][::-1]
    with open_axes("importances", "", "Share of what explains the error") as (figure, axes):
        axes.barh(names, shares, height=0.62, color=PALETTE["accent"])
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x")
        axes.tick_params(axis="y", colors=PALETTE["ink"])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}\u00a0%"))
        svg = finish(figure)
    return Plot("What mattered", "Each part by itself, over the whole space; by fANOVA.", svg)


def plot_part(name: str, attempts: Sequence[Attempt]) -> Plot | None:
    """Draw the error by one part; nothing where all trials have the same."""
    shown = [attempt for attempt in _with_errors(attempts) if name in attempt.parts]
    values = [attempt.parts[name] for attempt in shown]
    different = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(different) < 2:
        return None
    with open_axes(f"part-{name}", _ERROR, name.replace("_", " ")) as (figure, axes):
        if isinstance(different[0], str) or len(different) <= _MOST_SIDE_BY_SIDE:
            # Side by side, each a little aside of the one before, so that equal ones don't hide each other.
            places = [different.index(value) + 0.24 * ((7 * row) % 11 - 5) / 5 for row, value in enumerate(values)]
            _draw(axes, shown, places)
            axes.set_xticks(range(len(different)), [_written(value) for value in different])
        else:
            _draw(axes, shown, values)
            if min(values) > 0 and max(values) >= 10 * min(values):
                axes.set_xscale("log")
                # Longer fractions would be cut as coordinates are.
                _ticks(axes.xaxis, values, "{:,.0f}" if min(values) >= 1 else "{:.0e}")
        _scale_errors(axes, _errors(shown))
        svg = finish(figure)
    return Plot(name.replace("_", " ").capitalize(), "One dot is one trial.", svg)


def _draw(axes: Axes, attempts: Sequence[Attempt], places: Sequence[float]) -> None:
    """Draw a dot for each trial: the pruned ones below the others, and hollow."""
    for state, look in (
        ("pruned", {"mfc": "none", "mew": 0.9, "alpha": 0.55}),
        ("complete", {"mew": 0, "alpha": 0.75}),
    ):
        chosen = [place for place, attempt in enumerate(attempts) if attempt.state == state]
        colour = PALETTE["accent"] if state == "complete" else PALETTE["muted"]
        errors = _errors([attempts[place] for place in chosen])
        settings: dict[str, Any] = {"ms": 4.5, "color": colour, **look}
        axes.plot([places[place] for place in chosen], errors, "o", **settings)


def _with_errors(attempts: Sequence[Attempt]) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt.error is not None and attempt.state != "failed"]


def _errors(attempts: Sequence[Attempt]) -> list[float]:
    return [attempt.error for attempt in attempts if attempt.error is not None]


def _scale_errors(axes: Axes, errors: Sequence[float]) -> None:
    """Give errors a log scale that does not waste itself on the few worst."""
    from matplotlib import ticker

    low, high = min(errors), float(np.quantile(errors, 0.95))
    high = max(high, 3 * low)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.25, 1.25 * high)
    _ticks(axes.yaxis, [low, high], "{:.0e}")
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _ticks(axis: Axis, values: Sequence[float], form: str) -> None:
    from matplotlib import ticker

    narrow = max(values) < 100 * min(values)
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=7))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: form.format(value)))


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
