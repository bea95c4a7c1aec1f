"""The page of a search: how small a network may be, and what mattered.

One HTML file that needs nothing else, as the page of a version.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamesales.report.format import MISSING, count, scientific
from gamesales.report.metric_table import Highlight
from gamesales.report.tune_plots import Attempt, plot_history, plot_importances, plot_part, plot_size
from gamesales.report.version_page import environment

# So many trials the table shows; those in the final come first.
_SHOWN = 15
_PARTS = {
    "learning_rate": "Learning rate",
    "schedule": "Schedule",
    "batch_size": "Batch",
    "epochs": "Epochs",
    "l2": "L2",
    "dropout": "Dropout",
}


@dataclass(frozen=True)
class TunePage:
    """Everything that the page shows; plain data.

    ``attempts`` are the trials by number, from 0, the first of them the start; ``best``, ``smallest`` and ``front`` are
    numbers of them, and ``chosen`` is ``best`` or ``smallest``. ``tolerance`` is the share of error that the smallest
    may have more than the best. ``importances`` are shares by part, the largest first; none if there were too few
    trials.
    """

    model: str
    attempts: Sequence[Attempt]
    best: int
    smallest: int
    chosen: str
    tolerance: float
    folds: int
    front: Sequence[int]
    importances: Mapping[str, float]
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """One line of the table; ``mark`` says what it is, if it is something."""

    who: str
    mark: str
    cells: Sequence[str]


def render_tune_page(page: TunePage) -> str:
    """Write the page as one self-contained HTML document; the same search gives the same bytes."""
    share = f"{100 * page.tolerance:g}\u00a0%"
    best = page.attempts[page.best].final_error or math.nan
    parts = [plot for name in _searched(page) if (plot := plot_part(name, page.attempts))]
    return (
        environment()
        .get_template("tune.html.j2")
        .render(
            page=page,
            headline=_headline(page, share),
            highlights=_highlights(page),
            size=[
                plot_size(page.attempts, page.front, best * (1 + page.tolerance), share),
                plot_history(page.attempts),
            ],
            mattered=[*([plot_importances(page.importances)] if page.importances else []), *parts],
            columns=("Parameters", "Error", "In the final", *_PARTS.values()),
            lines=[_line(page, attempt) for attempt in _shown(page.attempts)],
            share=share,
        )
    )


def _headline(page: TunePage, share: str) -> str:
    best, smallest = page.attempts[page.best], page.attempts[page.smallest]
    if best is smallest:
        return f"The best network is also the smallest within {share}: {_sized(best)}."
    return f"{_sized(smallest)} are enough: within {share} of the best, which has {best.parameters:,}."


def _sized(attempt: Attempt) -> str:
    return f"{count(attempt.parameters, 'parameter')} ({attempt.network})"


def _highlights(page: TunePage) -> list[Highlight]:
    best, smallest, start = (page.attempts[number] for number in (page.best, page.smallest, 0))
    return [
        Highlight("Error of the best", scientific(best.final_error), _remark(best, best.final_error)),
        Highlight("Error of the smallest", scientific(smallest.final_error), _remark(smallest, smallest.final_error)),
        Highlight("Error of the start", scientific(start.error), _remark(start, start.error)),
        Highlight("Trials", f"{len(page.attempts):,}", _counted(page.attempts)),
    ]


def _remark(attempt: Attempt, error: float | None) -> str:
    off = f"; off by {100 * math.sqrt(error):.2f}\u00a0% of the range" if error is not None else ""
    return f"{attempt.network}, {count(attempt.parameters, 'parameter')}{off}"


def _counted(attempts: Sequence[Attempt]) -> str:
    states = [attempt.state for attempt in attempts]
    return ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states))


def _searched(page: TunePage) -> list[str]:
    """Return the parts that trials differ in, those that mattered most first; units layer by layer."""
    names = dict.fromkeys(name for attempt in page.attempts for name in attempt.parts)
    return sorted(names, key=lambda name: -page.importances.get("units" if name.startswith("units_") else name, 0.0))


def _shown(attempts: Sequence[Attempt]) -> list[Attempt]:
    done = [attempt for attempt in attempts if attempt.state == "complete"]
    return sorted(done, key=_rank)[:_SHOWN]


def _rank(attempt: Attempt) -> tuple[bool, float]:
    final = attempt.final_error
    return final is None, (attempt.error or math.inf) if final is None else final


def _line(page: TunePage, attempt: Attempt) -> Line:
    marks = {"best": page.best, "smallest": page.smallest, "start": 0}
    cells = [f"{attempt.parameters:,}", scientific(attempt.error), scientific(attempt.final_error)]
    return Line(
        who=f"{attempt.number}: {attempt.network}",
        mark=", ".join(mark for mark, number in marks.items() if number == attempt.number),
        cells=[*cells, *(_cell(attempt.parts.get(name)) for name in _PARTS)],
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2g}"
    return MISSING if value is None else str(value)
