"""Compare past predictions with actual earnings, judge each version, and record the verdict as evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.backtesting.actuals import Actuals, describe_left_out, format_examples, read_actuals
from gamesales.backtesting.verdict import DayMetrics, MonthMetrics, VersionTrace, VersionVerdict, trace_version
from gamesales.backtesting.versions import VersionRuns, find_contract, group_by_version
from gamesales.data.contract import Contract
from gamesales.data.files import escape_surrogates
from gamesales.data.screen import RejectLimit
from gamesales.errors import ColumnsError, InputError
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import BACKTEST
from gamesales.report.format import format_count
from gamesales.scoring.inputs import find_table_file
from gamesales.scoring.output import is_table
from gamesales.scoring.results import PublishedRun, SkippedDate, find_published_runs
from gamesales.stats.amounts import InUnit, amounts_in, get_unit, keeps_unit, record_unit, set_unit, unit_of
from gamesales.stats.error_sums import PredictionSample
from gamesales.stats.metrics import format_money


@dataclass(frozen=True)
class BacktestRequest:
    """What to compare.

    Attributes:
        predictions: a folder of dated partitions, a single result file, or a Delta table, whose URL is text.
        actuals: the path or URL of a file of title ids and actual earnings.
        limit: how many rows of the actuals may be unusable.
        page: where to write an HTML page, if anywhere.
        reason: why, for the log.
        dry_run: whether to record nothing.
    """

    predictions: Path | str
    actuals: str
    limit: RejectLimit
    page: Path | None = None
    reason: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class BacktestResult(InUnit):
    """The result of a backtest.

    Attributes:
        actuals_rows: the usable rows of the actuals.
        skipped_actuals: the unusable rows.
        actuals_reasons: why the first few are unusable.
        actuals_never_predicted: the titles without a prediction on any date.
        rows: the number of predictions.
        matched: the predictions with actual earnings.
        waiting: the predictions without actual earnings.
        without_id: the predictions without an id.
        skipped_dates: the dates that were not read.
        page: the HTML page that was written.
    """

    model: str
    registry: str
    predictions: str
    actuals: str
    actuals_sha256: str
    actuals_rows: int
    skipped_actuals: int
    actuals_reasons: list[str]
    actuals_never_predicted: int
    rows: int
    matched: int
    waiting: int
    without_id: int
    skipped_dates: list[SkippedDate]
    versions: list[VersionVerdict]
    months: list[MonthMetrics]
    dates: list[DayMetrics]
    dry_run: bool
    page: str | None

    def __repr__(self) -> str:
        matched, dates = f"{self.matched:,} of {self.rows:,} predictions", format_count(len(self.dates), "date")
        return f"BacktestResult({matched} on {dates} have actual earnings)"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        rows = [
            [
                str(verdict.version),
                verdict.dates,
                *_format_metrics(verdict, self),
                verdict.evidence,
                " ".join(verdict.verdict),
            ]
            for verdict in self.versions
        ]
        headings = ["version", "dates", "predictions", "MAE", "bias", "coverage", "evidence", "verdict"]
        caption = f"{self.matched:,} of {self.rows:,} predictions have actual earnings"
        return make_table(caption, headings, rows)


def _format_metrics(verdict: VersionVerdict, result: BacktestResult) -> list[object]:
    metrics = verdict.error_metrics
    with amounts_in(unit_of(result)):
        amounts = [None if amount is None else format_money(amount) for amount in (metrics.mae, metrics.bias)]
    return [metrics.rows, *amounts, None if metrics.coverage is None else f"{100 * metrics.coverage:.1f}%"]


@keeps_unit
def backtest(
    registry: ModelRegistry, request: BacktestRequest, *, on_date: Callable[[str], None] = lambda date: None
) -> BacktestResult:
    """Join past predictions with actual earnings, judge each version, and record the verdicts.

    Args:
        registry: the registry of the model.
        request: what to compare.
        on_date: called with each date before it is read.

    Raises:
        InputError: there are no predictions or no actuals, or nothing matches.
    """
    runs, skipped = _find_runs(request.predictions)
    versions = group_by_version(registry, runs)
    contract = find_contract(versions)
    set_unit(contract.unit)
    _require_ids(runs, contract)
    actuals = read_actuals(find_table_file(request.actuals), contract, request.limit)
    traces = [trace_version(version, actuals, contract, on_date) for version in versions]
    _require_matches(traces, actuals, request)
    verdicts = [
        _record(registry, version, trace, actuals, request) for version, trace in zip(versions, traces, strict=True)
    ]
    dates = sorted((day for trace in traces for day in trace.dates), key=lambda day: (day.date, day.version))
    result = BacktestResult(
        model=registry.model,
        registry=registry.location,
        predictions=str(request.predictions),
        actuals=request.actuals,
        actuals_sha256=actuals.sha256,
        actuals_rows=len(actuals),
        skipped_actuals=len(actuals.left_out),
        actuals_reasons=describe_left_out(actuals.left_out),
        actuals_never_predicted=int((~np.any([trace.is_predicted for trace in traces], axis=0)).sum()),
        rows=sum(day.rows for day in dates),
        matched=sum(day.error_metrics.rows for day in dates),
        waiting=sum(day.waiting for day in dates),
        without_id=sum(day.without_id for day in dates),
        skipped_dates=skipped,
        versions=verdicts,
        months=[month for trace in traces for month in trace.months],
        dates=dates,
        dry_run=request.dry_run,
        page=str(request.page) if request.page else None,
    )
    if request.page:
        _write_page(request.page, result, [trace.sample for trace in traces])
    return result


def _find_runs(predictions: Path | str) -> tuple[list[PublishedRun], list[SkippedDate]]:
    if not is_table(predictions):
        return find_published_runs(Path(predictions))
    from gamesales.lake.location import TableLocation
    from gamesales.lake.results import find_table_runs

    return find_table_runs(TableLocation(str(predictions)))


def _require_ids(runs: Sequence[PublishedRun], contract: Contract) -> None:
    """Raise an error that names the runs without id columns."""
    lacking = [run for run in runs if run.columns and not set(contract.identity) <= set(run.columns)]
    if lacking:
        names = ", ".join(contract.identity)
        paths = ", ".join(str(run.path) for run in lacking[:5])
        more = f" and {len(lacking) - 5:,} more" if len(lacking) > 5 else ""
        raise ColumnsError(
            f"{paths}{more} can't be joined with earnings: no column {names}",
            hint=f"Score these dates again, from files with {names}, and with --keep {','.join(contract.identity)}",
        )


def _require_matches(traces: Sequence[VersionTrace], actuals: Actuals, request: BacktestRequest) -> None:
    """Raise an error if no prediction has actual earnings."""
    if not any(trace.is_predicted.any() for trace in traces):
        predicted = next((trace.example_ids for trace in traces if trace.example_ids), "none")
        raise InputError(
            f"no title of {request.predictions} is in {request.actuals}: predicted ids are {predicted}; "
            f"ids with earnings are {format_examples(actuals.ids)}",
            hint="Write the ids in the same way in both files; 007 is not 7",
        )


def _record(
    registry: ModelRegistry, runs: VersionRuns, trace: VersionTrace, actuals: Actuals, request: BacktestRequest
) -> VersionVerdict:
    """Record a verdict in the log, unless the log has it. Return it with its ``evidence`` and ``refused`` set."""
    verdict = trace.verdict
    metrics = verdict.error_metrics
    refused = runs.refused or ("" if metrics.rows else "none of its predictions has actual earnings")
    if refused or runs.version is None:
        return replace(verdict, evidence="refused", refused=refused)
    evidence = {
        "kind": BACKTEST,
        "data": escape_surrogates(request.actuals),
        "data_sha256": actuals.sha256,
        "rows": metrics.rows,
        "metrics": verdict.metrics,
        "first_date": verdict.first_date,
        "last_date": verdict.last_date,
        "dates": verdict.dates,
        "titles": metrics.titles,
        "bias": metrics.bias,
        "coverage": metrics.coverage,
        "predictions": escape_surrogates(str(request.predictions)),
        "months": [_summarize_month(month) for month in trace.months if month.error_metrics.rows],
        **record_unit(get_unit()),
    }
    if runs.version.has_evaluation(evidence):
        return replace(verdict, evidence="recorded before")
    if request.dry_run:
        return replace(verdict, evidence="would be recorded")
    registry.record_evaluation(verdict.version, evidence, request.reason)
    return replace(verdict, evidence="recorded")


def _summarize_month(month: MonthMetrics) -> dict[str, Any]:
    metrics = month.error_metrics
    error = {"mae": metrics.mae, "mae_low": metrics.mae_low, "mae_high": metrics.mae_high}
    return {"month": month.month, "rows": metrics.rows, **error}


def _write_page(path: Path, result: BacktestResult, samples: Sequence[PredictionSample]) -> None:
    from gamesales.report.backtest_page import render_backtest_page

    path.write_text(render_backtest_page(asdict(result), [(sample.actual, sample.predicted) for sample in samples]))
