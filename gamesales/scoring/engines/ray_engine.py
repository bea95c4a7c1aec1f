"""Run shards as tasks of Ray, on the machines of a cluster or in processes of this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from gamesales.errors import UsageError
from gamesales.scoring.engines import RowsCallback, Task, TaskScorer
from gamesales.scoring.engines.ray_process import RayProcess
from gamesales.scoring.ledger import ShardResult
from gamesales.scoring.plan import read_software


class RayEngine(AbstractContextManager["RayEngine"]):
    """Runs shards of one or several runs. See ``Engine``.

    Ray starts with the first shard at the latest, and ends with the engine.
    """

    def __init__(self) -> None:
        self._process: RayProcess | None = None

    def __call__(
        self,
        tasks: Sequence[Task],
        scorer: TaskScorer,
        finish: Callable[[int, ShardResult], None],
        workers: int | None,
        on_rows: RowsCallback,
    ) -> Generator[tuple[int, ShardResult], None, None]:
        """Run shards. A few tasks for each core are pending at a time. Rows are reported when a shard is finished."""
        if not tasks:
            return
        try:
            yield from _run_shards(self.start(workers), tasks, scorer, finish, on_rows)
        except BaseException:
            self.close()
            raise

    def start(self, workers: int | None) -> RayProcess:
        """Start Ray in the background, unless it is started. See ``RayProcess``."""
        if self._process is None:
            self._process = RayProcess(workers, read_software)
        return self._process

    def close(self) -> None:
        """Wait until no shard is running, and end a local Ray."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _run_shards(
    process: RayProcess,
    tasks: Sequence[Task],
    scorer: TaskScorer,
    finish: Callable[[int, ShardResult], None],
    on_rows: RowsCallback,
) -> Generator[tuple[int, ShardResult], None, None]:
    process.share(scorer)
    host, waiting, pending = socket.gethostname(), iter(tasks), 0
    finished: SimpleQueue[tuple[int, Future[ShardResult]]] = SimpleQueue()
    for _ in tasks:
        for task in islice(waiting, max(process.limit - pending, 0)):
            process.submit(score_task, host, task).add_done_callback(partial(_put, finished, task.shard.number))
            pending += 1
        number, future = finished.get()
        pending -= 1
        result = future.result()
        finish(number, result)
        on_rows(result.rows_scored + result.rows_rejected + result.rows_blank)
        yield number, result


def _put(finished: SimpleQueue[tuple[int, Future[ShardResult]]], number: int, future: Future[ShardResult]) -> None:
    finished.put((number, future))


def score_task(scorer: TaskScorer, host: str, task: Task) -> ShardResult:
    """Score a shard in a worker process. ``host`` is the machine of the run.

    Raises:
        UsageError: this machine can't see a file of the run.
    """
    if socket.gethostname() != host:
        _require_visible(getattr(task, "local_paths", ()))
    return scorer.score(task, lambda rows: None)


def _require_visible(paths: Sequence[Path]) -> None:
    hidden = next((path for path in paths if not path.exists()), None)
    if hidden is not None:
        raise UsageError(
            f"the Ray worker on {socket.gethostname()} can't see {hidden}",
            hint="Use a disk that all nodes mount at the same path, or URLs of an object store; see docs/guides/ray.md",
        )
