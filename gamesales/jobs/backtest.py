"""Past predictions are held to what their titles earned: how far off, leaning where, and getting worse?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from gamesales.backtest.actuals import Actuals, read_actuals, told_rows
from gamesales.backtest.evidence import Known, find_contract, is_recorded, look_up, make_evidence
from gamesales.backtest.verdict import Dated, Found, Judged, Monthly, Traced, trace
from gamesales.data.contract import Contract
from gamesales.data.files import escape_surrogates
from gamesales.data.screen import RejectLimit
from gamesales.errors import ColumnsError, InputError
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.results import LeftOut, Past, find_past
from gamesales.stats.error_sums import Sample


@dataclass(frozen=True)
class Backtest:
    """What came of a backtest: ``rows`` predicted, of which ``matched`` met their earnings.

    ``actuals_rows`` could be used; ``actuals_left_out`` could not, for the first of ``actuals_reasons``;
    ``actuals_never_predicted`` have no prediction on any date.
    """

    model: str
    registry: str
    predictions: str
    actuals: str
    actuals_sha256: str
    actuals_rows: int
    actuals_left_out: int
    actuals_reasons: list[str]
    actuals_never_predicted: int
    rows: int
    matched: int
    waiting: int
    without_id: int
    dates_left_out: list[LeftOut]
    versions: list[Judged]
    months: list[Monthly]
    dates: list[Dated]
    dry_run: bool
    page: str | None


@dataclass(frozen=True)
class Work:
    """What is held to what: where predictions and actuals are, and how many of these may be unusable."""

    predictions: Path
    actuals: Path
    limit: RejectLimit
    page: Path | None = None
    reason: str = ""
    dry_run: bool = False


def backtest(registry: ModelRegistry, work: Work, *, on_date: Callable[[str], None] = lambda date: None) -> Backtest:
    """Join past predictions with actual earnings, judge each version by them, and record that as evidence.

    Args: on_date: called with each date before it is read.
    Raises: InputError: there is nothing to join, or no way to.
    """
    pasts, left_out = find_past(work.predictions)
    found = _by_version(registry, pasts)
    contract = find_contract([one.known for one in found])
    _require_ids(pasts, contract)
    actuals = read_actuals(work.actuals, contract, work.limit)
    traced = [trace(one, actuals, contract, on_date) for one in found]
    _require_matches(traced, actuals, work)
    judged = [_record(registry, one.known, told.judged, actuals, work) for one, told in zip(found, traced, strict=True)]
    dates = sorted((date for one in traced for date in one.dates), key=lambda one: (one.date, one.version))
    done = Backtest(
        model=registry.model,
        registry=registry.location,
        predictions=str(work.predictions),
        actuals=str(work.actuals),
        actuals_sha256=actuals.sha256,
        actuals_rows=len(actuals),
        actuals_left_out=len(actuals.left_out),
        actuals_reasons=told_rows(actuals.left_out),
        actuals_never_predicted=int((~np.any([one.predicted for one in traced], axis=0)).sum()),
        rows=sum(one.rows for one in dates),
        matched=sum(one.figures.rows for one in dates),
        waiting=sum(one.waiting for one in dates),
        without_id=sum(one.without_id for one in dates),
        dates_left_out=left_out,
        versions=judged,
        months=[month for one in traced for month in one.months],
        dates=dates,
        dry_run=work.dry_run,
        page=str(work.page) if work.page else None,
    )
    if work.page:
        _write_page(work.page, done, [one.sample for one in traced])
    return done


def _by_version(registry: ModelRegistry, pasts: Sequence[Past]) -> list[Found]:
    """Sort results by the bundle that made them; a number alone may be another bundle's in another registry."""

    def maker(past: Past) -> tuple[str, int, str]:
        return past.model, past.version, past.digest

    groups = groupby(sorted(pasts, key=lambda past: (*maker(past), past.day)), key=maker)
    held = [list(group) for _, group in groups]
    return [Found(group, look_up(registry, group[0])) for group in held]


def _require_ids(pasts: Sequence[Past], contract: Contract) -> None:
    """Raises: ColumnsError: results lack ids; all of them are named."""
    lacking = [past for past in pasts if past.columns and not set(contract.identity) <= set(past.columns)]
    if lacking:
        names = ", ".join(contract.identity)
        places = ", ".join(str(past.place) for past in lacking[:5])
        more = f" and {len(lacking) - 5:,} more" if len(lacking) > 5 else ""
        raise ColumnsError(
            f"{places}{more} can't be joined with earnings: no column {names}",
            hint=f"Score these dates again, from files with {names}, and with --keep {','.join(contract.identity)}",
        )


def _require_matches(traced: Sequence[Traced], actuals: Actuals, work: Work) -> None:
    """Raises: InputError: not one prediction met its earnings."""
    if not any(one.predicted.any() for one in traced):
        predicted = next((one.example_ids for one in traced if one.example_ids), "none")
        raise InputError(
            f"no title of {work.predictions} is in {work.actuals}: predicted were {predicted}, earnings are known of "
            f"{actuals.examples}",
            hint="Write the ids alike on both sides; 007 is not 7",
        )


def _record(registry: ModelRegistry, known: Known, judged: Judged, actuals: Actuals, work: Work) -> Judged:
    """Tell the log what a version's predictions were worth, once."""
    rows = judged.figures.rows
    refused = known.refused or ("" if rows else "no prediction of it met its earnings")
    if refused or known.version is None:
        return replace(judged, evidence="refused", refused=refused)
    details = {
        "first_date": judged.first_date,
        "last_date": judged.last_date,
        "dates": judged.dates,
        "titles": judged.figures.titles,
        "bias": judged.figures.bias,
        "coverage": judged.figures.coverage,
        "predictions": escape_surrogates(str(work.predictions)),
    }
    evidence = make_evidence((work.actuals, actuals.sha256), rows, judged.metrics, details)
    if is_recorded(known.version, evidence):
        return replace(judged, evidence="recorded before")
    if work.dry_run:
        return replace(judged, evidence="would be recorded")
    registry.record_evaluation(judged.version, evidence, work.reason)
    return replace(judged, evidence="recorded")


def _write_page(path: Path, done: Backtest, samples: Sequence[Sample]) -> None:
    from gamesales.report.backtest_page import render_backtest_page

    path.write_text(render_backtest_page(asdict(done), [(one.actual, one.predicted) for one in samples]))
