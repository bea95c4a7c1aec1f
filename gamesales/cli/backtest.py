"""The command backtest: compare past predictions with actual earnings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gamesales.cli import progress
from gamesales.cli.render import show_error, show_result
from gamesales.cli.table import format_table
from gamesales.cli.values import NAME, REGISTRY
from gamesales.errors import EXIT_CONDITION_NOT_MET, RegistryError
from gamesales.report.format import format_count
from gamesales.stats.metrics import format_metrics, format_money

if TYPE_CHECKING:
    import typer

    from gamesales.backtesting.verdict import DayMetrics
    from gamesales.cli.options import JsonOption, NameOption, ReasonOption, RegistryOption
    from gamesales.jobs.backtest import BacktestResult
    from gamesales.stats.error_metrics import ErrorMetrics

_HEADINGS = ["predictions", "MAE", "RMSE", "bias", "R2", "MAPE", "coverage", "outside"]
# A narrow screen leaves them out, the first one first.
_OPTIONAL = ("RMSE", "R2", "MAPE", "outside", "coverage", "predictions")


def backtest(
    predictions: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Past predictions: a folder of dated partitions, a Delta table, or one result file."
        ),
    ],
    actuals: Annotated[
        str, typer.Option(metavar="FILE", help="Title ids and actual earnings, a CSV or Parquet file or its URL.")
    ],
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an HTML page with plots.")] = None,
    max_rejects: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="Unusable actuals to allow; by default 10 rows or 1%, whichever is larger."),
    ] = None,
    reason: ReasonOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the metrics, and record nothing.")] = False,
    fail_if_worse: Annotated[
        bool,
        typer.Option(
            "--fail-if-worse", help="Exit with 6 if a version is worse than on its holdout, or its error is growing."
        ),
    ] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> int:
    """Compare past predictions with actual earnings, and record the metrics as evidence.

    Examples:
        gamesales backtest --predictions predictions --actuals actuals.csv
    """
    from gamesales.data.screen import RejectLimit
    from gamesales.jobs.backtest import BacktestRequest
    from gamesales.jobs.backtest import backtest as run
    from gamesales.jobs.loading import open_registry
    from gamesales.scoring.output import parse_output

    limit = RejectLimit.parse(max_rejects) if max_rejects else RejectLimit()
    request = BacktestRequest(parse_output(predictions), actuals, limit, page, reason, dry_run)
    result = run(open_registry(registry, name), request, on_date=lambda day: progress.say(f"reading {day}"))
    show_result(result, _format_result, as_json=as_json)
    refused = [verdict for verdict in result.versions if verdict.evidence == "refused"]
    if refused and not dry_run:
        reasons = "; ".join(f"version {verdict.version}: {verdict.refused}" for verdict in refused)
        if not as_json:
            show_error("registry", f"not recorded: {reasons}", "Give --registry or --name; or --dry-run", as_json=False)
        return RegistryError.exit_code
    worse = [f"version {verdict.version}: {' '.join(verdict.worse)}" for verdict in result.versions if verdict.worse]
    if fail_if_worse and worse:
        progress.say(f"exit code {EXIT_CONDITION_NOT_MET}: {' '.join(worse)}")
        return EXIT_CONDITION_NOT_MET
    return 0


def _format_result(result: BacktestResult) -> str:
    version_rows = [
        [str(verdict.version), str(verdict.dates), *_format_metrics(verdict.error_metrics)]
        for verdict in result.versions
    ]
    date_rows = [[day.date, str(day.version), *_format_metrics(day.error_metrics)] for day in result.dates]
    predictions, dates = format_count(result.rows, "prediction"), format_count(len(result.dates), "date")
    lines = [
        f"{result.matched:,} of {predictions} on {dates} have actual earnings",
        *_describe_unmatched(result),
        "",
        format_table(["version", "dates", *_HEADINGS], version_rows, optional=_OPTIONAL),
        "",
        format_table(["date", "version", *_HEADINGS], date_rows, optional=_OPTIONAL),
    ]
    for verdict in result.versions:
        lines += ["", f"version {verdict.version}, {verdict.first_date} to {verdict.last_date}"]
        lines += [f"  {sentence}".replace("−", "-") for sentence in verdict.verdict]  # as in the tables
        lines.append(f"  evidence: {verdict.evidence}{f', {verdict.refused}' if verdict.refused else ''}")
    if result.page:
        lines += ["", f"page     {result.page}"]
    return "\n".join(lines)


def _describe_unmatched(result: BacktestResult) -> Sequence[str]:
    """Describe the rows that are unmatched, duplicate or skipped, and why."""
    duplicate_days = [day for day in result.dates if day.duplicate_titles]
    duplicates = sum(day.duplicate_titles for day in duplicate_days)
    counts = [
        (result.waiting, "prediction", "without actual earnings so far"),
        (result.without_id, "prediction", "without an id"),
        (result.actuals_never_predicted, "title", f"of {result.actuals_rows:,} with earnings, but never predicted"),
        (duplicates, "duplicate title", f"on a date ({_list_dates(duplicate_days)}), each counted twice"),
        (result.skipped_actuals, "row", f"of {result.actuals} skipped: {'; '.join(result.actuals_reasons)}"),
    ]
    lines = [f"{format_count(count, noun)} {text}" for count, noun, text in counts if count]
    return [*lines, *(f"{skipped.place} skipped: {skipped.reason}" for skipped in result.skipped_dates)]


def _list_dates(days: Sequence[DayMetrics]) -> str:
    dates = ", ".join(day.date for day in days[:3])
    return f"{dates}, …" if len(days) > 3 else dates


def _format_metrics(metrics: ErrorMetrics) -> list[str]:
    common = {"mae": metrics.mae, "rmse": metrics.rmse, "r2": metrics.r2, "mape_percent": metrics.mape_percent}
    _, mae, rmse, r2, mape = format_metrics(common)
    bias = "-" if metrics.bias is None else format_money(metrics.bias)
    shares = _format_share(metrics.coverage), _format_share(metrics.outside_share)
    return [f"{metrics.rows:,}", mae, rmse, bias, r2, mape, *shares]


def _format_share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"
