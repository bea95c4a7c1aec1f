"""The shards of a run in threads of this process: reading, scoring and writing all leave Python to others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
Pulse = Callable[[int], None]


class _StoppedError(Exception):
    """The run ends early; a shard that is half done gives up."""


def do_all(
    numbers: Sequence[int],
    do: Callable[[int, Pulse], T],
    settle: Callable[[int, T], None],
    workers: int,
    on_rows: Pulse,
) -> Generator[tuple[int, T], None, None]:
    """Do shards and yield their results as they are settled, in any order.

    Args:
        numbers: the shards to do.
        do: does one; it calls what it is given with the rows of every batch, which also is where it may be stopped.
        settle: finishes one that is done, in a thread of its own: what waits for the disk keeps no worker waiting.
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

    def settled(number: int, done: T) -> T:
        settle(number, done)
        return done

    def whole(number: int) -> Future[T]:
        return settler.submit(settled, number, do(number, pulse))

    pool, settler = ThreadPoolExecutor(workers), ThreadPoolExecutor(1)
    try:
        waiting = {pool.submit(whole, number): number for number in numbers}
        for future in as_completed(waiting):
            yield waiting.pop(future), future.result().result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
        settler.shutdown()
