"""One version's past predictions, added up date by date and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gamesales.data.contract import Contract
from gamesales.jobs.backtesting.actuals import Actuals
from gamesales.jobs.backtesting.evidence import Known
from gamesales.jobs.backtesting.joining import Matched, join_date
from gamesales.jobs.backtesting.verdict import sentences
from gamesales.model.accuracy import Figures, Shift, against_holdout, bias_shift, error_shift, figures
from gamesales.model.tally import Gathered, Sample
from gamesales.scoring.dated import Past

Evidence = Literal["recorded", "recorded before", "would be recorded", "refused"]


@dataclass(frozen=True)
class Dated:
    """One date: what was matched, and the figures. All its predictions are of one version."""

    date: str
    version: int
    digest: str
    rows: int
    waiting: int
    without_id: int
    titles_doubled: int
    figures: Figures


@dataclass(frozen=True)
class Monthly:
    """One version's predictions of a calendar month."""

    month: str
    version: int
    digest: str
    figures: Figures


@dataclass(frozen=True)
class Judged:
    """One version over all its dates.

    ``newest_from`` is the first of its newer dates, the later half: ``against_holdout`` compares their error with the
    version's holdout, ``error_shift`` and ``bias_shift`` with the older half; ``verdict`` tells it in words.
    ``refused`` says why nothing was recorded, where ``evidence`` says so.
    """

    model: str
    version: int
    digest: str
    first_date: str
    last_date: str
    dates: int
    newest_from: str
    figures: Figures
    metrics: dict[str, float | None]
    holdout: dict[str, float | None] | None
    target_coverage: float | None
    against_holdout: Shift | None
    error_shift: Shift | None
    bias_shift: Shift | None
    verdict: list[str]
    evidence: Evidence
    refused: str


@dataclass(frozen=True)
class Found:
    """One version's results, oldest first, and what the registry knows of it."""

    pasts: Sequence[Past]
    known: Known


@dataclass(frozen=True)
class Traced:
    """What came of a version's dates.

    ``sample`` has some of its predictions to draw, ``predicted`` bool (titles,) tells which titles with earnings it
    predicted, and ``example_ids`` shows some ids as they were predicted.
    """

    judged: Judged
    months: list[Monthly]
    dates: list[Dated]
    sample: Sample
    predicted: npt.NDArray[np.bool_]
    example_ids: str


def trace(found: Found, actuals: Actuals, contract: Contract, on_date: Callable[[str], None]) -> Traced:
    """Add up a version's dates, one at a time: in halves, to see what changed, and by months."""
    older, newer = Gathered(len(actuals)), Gathered(len(actuals))
    middle = len(found.pasts) // 2
    months, dates, example_ids = list[Monthly](), list[Dated](), ""
    for month, members in groupby(enumerate(found.pasts), key=lambda one: f"{one[1].day:%Y-%m}"):
        gathered = Gathered(len(actuals))
        for place, past in members:
            on_date(past.day.isoformat())
            matched = join_date(past, actuals, contract) if past.columns else Matched(Gathered(len(actuals)))
            example_ids = example_ids or matched.example_ids
            dates.append(_dated(past, matched))
            (older if place < middle else newer).include(matched.gathered)
            gathered.include(matched.gathered)
        months.append(Monthly(month, found.pasts[0].version, found.pasts[0].digest, figures(gathered)))
    judged = _judge(found, older, newer)
    older.include(newer)
    return Traced(judged, months, dates, older.drawn, older.rows > 0, example_ids)


def _dated(past: Past, matched: Matched) -> Dated:
    return Dated(
        date=past.day.isoformat(),
        version=past.version,
        digest=past.digest,
        rows=matched.rows,
        waiting=matched.waiting,
        without_id=matched.without_id,
        titles_doubled=matched.doubled,
        figures=figures(matched.gathered),
    )


def _judge(found: Found, older: Gathered, newer: Gathered) -> Judged:
    """Work out what a version's predictions were worth; whether that is recorded is decided later."""
    whole = Gathered(len(older.rows))
    whole.include(older)
    whole.include(newer)
    total, known, first, last = figures(whole), found.known, found.pasts[0], found.pasts[-1]
    holdout = known.holdout
    newest_from = found.pasts[len(found.pasts) // 2].day.isoformat()
    compared = against_holdout(newer, holdout.rows, holdout.metrics) if holdout else None
    shift = error_shift(older, newer)
    return Judged(
        model=first.model,
        version=first.version,
        digest=first.digest,
        first_date=first.day.isoformat(),
        last_date=last.day.isoformat(),
        dates=len(found.pasts),
        newest_from=newest_from,
        figures=total,
        metrics=_metrics(total, known.manifest),
        holdout=dict(holdout.metrics) if holdout else None,
        target_coverage=known.target_coverage,
        against_holdout=compared,
        error_shift=shift,
        bias_shift=bias_shift(older, newer),
        verdict=sentences(total, newest_from, compared, shift, known.target_coverage),
        evidence="refused",
        refused=known.refused,
    )


def _metrics(found: Figures, manifest: Mapping[str, Any]) -> dict[str, float | None]:
    """Return figures by the names that training gives them."""
    columns = manifest.get("scaling", {}).get("columns", [])
    scale: float | None = columns[-1]["scale"] if columns else None
    return {
        "scaled_mse": None if scale is None or found.rmse_usd is None else (found.rmse_usd * scale) ** 2,
        "mae_usd": found.mae_usd,
        "rmse_usd": found.rmse_usd,
        "r2": found.r2,
        "mape_percent": found.mape_percent,
    }
