"""A search while it is under way: a live table on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gamesales.cli.progress import say, say_epoch, told
from gamesales.search.search import Watch
from gamesales.search.trials import ranking

if TYPE_CHECKING:
    from gamesales.search.trials import Trial
    from gamesales.search.tune_job import SearchSpec
    from gamesales.training.fit import Epoch

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
