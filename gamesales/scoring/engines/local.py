"""The shards of a run in threads of this process: reading, scoring and writing all leave Python to others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
Pulse = Callable[[int], None]


class _StoppedError(Exception):
    """The run ends early; a shard that is half done gives up."""


def do_all(
    numbers: Sequence[int], do: Callable[[int, Pulse], T], workers: int, on_rows: Pulse
) -> Generator[tuple[int, T], None, None]:
    """Do shards and yield their results as they come, in any order.

    Args:
        numbers: the shards to do.
        do: does one; it calls what it is given with the rows of every batch, which also is where it may be stopped.
        workers: threads.
        on_rows: called with the rows done since the last call, by one thread at a time.

    When the caller stops, or a shard fails, the others are stopped at their next batch before this returns.
    """
    stopped, turn = threading.Event(), threading.Lock()

    def pulse(rows: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        with turn:
            on_rows(rows)

    pool = ThreadPoolExecutor(workers)
    try:
        waiting = {pool.submit(do, number, pulse): number for number in numbers}
        for future in as_completed(waiting):
            yield waiting.pop(future), future.result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
