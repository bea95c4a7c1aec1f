"""What a person sees on stderr while something takes long: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gamesales.search.search import Watch
from gamesales.search.trials import ranking

if TYPE_CHECKING:
    from gamesales.search.trials import Trial
    from gamesales.search.tune_job import SearchSpec
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


_SHOWN = 10
_COLUMNS = ("trial", "", "error", "parameters", "network", "learning rate", "batch", "epochs", "L2", "dropout")


@contextmanager
def watching(spec: SearchSpec) -> Iterator[Watch]:
    """Give what shows a search."""
    if not sys.stderr.isatty():
        yield Watch(say, lambda trial: None, _say_trial, say_epoch)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        shown = _Table(spec, live)
        yield Watch(shown.stage, shown.running, shown.trial, shown.epoch)


def _say_trial(trial: Trial) -> None:
    state, error, parameters, network, *rest = _cells(trial)[1:]
    told = ", ".join(f"{name} {value}" for name, value in zip(_COLUMNS[5:], rest, strict=True))
    why = f"  {trial.why}" if trial.why else ""
    say(f"  trial {trial.number}  {state:<8}  {error:>8}  {parameters:>7} parameters  {network}, {told}{why}")


def _cells(trial: Trial) -> list[str]:
    candidate = trial.candidate
    decays = " cosine" if candidate.schedule == "CosineDecay" else ""
    return [
        str(trial.number),
        trial.state,
        f"{trial.error:.2e}" if trial.errors else "-",
        f"{trial.parameters:,}",
        str(candidate),
        f"{candidate.learning_rate:.2g}{decays}",
        str(candidate.batch_size),
        str(candidate.epochs),
        f"{candidate.l2:g}",
        f"{candidate.dropout:g}",
    ]


class _Table:
    """The best trials so far, the one under way, and how far the budget is spent."""

    def __init__(self, spec: SearchSpec, live: Any) -> None:
        self._spec, self._live = spec, live
        self._trials: list[Trial] = []
        self._running: Trial | None = None
        self._began = time.monotonic()

    def stage(self, stage: str) -> None:
        self._live.console.print(stage, highlight=False, markup=False)

    def running(self, trial: Trial) -> None:
        self._running = trial
        self._show(self._counted())

    def trial(self, trial: Trial) -> None:
        self._trials.append(trial)
        self._running = None
        self._show(self._counted())

    def epoch(self, epoch: Epoch) -> None:
        self._show(f"epoch {epoch.number}/{epoch.of}  {told(epoch)}")

    def _show(self, caption: str) -> None:
        from rich.table import Table

        shown = Table(*_COLUMNS, caption=caption, caption_justify="left", box=None, pad_edge=False)
        for column in shown.columns[2:4]:
            column.justify = "right"
        for trial in ranking(self._trials)[:_SHOWN]:
            shown.add_row(*_cells(trial))
        if self._running:
            number, _, *rest = _cells(self._running)
            shown.add_row(number, f"fold {len(self._running.errors)}/{self._spec.folds}", *rest, style="dim")
        self._live.update(shown, refresh=True)

    def _counted(self) -> str:
        states = [trial.state for trial in self._trials]
        told = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed"))
        of = f" of {self._spec.trials}" if self._spec.trials else ""
        minutes = f" of {self._spec.minutes:g}" if self._spec.minutes else ""
        return f"{len(states)}{of} trials: {told}; {(time.monotonic() - self._began) / 60:.1f}{minutes} minutes"
