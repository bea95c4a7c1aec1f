"""Run shards in threads of this process. Reading, scoring and writing all release Python's global lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
RowsCallback = Callable[[int], None]


class _StoppedError(Exception):
    """The run ends early; an unfinished shard stops."""


def run_shards(
    numbers: Sequence[int],
    score: Callable[[int, RowsCallback], T],
    finish: Callable[[int, T], None],
    workers: int | None,
    on_rows: RowsCallback,
) -> Generator[tuple[int, T], None, None]:
    """Run shards, and yield their results as they are finished, in any order.

    When the caller stops, or a shard fails, all other shards stop at their next batch before this function returns.

    Args:
        numbers: the shards to run.
        score: scores one shard. It calls its second argument with the rows of each batch; the call may stop it.
        finish: completes a scored shard, in a separate thread: waiting for the disk keeps no worker waiting.
        workers: the number of threads that score; by default one per core.
        on_rows: called with the rows scored since the last call, by one thread at a time.

    Yields:
        The number of a shard and its result.
    """
    stopped, lock = threading.Event(), threading.Lock()

    def report_rows(rows: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        with lock:
            on_rows(rows)

    def finish_shard(number: int, result: T) -> T:
        finish(number, result)
        return result

    def run_shard(number: int) -> Future[T]:
        return finisher.submit(finish_shard, number, score(number, report_rows))

    pool, finisher = ThreadPoolExecutor(workers or count_cores()), ThreadPoolExecutor(1)
    try:
        pending = {pool.submit(run_shard, number): number for number in numbers}
        for future in as_completed(pending):
            yield pending.pop(future), future.result().result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
        finisher.shutdown()


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
