"""Engines run the shards of a run. Each gets the same pure function, so no engine changes a byte of the result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from gamesales.errors import UsageError

if TYPE_CHECKING:
    from gamesales.scoring.ledger import ShardResult
    from gamesales.scoring.shard_bounds import Shard

# Threads of this process, or tasks of Ray.
EngineName = Literal["local", "ray"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
RowsCallback = Callable[[int], None]


def check_engine(name: str) -> None:
    """Raise UsageError if there is no engine of a name."""
    if name not in ENGINES:
        raise UsageError(f"engine expects {' or '.join(ENGINES)}, received {name!r}")


class Task(Protocol):
    """The work on one shard."""

    @property
    def shard(self) -> Shard:
        """The shard, whose number identifies the task."""


class TaskScorer(Protocol):
    """Scores the shard of any task of a run. It can be pickled."""

    def score(self, task: Any, on_rows: RowsCallback) -> ShardResult:
        """Score a shard. ``on_rows`` is called with the rows of each batch; the call may stop the shard."""


class Engine(Protocol):
    """Runs the shards of a run."""

    def __call__(
        self,
        tasks: Sequence[Task],
        scorer: TaskScorer,
        finish: Callable[[int, ShardResult], None],
        workers: int | None,
        on_rows: RowsCallback,
    ) -> Generator[tuple[int, ShardResult], None, None]:
        """Run shards, and yield their results as they are finished, in any order.

        When the caller stops, or a shard fails, all other shards have stopped before the generator is closed.

        Args:
            tasks: the shards to run.
            scorer: scores each of them.
            finish: completes a scored shard in this process, with its number and its result.
            workers: how many shards run at a time; by default one per core.
            on_rows: called with the rows scored since the last call, by one thread at a time.

        Yields:
            The number of a shard and its result.
        """
