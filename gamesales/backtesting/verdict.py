"""Judge the past predictions of one version.

The dates are joined one at a time. Their errors are added up by month and in two halves, older and newer, to see
whether the error changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from gamesales.arrays import BoolArray
from gamesales.backtesting.actuals import Actuals, DayMatches, join_date
from gamesales.backtesting.versions import VersionRuns
from gamesales.data.contract import Contract
from gamesales.report.format import format_count, format_money, format_percent, format_signed_money
from gamesales.scoring.results import PublishedRun
from gamesales.stats.error_metrics import (
    ErrorMetrics,
    MetricChange,
    compare_bias,
    compare_mae,
    compare_with_holdout,
    compute_error_metrics,
)
from gamesales.stats.error_sums import PredictionSample, TitleSums

Evidence = Literal["recorded", "recorded before", "would be recorded", "refused"]


@dataclass(frozen=True)
class DayMetrics:
    """The predictions of one date, all by one version, and their error metrics."""

    date: str
    version: int
    digest: str
    rows: int
    waiting: int
    without_id: int
    duplicate_titles: int
    error_metrics: ErrorMetrics


@dataclass(frozen=True)
class MonthMetrics:
    """The error metrics of one version in a calendar month."""

    month: str
    version: int
    digest: str
    error_metrics: ErrorMetrics


@dataclass(frozen=True)
class VersionVerdict:
    """The verdict on one version over all its dates.

    Attributes:
        newest_from: the first date of the newer half.
        error_metrics: the error metrics over all dates.
        metrics: the same by the names that training uses, for the log.
        holdout: the metrics of the version's latest holdout.
        target_coverage: the share of earnings that the prediction intervals should contain.
        against_holdout: the mean absolute error of the holdout and of the newer half.
        error_shift: the mean absolute error of the older and of the newer half.
        bias_shift: the bias of the older and of the newer half.
        verdict: sentences for people.
        worse: the sentences that say that the version is worse than on its holdout, or that its error is growing.
        evidence: whether the log records the verdict.
        refused: why it does not.
    """

    model: str
    version: int
    digest: str
    first_date: str
    last_date: str
    dates: int
    newest_from: str
    error_metrics: ErrorMetrics
    metrics: dict[str, float | None]
    holdout: dict[str, float | None] | None
    target_coverage: float | None
    against_holdout: MetricChange | None
    error_shift: MetricChange | None
    bias_shift: MetricChange | None
    verdict: list[str]
    worse: list[str]
    evidence: Evidence
    refused: str


@dataclass(frozen=True)
class VersionTrace:
    """The dates of one version.

    Attributes:
        sample: some predictions to plot.
        is_predicted: bool (titles,), which titles with actual earnings the version predicted.
        example_ids: some predicted ids, for messages.
    """

    verdict: VersionVerdict
    months: list[MonthMetrics]
    dates: list[DayMetrics]
    sample: PredictionSample
    is_predicted: BoolArray
    example_ids: str


def trace_version(
    version: VersionRuns, actuals: Actuals, contract: Contract, on_date: Callable[[str], None]
) -> VersionTrace:
    """Add up the errors of a version by date, by month and in halves, and judge them.

    ``on_date`` is called with each date before it is read.
    """
    older, newer = TitleSums(len(actuals)), TitleSums(len(actuals))
    middle = len(version.runs) // 2
    months, dates, example_ids = list[MonthMetrics](), list[DayMetrics](), ""
    for month, members in groupby(enumerate(version.runs), key=lambda member: f"{member[1].day:%Y-%m}"):
        month_sums = TitleSums(len(actuals))
        for position, run in members:
            on_date(run.day.isoformat())
            matches = join_date(run, actuals, contract)
            example_ids = example_ids or matches.example_ids
            dates.append(_make_day_metrics(run, matches))
            (older if position < middle else newer).merge(matches.sums)
            month_sums.merge(matches.sums)
        first = version.runs[0]
        months.append(MonthMetrics(month, first.version, first.digest, compute_error_metrics(month_sums)))
    all_dates = TitleSums(len(actuals))
    all_dates.merge(older)
    all_dates.merge(newer)
    verdict = _judge(version, all_dates, older, newer)
    return VersionTrace(verdict, months, dates, all_dates.sample, all_dates.rows > 0, example_ids)


def _make_day_metrics(run: PublishedRun, matches: DayMatches) -> DayMetrics:
    return DayMetrics(
        date=run.day.isoformat(),
        version=run.version,
        digest=run.digest,
        rows=matches.rows,
        waiting=matches.waiting,
        without_id=matches.without_id,
        duplicate_titles=matches.duplicates,
        error_metrics=compute_error_metrics(matches.sums),
    )


def _judge(version: VersionRuns, all_dates: TitleSums, older: TitleSums, newer: TitleSums) -> VersionVerdict:
    """Judge a version. The caller decides later whether the verdict is recorded."""
    metrics, holdout = compute_error_metrics(all_dates), version.holdout
    first, middle, last = version.runs[0], version.runs[len(version.runs) // 2], version.runs[-1]
    newest_from = middle.day.isoformat()
    holdout_change = compare_with_holdout(newer, holdout.rows, holdout.metrics) if holdout else None
    mae_change = compare_mae(older, newer)
    return VersionVerdict(
        model=first.model,
        version=first.version,
        digest=first.digest,
        first_date=first.day.isoformat(),
        last_date=last.day.isoformat(),
        dates=len(version.runs),
        newest_from=newest_from,
        error_metrics=metrics,
        metrics=_rename_metrics(metrics, version.manifest),
        holdout=dict(holdout.metrics) if holdout else None,
        target_coverage=version.target_coverage,
        against_holdout=holdout_change,
        error_shift=mae_change,
        bias_shift=compare_bias(older, newer),
        verdict=write_verdict(metrics, newest_from, holdout_change, mae_change, version.target_coverage),
        worse=find_worse(newest_from, holdout_change, mae_change),
        evidence="refused",
        refused=version.refused,
    )


def _rename_metrics(metrics: ErrorMetrics, manifest: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the metrics by the names that training uses."""
    columns = manifest.get("scaling", {}).get("columns", [])
    scale: float | None = columns[-1]["scale"] if columns else None
    return {
        "scaled_mse": None if scale is None or metrics.rmse is None else (metrics.rmse * scale) ** 2,
        "mae": metrics.mae,
        "rmse": metrics.rmse,
        "r2": metrics.r2,
        "mape_percent": metrics.mape_percent,
    }


def write_verdict(
    metrics: ErrorMetrics,
    newest_from: str,
    holdout_change: MetricChange | None,
    mae_change: MetricChange | None,
    target_coverage: float | None,
) -> list[str]:
    """Write the verdict in sentences: the error, the newest dates against the holdout, the trend and the coverage.

    Args:
        metrics: the metrics over all dates.
        newest_from: the first of the newest dates.
        holdout_change: from the holdout to the newest dates, or None if there is no holdout.
        mae_change: from the older to the newer dates, or None if there is only one date.
        target_coverage: the share of earnings that the prediction intervals should contain.
    """
    if not metrics.rows:
        return ["None of its titles has actual earnings yet."]
    sentences = [_describe_error(metrics), _describe_newest(newest_from, holdout_change)]
    if mae_change:
        sentences.append(_describe_trend(newest_from, mae_change))
    if metrics.coverage is not None:
        sentences.append(_describe_coverage(metrics, target_coverage))
    return sentences


def find_worse(newest_from: str, holdout_change: MetricChange | None, mae_change: MetricChange | None) -> list[str]:
    """Return the sentences of the verdict that describe a significantly larger error. See ``write_verdict``."""
    worse = []
    if holdout_change and holdout_change.change == "up":
        worse.append(_describe_newest(newest_from, holdout_change))
    if mae_change and mae_change.change == "up":
        worse.append(_describe_trend(newest_from, mae_change))
    return worse


def _describe_error(metrics: ErrorMetrics) -> str:
    predictions = f"{format_count(metrics.rows, 'prediction')} of {format_count(metrics.titles, 'title')}"
    return f"Average error {format_money(metrics.mae)} on {predictions}; {_describe_bias(metrics)}."


def _describe_bias(metrics: ErrorMetrics) -> str:
    bias, low, high = metrics.bias, metrics.bias_low, metrics.bias_high
    if bias is None or low is None or high is None:
        return "too few titles for a confidence interval of the bias"
    interval = f"95% confidence: {format_signed_money(low)} to {format_signed_money(high)}"
    if low <= 0 <= high:
        return f"no significant bias ({format_signed_money(bias)}; {interval})"
    return f"{'too high' if bias > 0 else 'too low'} by {format_money(abs(bias))} on average ({interval})"


def _describe_newest(newest_from: str, change: MetricChange | None) -> str:
    if change is None:
        return "There is no holdout to compare it with."
    values = f"{format_money(change.value_after)} against {format_money(change.value_before)}"
    since = f"From {newest_from} on"
    if change.change == "too few titles":
        return f"{since} it has too few titles for a comparison with its holdout: {values}."
    if change.change == "within chance":
        return f"{since} it is not significantly different from its holdout: {values} ({_describe_difference(change)})."
    word = "worse" if change.change == "up" else "better"
    return f"{since} it is {word} than on its holdout: {values} ({_describe_difference(change)})."


def _describe_trend(newest_from: str, change: MetricChange) -> str:
    values = f"{format_money(change.value_before)} before {newest_from}, {format_money(change.value_after)} since"
    if change.change == "too few titles":
        return f"Too few titles to say whether its error is changing: {values}."
    if change.change == "within chance":
        return f"No significant change over time: {values} ({_describe_difference(change)})."
    trend = "growing" if change.change == "up" else "shrinking"
    return f"Its error is {trend}: {values} ({_describe_difference(change)})."


def _describe_difference(change: MetricChange) -> str:
    low, high = format_signed_money(change.difference_low or 0.0), format_signed_money(change.difference_high or 0.0)
    return f"difference {format_signed_money(change.value_difference)}, 95% confidence: {low} to {high}"


def _describe_coverage(metrics: ErrorMetrics, target: float | None) -> str:
    shares = metrics.coverage, metrics.coverage_low, metrics.coverage_high
    covered, low, high = (100 * (share or 0.0) for share in shares)
    interval = f"95% confidence: {format_percent(low)} to {format_percent(high)}"
    sentence = f"Its prediction intervals contain {format_percent(covered)} of actual earnings ({interval})"
    if target is None:
        return f"{sentence}."
    promised = 100 * target
    verdict = "less than" if high < promised else "more than" if low > promised else "in line with"
    return f"{sentence}, {verdict} the {promised:g}% of their target."
