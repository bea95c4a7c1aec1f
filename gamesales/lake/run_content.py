"""The rows and the rejects of a run in the store of a table, for its page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from gamesales.lake.location import PARTITION, TableLocation
from gamesales.scoring.run_content import RunContent, read_pieces
from gamesales.scoring.run_report import RunReport


def open_table_content(location: TableLocation, report: RunReport) -> RunContent:
    """Return the content of a run whose files are in the store of a table, published or not."""
    store = location.open_store()
    folder = None if report.rejects is None else report.rejects.removeprefix(f"{location}/")

    def read_rows(choose: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[pa.Table]:
        for file in report.files:
            data = store.read(f"{PARTITION}={report.run_date}/{file.name}")
            yield from read_pieces(pa.BufferReader(data), choose)

    def open_rejects() -> Iterator[BinaryIO]:
        keys = [] if folder is None else sorted(store.list(folder))
        yield from (io.BytesIO(store.read(key)) for key in keys)

    return RunContent(read_rows, open_rejects)
