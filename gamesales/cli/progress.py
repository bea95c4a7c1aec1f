"""What a person sees on stderr while something takes long: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gamesales.model.training import Epoch

_LINES = 10


def say(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def epochs() -> Iterator[Callable[[Epoch], None]]:
    """Show training epoch by epoch, with the loss."""
    if not sys.stderr.isatty():
        yield _say_epoch
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
            task, completed=epoch.number, total=epoch.of, description=_told(epoch), visible=True
        )


def _say_epoch(epoch: Epoch) -> None:
    if epoch.number % max(1, epoch.of // _LINES) == 0 or epoch.number == epoch.of:
        say(f"  epoch {epoch.number}/{epoch.of}  {_told(epoch)}")


def _told(epoch: Epoch) -> str:
    validation = "" if epoch.validation_loss is None else f"  validation {epoch.validation_loss:.2e}"
    return f"loss {epoch.loss:.2e}{validation}"


@contextmanager
def rows() -> Iterator[Callable[[int], None]]:
    """Show how many rows are scored, on a terminal only: a scoring run elsewhere says all at its end."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.completed:,.0f} rows")
    with Progress(SpinnerColumn(), text, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda count: progress.advance(task, count)
