"""Progress on stderr: one line with the time left on a terminal, plain or JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gamesales.cli.progress_line import can_show_line, show_line
from gamesales.cli.render import show_text
from gamesales.cli.terminal import to_one_line
from gamesales.report.format import format_count

if TYPE_CHECKING:
    from pathlib import Path

    from gamesales.cli.progress_line import ProgressLine
    from gamesales.scoring.run_report import RunReport
    from gamesales.search.search import SearchCallbacks
    from gamesales.search.trials import Trial
    from gamesales.search.tune_job import SearchSpec
    from gamesales.training.fit import Epoch

# The approximate number of lines for all epochs of a training.
_EPOCH_LINES = 10
_SECONDS_BETWEEN_LINES = 10.0
# Before this share of the rows, the start of the run would spoil an estimate.
_LEAST_SHARE = 0.02
_COLUMNS = ("trial", "", "error", "parameters", "network", "learning rate", "batch", "epochs", "L2", "dropout")


def say(line: str) -> None:
    """Print one line of progress."""
    show_text(lambda: line, sys.stderr)


def say_reading(job: Path) -> None:
    """Print the first line of a training. Call it before the imports of the job, which take a second."""
    say(f"reading {to_one_line(str(job))}")


@contextmanager
def show_training() -> Iterator[tuple[Callable[[str], None], Callable[[Epoch], None]]]:
    """Show a training: a line of progress on a terminal, and some epochs elsewhere.

    Yields:
        The callbacks for a stage and for an epoch.
    """
    if not can_show_line():
        yield say, _say_epoch
        return
    with show_line() as line:
        progress = _TrainingProgress(line)
        yield progress.begin_stage, progress.show_epoch


class _TrainingProgress:
    """The progress of a training.

    While epochs are trained, the time left is that of the other epochs, and half the time of the start, which is the
    last three stages up to the first epoch. The evaluation takes about as long, also on a slow machine. Other stages
    have no estimate.
    """

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._first_epoch = time.monotonic()
        self._stages = deque([self._first_epoch], maxlen=3)
        self._epochs = 0

    def begin_stage(self, stage: str) -> None:
        self._stages.append(time.monotonic())
        say(stage)
        self._line.update(stage)

    def show_epoch(self, epoch: Epoch) -> None:
        now = time.monotonic()
        if not self._epochs:  # the first epoch includes the compilation
            self._epochs, self._first_epoch = epoch.number, now
        measured = epoch.number - self._epochs
        left = None
        if measured:
            left = (now - self._first_epoch) / measured * (epoch.total - epoch.number)
            left += (self._first_epoch - self._stages[0]) / 2
        self._line.update(f"epoch {epoch.number:,} of {epoch.total:,}, {_format_losses(epoch)}", left)


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
def show_scoring(log_format: str, dates: int = 1) -> Iterator[ScoringCallbacks]:
    """Show scoring runs: a line of progress on a terminal, and elsewhere a line every ten seconds, as text or as JSON.

    Args:
        log_format: ``text`` or ``json``.
        dates: The number of runs.
    """
    if log_format != "text" or not can_show_line():
        yield _log_lines(log_format)
        return
    with show_line() as line:
        yield _show_rows(line, dates)


def _show_rows(line: ProgressLine, dates: int) -> ScoringCallbacks:
    """Return callbacks that show the rows of a date, and the time left for all dates."""
    started: float | None = None
    total = done = dates_done = 0

    def on_plan(rows: int, _files: int, _version: str) -> None:
        nonlocal total, done, started
        total, done, started = rows, 0, started or time.monotonic()

    def on_rows(count: int) -> None:
        nonlocal done
        done += count
        share = (dates_done + done / total) / dates if total else 0.0
        elapsed = time.monotonic() - (started or 0.0)
        date = f", date {dates_done + 1:,} of {dates:,}" if dates > 1 else ""
        left = elapsed / share - elapsed if share >= _LEAST_SHARE else None
        line.update(f"{done:,} of {format_count(total, 'row')}{date}", left)

    def on_done(_report: RunReport) -> None:
        nonlocal dates_done
        dates_done += 1

    return {"on_plan": on_plan, "on_rows": on_rows, "on_done": on_done, "on_hook_line": say}


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
            say(f"  {done:,} of {format_count(total, 'row')} after {now - started:.0f} s")

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
    document = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    print(json.dumps(document), file=sys.stderr, flush=True)


@contextmanager
def show_search(spec: SearchSpec) -> Iterator[SearchCallbacks]:
    """Show a search: a line of progress on a terminal, and elsewhere a line for each trial. Yields its callbacks."""
    from gamesales.search.search import SearchCallbacks

    if not can_show_line():
        yield SearchCallbacks(say, lambda trial: None, _say_trial, _say_epoch)
        return
    with show_line() as line:
        progress = _SearchProgress(spec, line)
        training = _TrainingProgress(line)
        yield SearchCallbacks(training.begin_stage, progress.start_trial, progress.add_trial, training.show_epoch)


class _SearchProgress:
    """The progress of a search. Each trial that is better than all before it is a line of its own."""

    def __init__(self, spec: SearchSpec, line: ProgressLine) -> None:
        self._spec, self._line = spec, line
        self._trials: list[Trial] = []
        self._best: Trial | None = None

    def start_trial(self, _trial: Trial) -> None:
        self._show()

    def add_trial(self, trial: Trial) -> None:
        self._trials.append(trial)
        if trial.state == "complete" and (self._best is None or trial.error < self._best.error):
            self._best = trial
            _say_trial(trial)
        self._show()

    def _show(self) -> None:
        states = [trial.state for trial in self._trials]
        counts = ", ".join(f"{states.count(state):,} {state}" for state in ("complete", "pruned", "failed"))
        total = f" of {self._spec.trials:,}" if self._spec.trials else ""
        noun = "trial" if (self._spec.trials or len(states)) == 1 else "trials"
        self._line.update(f"{len(states):,}{total} {noun}: {counts}", self._estimate_left())

    def _estimate_left(self) -> float | None:
        """Estimate the time of the other trials and of the final, from the mean time of a trial."""
        seconds = sum(trial.seconds for trial in self._trials)
        if not self._trials:
            return None
        mean = seconds / len(self._trials)
        limits = []
        if self._spec.trials:
            limits.append(mean * (self._spec.trials - len(self._trials)))
        if self._spec.minutes:
            limits.append(60 * self._spec.minutes - seconds)
        return max(min(limits), 0.0) + mean * self._spec.finalists * self._spec.rounds


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
