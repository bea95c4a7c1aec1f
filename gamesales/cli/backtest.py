"""backtest: what predictions were worth, now that earnings are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamesales.cli import progress
from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, ReasonOption, RegistryOption
from gamesales.cli.render import metric_cells, show_error, show_json, table
from gamesales.jobs.loading import open_registry

if TYPE_CHECKING:
    from gamesales.backtest.verdict import Dated, Judged
    from gamesales.jobs.backtest import Backtest
    from gamesales.stats.errors import Figures

_FIGURES = ["predictions", "MAE", "RMSE", "bias", "R2", "MAPE", "covered", "outside"]
# How a command ends whose figures are told, but not on record.
_NOT_RECORDED = 4


def backtest(
    predictions: Annotated[
        Path, typer.Option(metavar="PATH", help="Past results: a folder of dated partitions, or one result file.")
    ],
    actuals: Annotated[Path, typer.Option(metavar="FILE", help="CSV or Parquet: ids and what the titles earned.")],
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots here (HTML).")] = None,
    max_rejects: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="How many actuals may be unusable: 10 or 1 %, whichever is more."),
    ] = None,
    reason: ReasonOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell the figures, and record nothing.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Hold past predictions to what their titles earned, and record that as evidence."""
    from gamesales.data.screen import RejectLimit
    from gamesales.jobs.backtest import Work
    from gamesales.jobs.backtest import backtest as run

    limit = RejectLimit.parse(max_rejects) if max_rejects else RejectLimit()
    work = Work(predictions, actuals, limit, page, reason, dry_run)
    done = run(open_registry(registry, name), work, on_date=lambda day: progress.say(f"reading {day}"))
    if as_json:
        show_json(done)
    else:
        print(_told(done))
    refused = [one for one in done.versions if one.evidence == "refused"]
    if refused and not dry_run:
        why = "; ".join(f"version {one.version}: {one.refused}" for one in refused)
        if not as_json:
            show_error("registry", f"not recorded: {why}", "Give --registry or --name; or --dry-run", as_json=False)
        raise typer.Exit(_NOT_RECORDED)


def _told(done: Backtest) -> str:
    lines = [
        f"{done.matched:,} of {done.rows:,} predictions on {len(done.dates):,} dates met their earnings",
        *_counted(done),
        "",
        table(["version", "dates", *_FIGURES], [_version_cells(one) for one in done.versions]),
        "",
        table(["date", "version", *_FIGURES], [_date_cells(one) for one in done.dates]),
    ]
    for one in done.versions:
        lines += ["", f"version {one.version}, {one.first_date} to {one.last_date}"]
        lines += [f"  {sentence}" for sentence in one.verdict]
        lines.append(f"  evidence: {one.evidence}{f', {one.refused}' if one.refused else ''}")
    if done.page:
        lines += ["", f"page     {done.page}"]
    return "\n".join(lines)


def _counted(done: Backtest) -> Sequence[str]:
    """Tell what was not joined, and why."""
    doubled = [one for one in done.dates if one.titles_doubled]
    counts = [
        (done.waiting, "predictions wait for their titles' earnings"),
        (done.without_id, "predictions have no id"),
        (done.actuals_never_predicted, f"of {done.actuals_rows:,} titles with earnings were never predicted"),
        (sum(one.titles_doubled for one in doubled), f"titles come twice on a date ({_days(doubled)}) and count twice"),
        (done.actuals_left_out, f"rows of {done.actuals} left out: {'; '.join(done.actuals_reasons)}"),
    ]
    lines = [f"{count:,} {what}" for count, what in counts if count]
    return [*lines, *(f"{one.place} left out: {one.reason}" for one in done.dates_left_out)]


def _days(dates: Sequence[Dated]) -> str:
    shown = ", ".join(one.date for one in dates[:3])
    return f"{shown}, …" if len(dates) > 3 else shown


def _version_cells(one: Judged) -> list[str]:
    return [str(one.version), str(one.dates), *_cells(one.figures)]


def _date_cells(one: Dated) -> list[str]:
    return [one.date, str(one.version), *_cells(one.figures)]


def _cells(figures: Figures) -> list[str]:
    metrics = {"mae": figures.mae, "rmse": figures.rmse, "r2": figures.r2}
    _, mae, rmse, r2, mape = metric_cells({**metrics, "mape_percent": figures.mape_percent})
    bias = "-" if figures.bias is None else f"${figures.bias:,.0f}".replace("$-", "-$")
    return [f"{figures.rows:,}", mae, rmse, bias, r2, mape, _share(figures.coverage), _share(figures.outside_share)]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


COMMANDS = (backtest,)
