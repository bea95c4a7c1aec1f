"""Progress on stderr: a bar on a terminal, plain or JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gamesales.scoring.run_report import RunReport
    from gamesales.training.fit import Epoch

# About so many lines for all epochs of a training.
_EPOCH_LINES = 10
_SECONDS_BETWEEN_LINES = 10.0


def say(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def show_epochs() -> Iterator[Callable[[Epoch], None]]:
    """Show training epoch by epoch, with the loss. Yields the callback for each epoch."""
    if not sys.stderr.isatty():
        yield say_epoch
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        "  ",
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, visible=False)
        yield lambda epoch: progress.update(
            task, completed=epoch.number, total=epoch.total, description=format_losses(epoch), visible=True
        )


def say_epoch(epoch: Epoch) -> None:
    """Print a line for every Nth epoch, about ten in all, and for the last epoch."""
    if epoch.number % max(1, epoch.total // _EPOCH_LINES) == 0 or epoch.number == epoch.total:
        say(f"  epoch {epoch.number}/{epoch.total}  {format_losses(epoch)}")


def format_losses(epoch: Epoch) -> str:
    """Write the losses of an epoch."""
    validation = "" if epoch.validation_loss is None else f"  validation {epoch.validation_loss:.2e}"
    return f"loss {epoch.loss:.2e}{validation}"


@dataclass(frozen=True)
class ScoringProgress:
    """The callbacks of ``jobs.score.score``."""

    on_plan: Callable[[int, int, str], None]
    on_rows: Callable[[int], None]
    on_done: Callable[[RunReport], None]


@contextmanager
def show_scoring(log_format: str) -> Iterator[ScoringProgress]:
    """Show scoring runs: a bar on a terminal, and elsewhere a line every ten seconds, as text or as JSON."""
    if log_format == "text" and sys.stderr.isatty():
        with _show_bar() as progress:
            yield progress
    else:
        yield _log_lines(log_format)


@contextmanager
def _show_bar() -> Iterator[ScoringProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    text = TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows")
    columns = ("  ", BarColumn(), text, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=0)
        yield ScoringProgress(
            on_plan=lambda rows, _files, _version: progress.update(task, total=rows),
            on_rows=lambda count: progress.advance(task, count),
            on_done=lambda _report: progress.reset(task, total=0),
        )


def _log_lines(log_format: str) -> ScoringProgress:
    """Return callbacks that print a line every ten seconds. JSON lines also report the start and the end of a run."""
    started = last_line = time.monotonic()
    total = done = 0

    def on_plan(rows: int, files: int, version: str) -> None:
        nonlocal total
        total = rows
        if log_format == "json":
            _say_json("planned", rows=rows, files=files, version=version)

    def on_rows(count: int) -> None:
        nonlocal done, last_line
        done += count
        now = time.monotonic()
        if now - last_line < _SECONDS_BETWEEN_LINES:
            return
        last_line = now
        if log_format == "json":
            _say_json("progress", rows=total, rows_done=done, seconds=round(now - started, 1))
        else:
            say(f"  {done:,} of {total:,} rows after {now - started:.0f} s")

    def on_done(report: RunReport) -> None:
        nonlocal started, last_line, total, done
        if log_format == "json":
            _say_json("done", **{field: getattr(report, field) for field in _DONE_FIELDS})
        started = last_line = time.monotonic()
        total = done = 0

    return ScoringProgress(on_plan, on_rows, on_done)


_DONE_FIELDS = ("run_id", "run_date", "rows_in", "rows_scored", "rows_rejected", "already_done", "seconds")


def _say_json(event: str, **fields: object) -> None:
    say(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}))
