"""Files of titles made of others: all rows in one row group, or some of them spoilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

# A row in so many is spoilt: as many as a run may reject by default.
EACH = 100
PRICE = "unit_price"


def join_groups(source: Path, path: Path) -> None:
    """Copy a Parquet file into one of a single row group."""
    from pyarrow import parquet

    titles = parquet.read_table(source)
    parquet.write_table(titles, path, row_group_size=len(titles))


def spoil(source: Path, path: Path) -> None:
    """Copy a file; the price of each ``EACH``-th row becomes -1 in Parquet, and a word in CSV."""
    if source.suffix == ".csv":
        _spoil_csv(source, path)
    else:
        _spoil_parquet(source, path)


def _spoil_parquet(source: Path, path: Path) -> None:
    from pyarrow import parquet

    file = parquet.ParquetFile(source)
    done = 0
    with parquet.ParquetWriter(path, file.schema_arrow) as writer:
        for batch in file.iter_batches():
            prices = batch.column(PRICE).to_numpy(zero_copy_only=False).copy()
            prices[_spoilt(done, len(batch))] = -1.0
            writer.write_batch(batch.set_column(batch.schema.names.index(PRICE), PRICE, pa.array(prices)))
            done += len(batch)


def _spoil_csv(source: Path, path: Path) -> None:
    """Line by line: what is not spoilt keeps its very text. No cell of these titles is quoted."""
    with source.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as out:
        header = next(lines)
        place = header.rstrip("\n").split(",").index(PRICE)
        out.write(header)
        for row, line in enumerate(lines):
            if row % EACH:
                out.write(line)
                continue
            cells = line.rstrip("\n").split(",")
            cells[place] = "free"
            out.write(",".join(cells) + "\n")


def _spoilt(done: int, rows: int) -> np.ndarray:
    """Return which rows of a batch are spoilt, after so many that came before."""
    return (np.arange(done, done + rows) % EACH) == 0
