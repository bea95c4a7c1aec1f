"""Scoring one input: its batches in threads, its results in order.

Batches are cut by the file alone, so the number of workers changes the time and not one byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.data.batches import BadRow, Batch
from gamesales.data.columns import to_arrow
from gamesales.scoring.counts import Counts, told
from gamesales.scoring.parts import PartWriter, RejectsWriter, part_schema
from gamesales.scoring.plan import Input
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.screen import Screened, reject, screen

T = TypeVar("T")


def score_input(
    one: Input,
    kept: pa.Schema,
    version: LoadedVersion,
    part: PartWriter,
    rejects: RejectsWriter,
    *,
    workers: int,
    on_rows: Callable[[int], None],
) -> Counts:
    """Read, screen, score and write all rows of one input; return how many there were."""
    names = [*version.contract.feature_names, *(name for name in kept.names)]
    total = Counts()
    with one.unchanged():
        for scored, rejected, outside in in_order(
            workers, one.table.batches(names), lambda batch: score_batch(batch, kept, version)
        ):
            part.write(scored)
            rejects.write(one.name, rejected)
            total += Counts(0, len(scored), len(rejected), outside, told(one.name, rejected))
            on_rows(len(scored) + len(rejected))
    # Counted when the run was planned, by other means than what read the rows here.
    return total + Counts(rows_in=one.rows)


def score_batch(batch: Batch, kept: pa.Schema, version: LoadedVersion) -> tuple[pa.RecordBatch, Sequence[BadRow], int]:
    """Screen and score one batch.

    Returns: the scored rows in the result's columns, the rejected rows, and how many scored rows lie outside the
    range that the version was trained on.
    """
    screened, earnings = score_titles(batch, version)
    passing = [_accepted(batch.table.column(name), screened.accepted) for name in kept.names]
    outside = version.outside_training_range(screened.values)
    added = [to_arrow(values) for values in (earnings, outside, np.full(len(earnings), version.number, np.int32))]
    table = pa.RecordBatch.from_arrays([*passing, *added], schema=part_schema(kept))
    return table, screened.rejected, int(outside.sum())


def score_titles(batch: Batch, version: LoadedVersion) -> tuple[Screened, npt.NDArray[np.float64]]:
    """Screen a batch and predict what its accepted rows earn; one without a finite prediction is rejected too.

    Returns: the screened batch, and float64 (m,), US dollars, of the rows that it accepts.
    """
    screened = screen(batch, version.contract.features)
    earnings = version.scorer.score(screened.values)
    finite = np.isfinite(earnings)
    if finite.all():
        return screened, earnings
    return reject(batch, screened, ~finite, "the prediction is not a finite number"), earnings[finite]


def _accepted(column: pa.Array, accepted: npt.NDArray[np.bool_]) -> pa.Array:
    if accepted.all():
        return column
    try:
        return column.filter(to_arrow(accepted))
    except pa.ArrowNotImplementedError:  # views: Arrow can cut and join them only
        edges = np.flatnonzero(np.diff(accepted, prepend=False, append=False))
        runs = [
            column.slice(int(start), int(stop - start)) for start, stop in zip(edges[::2], edges[1::2], strict=True)
        ]
        return pa.concat_arrays([column.slice(0, 0), *runs])


def in_order(workers: int, batches: Iterator[Batch], work: Callable[[Batch], T]) -> Iterator[T]:
    """Do ``work`` on batches in threads and yield the results in the batches' order, few batches ahead."""
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for batch in batches:
            waiting.append(pool.submit(work, batch))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
