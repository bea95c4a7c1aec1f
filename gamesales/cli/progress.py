"""Progress on stderr: a bar or a live table on a terminal, plain or JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gamesales.cli.terminal import to_one_line

if TYPE_CHECKING:
    from pathlib import Path

    from gamesales.scoring.run_report import RunReport
    from gamesales.search.search import SearchCallbacks
    from gamesales.search.trials import Trial
    from gamesales.search.tune_job import SearchSpec
    from gamesales.training.fit import Epoch

# The approximate number of lines for all epochs of a training.
_EPOCH_LINES = 10
_SECONDS_BETWEEN_LINES = 10.0
_SHOWN_TRIALS = 10
_COLUMNS = ("trial", "", "error", "parameters", "network", "learning rate", "batch", "epochs", "L2", "dropout")


def say(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


def say_reading(job: Path) -> None:
    """Print the first line of a training. Call it before the imports of the job, which take a second."""
    say(f"reading {to_one_line(str(job))}")


@contextmanager
def show_epochs() -> Iterator[Callable[[Epoch], None]]:
    """Show training epoch by epoch, with the loss. Yields the callback for each epoch."""
    if not sys.stderr.isatty():
        yield _say_epoch
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}")
    columns = ("  ", BarColumn(), MofNCompleteColumn(), text, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, visible=False)
        yield lambda epoch: progress.update(
            task, completed=epoch.number, total=epoch.total, description=_format_losses(epoch), visible=True
        )


def _say_epoch(epoch: Epoch) -> None:
    """Print a line for every Nth epoch, about ten in all, and for the last epoch."""
    if epoch.number % max(1, epoch.total // _EPOCH_LINES) == 0 or epoch.number == epoch.total:
        say(f"  epoch {epoch.number}/{epoch.total}  {_format_losses(epoch)}")


def _format_losses(epoch: Epoch) -> str:
    """Write the losses of an epoch."""
    validation = "" if epoch.validation_loss is None else f"  validation {epoch.validation_loss:.2e}"
    return f"loss {epoch.loss:.2e}{validation}"


# The callbacks of ``jobs.score.score`` by name.
ScoringCallbacks = dict[str, Callable[..., None]]


@contextmanager
def show_scoring(log_format: str) -> Iterator[ScoringCallbacks]:
    """Show scoring runs: a bar on a terminal, and elsewhere a line every ten seconds, as text or as JSON."""
    if log_format == "text" and sys.stderr.isatty():
        with _show_bar() as progress:
            yield progress
    else:
        yield _log_lines(log_format)


@contextmanager
def _show_bar() -> Iterator[ScoringCallbacks]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    text = TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows")
    columns = ("  ", BarColumn(), text, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=0)
        yield {
            "on_plan": lambda rows, _files, _version: progress.update(task, total=rows),
            "on_rows": lambda count: progress.advance(task, count),
            "on_done": lambda _report: progress.reset(task, total=0),
            "on_hook_line": lambda line: progress.console.print(line, markup=False, highlight=False),
        }


def _log_lines(log_format: str) -> ScoringCallbacks:
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

    def on_hook_line(line: str) -> None:
        if log_format == "json":
            _say_json("hook", line=line)
        else:
            say(line)

    return {"on_plan": on_plan, "on_rows": on_rows, "on_done": on_done, "on_hook_line": on_hook_line}


_DONE_FIELDS = ("run_id", "run_date", "rows_in", "rows_scored", "rows_rejected", "already_done", "seconds")


def _say_json(event: str, **fields: object) -> None:
    say(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}))


@contextmanager
def show_search(spec: SearchSpec) -> Iterator[SearchCallbacks]:
    """Show a search: a live table on a terminal, a line for each trial elsewhere. Yields its callbacks."""
    from gamesales.search.search import SearchCallbacks

    if not sys.stderr.isatty():
        yield SearchCallbacks(say, lambda trial: None, _say_trial, _say_epoch)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        table = _LiveTable(spec, live)
        yield SearchCallbacks(table.print_stage, table.show_running, table.add_trial, table.show_epoch)


def _say_trial(trial: Trial) -> None:
    state, error, parameters, network, *rest = _format_cells(trial)[1:]
    settings = ", ".join(f"{name} {value}" for name, value in zip(_COLUMNS[5:], rest, strict=True))
    why = f"  {trial.why}" if trial.why else ""
    say(f"  trial {trial.number}  {state:<8}  {error:>8}  {parameters:>7} parameters  {network}, {settings}{why}")


def _format_cells(trial: Trial) -> list[str]:
    candidate = trial.candidate
    schedule = " cosine" if candidate.schedule == "CosineDecay" else ""
    return [
        str(trial.number),
        trial.state,
        f"{trial.error:.2e}" if trial.errors else "-",
        f"{trial.parameters:,}",
        str(candidate),
        f"{candidate.learning_rate:.2g}{schedule}",
        str(candidate.batch_size),
        str(candidate.epochs),
        f"{candidate.l2:g}",
        f"{candidate.dropout:g}",
    ]


class _LiveTable:
    """The best trials so far, the running trial and the budget."""

    def __init__(self, spec: SearchSpec, live: Any) -> None:
        self._spec, self._live = spec, live
        self._trials: list[Trial] = []
        self._running: Trial | None = None
        self._started = time.monotonic()

    def print_stage(self, stage: str) -> None:
        self._live.console.print(stage, highlight=False, markup=False)

    def show_running(self, trial: Trial) -> None:
        self._running = trial
        self._show(self._format_budget())

    def add_trial(self, trial: Trial) -> None:
        self._trials.append(trial)
        self._running = None
        self._show(self._format_budget())

    def show_epoch(self, epoch: Epoch) -> None:
        self._show(f"epoch {epoch.number}/{epoch.total}  {_format_losses(epoch)}")

    def _show(self, caption: str) -> None:
        from rich.table import Table

        from gamesales.search.trials import rank_trials

        table = Table(*_COLUMNS, caption=caption, caption_justify="left", box=None, pad_edge=False)
        for column in table.columns[2:4]:
            column.justify = "right"
        for trial in rank_trials(self._trials)[:_SHOWN_TRIALS]:
            table.add_row(*_format_cells(trial))
        if self._running:
            number, _, *rest = _format_cells(self._running)
            table.add_row(number, "running", *rest, style="dim")
        self._live.update(table, refresh=True)

    def _format_budget(self) -> str:
        states = [trial.state for trial in self._trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed"))
        of = f" of {self._spec.trials}" if self._spec.trials else ""
        minutes = f" of {self._spec.minutes:g}" if self._spec.minutes else ""
        return f"{len(states)}{of} trials: {counts}; {(time.monotonic() - self._started) / 60:.1f}{minutes} minutes"
