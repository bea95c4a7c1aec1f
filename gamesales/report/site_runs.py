"""The sections about the runs of a model on a site: plots by date, and the table of all runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from gamesales.report.dot_plot import Mark, Style, choose_date_ticks, plot_dots, write_integer
from gamesales.report.format import (
    MISSING,
    format_compact_money,
    format_count,
    format_minute,
    format_money,
    format_percent,
    format_range,
    format_share,
    format_signed_money,
    is_finite,
)
from gamesales.report.html import Heading, make_note, make_plots, make_table
from gamesales.report.page import TableRow
from gamesales.report.site_data import MonthError, SiteBacktest, SiteModel, SiteRun, SiteVersion
from gamesales.report.site_table import Cell, Filter, SiteRow, make_site_table
from gamesales.report.svg import Plot
from gamesales.stats.amounts import amounts_in, keeps_unit, label_amounts, set_unit

_USUAL, _DRIFTED = Style("published"), Style("drifted", "triangle", "alarm")
_WITHHELD = Style("withheld", "square", "second")
# The shapes and colors of versions in the plot of errors, newest version first.
_SHAPES = (("dot", "accent"), ("square", "second"), ("triangle", "ink"))
_STATES = {
    "published": "published",
    "withheld": "withheld",
    "incomplete": "incomplete",
    "drifted": "drifted",
    "rejects": "with rejects",
}
_NO_PAGES = (
    "A date without a link was published without a page. Set page = true in the job, or write a page with "
    "gamesales report --run DATE."
)


def show_runs(model: SiteModel) -> list[str]:
    """Show all runs: rows, rejects and drift by date, and a table."""
    runs = [run for run in model.runs if run.state != "incomplete" and run.date]
    incomplete = len(model.runs) - len(runs)
    note = f"{format_count(incomplete, 'run')} without numbers: incomplete." if incomplete else ""
    missing = _NO_PAGES if any(not run.page for run in runs) else ""
    return [make_plots(_plot_runs(runs)), _make_table(model), make_note(" ".join(filter(None, [note, missing])))]


def _plot_runs(runs: Sequence[SiteRun]) -> list[Plot]:
    if not runs:
        return []
    days = [date.fromisoformat(run.date) for run in runs]
    ticks = choose_date_ticks(min(days), max(days))
    places = [day.toordinal() for day in days]
    styles = [_choose_style(run) for run in runs]
    rows = [Mark(place, run.rows, style) for place, run, style in zip(places, runs, styles, strict=True)]
    shares = [
        Mark(place, 100 * run.rejected / run.rows if run.rows else 0.0, style)
        for place, run, style in zip(places, runs, styles, strict=True)
    ]
    drift = [
        Mark(place, 100 * run.strongest[1] / run.strongest[2], style)
        for place, run, style in zip(places, runs, styles, strict=True)
        if run.strongest and run.strongest[2] > 0
    ]
    plots = [
        plot_dots(
            "Rows", "The rows that each run read.", "Rows per run", rows, ticks, write=write_integer, smallest_limit=3
        ),
        plot_dots(
            "Rejects",
            "The rows that were rejected.",
            "Rejected, % of the rows",
            shares,
            ticks,
            write=_write_percent,
            smallest_limit=1,
        ),
    ]
    if drift:
        plots.append(
            plot_dots(
                "Drift",
                "The column that differs most from training: its PSI in percent of its limit.",
                "Largest PSI, % of its limit",
                drift,
                ticks,
                write=_write_percent,
                reference=(100.0, "limit"),
            )
        )
    return plots


def _choose_style(run: SiteRun) -> Style:
    if run.state == "withheld":
        return _WITHHELD
    return _DRIFTED if run.drifted else _USUAL


def _write_percent(value: float) -> str:
    return f"{value:,g}%"


def _make_table(model: SiteModel) -> str:
    pages = {version.number: version for version in model.versions}
    outputs = {run.output for run in model.runs}
    headings: list[Heading] = [
        ("Date", "page of the run"),
        "State",
        "Rows",
        ("Rejected", "share of the rows"),
        ("Drift", "columns, or largest PSI / limit"),
        "Version",
        ("Started", "UTC"),
        *(["Output"] if len(outputs) > 1 else []),
    ]
    rows = [_make_run(run, pages, has_outputs=len(outputs) > 1) for run in model.runs]
    return make_site_table("Runs", "run", headings, rows, Filter("State", _STATES))


def _make_run(run: SiteRun, versions: dict[int, SiteVersion], *, has_outputs: bool) -> SiteRow:
    states = [run.state, *(["drifted"] if run.drifted else []), *(["rejects"] if run.rejected else [])]
    output = [Cell(run.output, is_text=True)] if has_outputs else []
    state = Cell(run.state, run.note, is_alarming=run.state != "published", is_text=True)
    if run.state == "incomplete":
        return SiteRow([Cell(run.date or MISSING, order=run.date), state, *[Cell(MISSING)] * 5, *output], states)
    version = versions.get(run.version or 0)
    link = version.page if version and version.digest == run.digest else ""
    share = format_share(run.rejected / run.rows) if run.rejected and run.rows else ""
    return SiteRow(
        [
            Cell(run.date, link=run.page, order=run.date),
            state,
            Cell(f"{run.rows:,}", order=run.rows),
            Cell(f"{run.rejected:,}", share, order=run.rejected, is_alarming=bool(run.rejected)),
            _make_drift(run),
            Cell(f"version {run.version}", link=link, order=run.version),
            Cell(format_minute(run.started), order=run.started),
            *output,
        ],
        states,
    )


def _make_drift(run: SiteRun) -> Cell:
    if run.strongest is None:
        return Cell(MISSING, is_text=True)
    column, psi, limit = run.strongest
    numbers = f"{column}: {psi:.3f} / {limit:.3f}"
    share = psi / limit if limit else 0.0
    if not run.drifted:
        return Cell("none", numbers, order=share, is_text=True)
    return Cell(", ".join(run.drifted), numbers, order=share, is_alarming=True, is_text=True)


def show_errors(model: SiteModel) -> list[str]:
    """Show the error of past predictions, where actual earnings are known."""
    if not model.backtests:
        return []
    newest = model.backtests[0]
    has_errors = any(backtest.periods for backtest in model.backtests if backtest.unit == newest.unit)
    note = "From the latest backtest of each version: gamesales backtest."
    with amounts_in(newest.unit):
        plots = [_plot_errors(model.backtests)] if has_errors else []
    return [make_plots(plots), _make_backtests(model), make_note(note)]


def _plot_errors(backtests: Sequence[SiteBacktest]) -> Plot:
    """Plot the average error by period. Each of a few versions has its shape, and of many only the newest."""
    marks, days = [], list[date]()
    comparable = [backtest for backtest in backtests if backtest.unit == backtests[0].unit]
    for number, backtest in enumerate(comparable):
        style = Style(f"version {backtest.version}", *_SHAPES[min(number, len(_SHAPES) - 1)])
        if number and len(comparable) > len(_SHAPES):
            style = Style("earlier versions", *_SHAPES[1])
        for period in backtest.periods:
            first = date.fromisoformat(max(period.first, backtest.first_date))
            last = date.fromisoformat(min(period.last, backtest.last_date))
            days += [first, last]
            marks.append(Mark((first.toordinal() + last.toordinal()) / 2, period.mae, style, period.low, period.high))
    ticks = choose_date_ticks(min(days), max(days))
    caption = "Predictions with actual earnings, by month."
    return plot_dots(
        "Error of past predictions",
        caption,
        label_amounts("Average error (MAE)"),
        marks,
        ticks,
        write=format_compact_money,
    )


@keeps_unit
def _make_backtests(model: SiteModel) -> str:
    """Make the table of the backtests: each version, and its months."""
    holdout = {version.number: version.evaluations.get(model.data_sha256 or "") for version in model.versions}
    values = [backtest.metrics.get("mae") for backtest in model.backtests]
    values += [period.mae for backtest in model.backtests for period in backtest.periods]
    largest = [max((value for value in values if is_finite(value)), default=0.0)]

    def write(value: float | None) -> str:
        return format_money(value, largest)

    rows = []
    for backtest in model.backtests:
        set_unit(backtest.unit)
        before = holdout.get(backtest.version)
        rows.append(
            TableRow(
                f"version {backtest.version}, {backtest.first_date} to {backtest.last_date}",
                (
                    f"{backtest.rows:,}",
                    write(backtest.metrics.get("mae")),
                    _format_interval(backtest.periods[0]) if len(backtest.periods) == 1 else MISSING,
                    write(before.metrics.get("mae") if before else None),
                    format_signed_money(backtest.bias, largest),
                    format_percent(backtest.metrics.get("mape_percent")),
                    format_share(backtest.coverage),
                ),
                f"recorded {format_minute(backtest.time)} UTC, with {backtest.data}",
            )
        )
        if len(backtest.periods) > 1:
            rows += [_make_month(backtest.version, period, write) for period in backtest.periods]
    headings: list[Heading] = [
        "Version and month",
        "Predictions",
        ("Average error", "MAE"),
        ("95% confidence interval", "of the average error"),
        ("On the holdout", "MAE"),
        "Bias",
        ("Error in percent", "MAPE"),
        "Coverage",
    ]
    return make_table("Error of past predictions", headings, rows, "plain")


def _make_month(version: int, period: MonthError, write: Callable[[float | None], str]) -> TableRow:
    label = f"version {version}, {period.first[:7]}"
    return TableRow(label, (f"{period.rows:,}", write(period.mae), _format_interval(period), *[MISSING] * 4))


def _format_interval(period: MonthError) -> str:
    return format_range((period.low, period.high))
