"""What a person sees on stderr while something takes long: a bar on a terminal, plain lines elsewhere."""

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
    from gamesales.training.fit import Epoch

_LINES = 10
_SECONDS = 10.0


def say(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def epochs() -> Iterator[Callable[[Epoch], None]]:
    """Show training epoch by epoch, with the loss."""
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
            task, completed=epoch.number, total=epoch.of, description=told(epoch), visible=True
        )


def say_epoch(epoch: Epoch) -> None:
    """Print a line of an epoch, of some ten of them."""
    if epoch.number % max(1, epoch.of // _LINES) == 0 or epoch.number == epoch.of:
        say(f"  epoch {epoch.number}/{epoch.of}  {told(epoch)}")


def told(epoch: Epoch) -> str:
    """Write the losses of an epoch."""
    validation = "" if epoch.validation_loss is None else f"  validation {epoch.validation_loss:.2e}"
    return f"loss {epoch.loss:.2e}{validation}"


@dataclass
class Scoring:
    """What is told while a run is under way: what it will do, and how far it has come."""

    on_plan: Callable[[int, int, str], None]
    on_rows: Callable[[int], None]


@contextmanager
def scoring(log_format: str) -> Iterator[Scoring]:
    """Show a scoring run: a bar on a terminal; elsewhere a line now and then, as text or as JSON."""
    if log_format == "text" and sys.stderr.isatty():
        with _bar() as shown:
            yield shown
    else:
        yield _log(log_format)


@contextmanager
def _bar() -> Iterator[Scoring]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    text = TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows")
    columns = ("  ", BarColumn(), text, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=0)
        yield Scoring(
            on_plan=lambda rows, _files, _version: progress.update(task, total=rows),
            on_rows=lambda count: progress.advance(task, count),
        )


def _log(log_format: str) -> Scoring:
    """Tell of a long run every ten seconds; as JSON, of its beginning too."""
    begun = told = time.monotonic()
    total = done = 0

    def on_plan(rows: int, files: int, version: str) -> None:
        nonlocal total
        total = rows
        if log_format == "json":
            _say_json("planned", rows=rows, files=files, version=version)

    def on_rows(count: int) -> None:
        nonlocal done, told
        done += count
        now = time.monotonic()
        if now - told < _SECONDS:
            return
        told = now
        if log_format == "json":
            _say_json("progress", rows=total, rows_done=done, seconds=round(now - begun, 1))
        else:
            say(f"  {done:,} of {total:,} rows after {now - begun:.0f} s")

    return Scoring(on_plan, on_rows)


def say_done(log_format: str, **fields: object) -> None:
    """Tell of the end of a run, where its lines are read by a program."""
    if log_format == "json":
        _say_json("done", **fields)


def _say_json(event: str, **fields: object) -> None:
    say(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}))
