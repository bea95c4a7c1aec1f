"""The progress of a search: a live table on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gamesales.cli.progress import format_losses, say, say_epoch
from gamesales.search.search import SearchCallbacks
from gamesales.search.trials import rank_trials

if TYPE_CHECKING:
    from gamesales.search.trials import Trial
    from gamesales.search.tune_job import SearchSpec
    from gamesales.training.fit import Epoch

_SHOWN_TRIALS = 10
_COLUMNS = ("trial", "", "error", "parameters", "network", "learning rate", "batch", "epochs", "L2", "dropout")


@contextmanager
def show_search(spec: SearchSpec) -> Iterator[SearchCallbacks]:
    """Show a search. Yields its callbacks."""
    if not sys.stderr.isatty():
        yield SearchCallbacks(say, lambda trial: None, _say_trial, say_epoch)
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
        self._show(f"epoch {epoch.number}/{epoch.total}  {format_losses(epoch)}")

    def _show(self, caption: str) -> None:
        from rich.table import Table

        table = Table(*_COLUMNS, caption=caption, caption_justify="left", box=None, pad_edge=False)
        for column in table.columns[2:4]:
            column.justify = "right"
        for trial in rank_trials(self._trials)[:_SHOWN_TRIALS]:
            table.add_row(*_format_cells(trial))
        if self._running:
            number, _, *rest = _format_cells(self._running)
            table.add_row(number, f"fold {len(self._running.errors)}/{self._spec.folds}", *rest, style="dim")
        self._live.update(table, refresh=True)

    def _format_budget(self) -> str:
        states = [trial.state for trial in self._trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed"))
        of = f" of {self._spec.trials}" if self._spec.trials else ""
        minutes = f" of {self._spec.minutes:g}" if self._spec.minutes else ""
        return f"{len(states)}{of} trials: {counts}; {(time.monotonic() - self._started) / 60:.1f}{minutes} minutes"
