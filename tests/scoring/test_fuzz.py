"""A hundred thousand damaged files: each is read with every row accounted for, or refused as an input."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.dialect import DEFAULT_FORMAT, CsvDialect, TableFormat
from gamesales.errors import InputError, TryAgainError
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.plan import make_plan
from gamesales.scoring.predict import predict_batch
from support.runs import CONTRACT, csv_line, csv_text, simple_version
from support.sampling import many, seed
from support.versions import FEATURES, titles_table

CSV_FILES, PARQUET_FILES = many(70_000, 4_000), many(30_000, 1_500)
VERSION = simple_version()
# Bytes that often break CSV readers.
SPECIAL_BYTES = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\xff",
    b"\xc3",
    b"\0",
    b"1e999",
    b"nan",
    b" ",
    b"\\",
    b'\\"',
    b'\\""',
    b",,,,,,,,,\n",
    b";",
    b"007",
    b"=1",
]


def count_rows(path, table_format):
    """Plan and score a file as a run does, without publishing; return rows in, and rows scored, rejected or blank."""
    with find_inputs([str(path)]) as files:
        plan = make_plan(files, CONTRACT, "0" * 64, {}, table_format=table_format)
    names = [*FEATURES, *plan.passthrough.names]
    rows = 0
    for shard in plan.shards:
        for part in shard.ranges:
            for batch in plan.inputs[0].table.read_batches(names, part.start, part.stop, FEATURES):
                prediction = predict_batch(batch, VERSION)
                rows += len(prediction.predictions) + len(prediction.screened.rejected) + len(batch.blank)
    return plan.rows, rows


def damage(content, random):
    """Cut, flip, repeat or insert some bytes."""
    data = bytearray(content)
    for _ in range(random.integers(1, 5)):
        index = int(random.integers(0, len(data) + 1))
        kind = random.integers(0, 6)
        if kind == 0 and data:
            data[index % len(data)] ^= 1 << int(random.integers(0, 8))
        elif kind == 1:
            del data[index : index + int(random.integers(1, 20))]
        elif kind == 2:
            data[index:index] = SPECIAL_BYTES[int(random.integers(0, len(SPECIAL_BYTES)))]
        elif kind == 3:
            data[index:index] = bytes(random.integers(0, 256, int(random.integers(1, 6)), dtype=np.uint8))
        elif kind == 4:
            data[index:index] = data[index : index + 30]
        elif random.random() < 0.2:
            del data[index:]
    return bytes(data)


def sweep(files, content, suffix, random_seed, formats=(DEFAULT_FORMAT,)):
    """Damage and read a number of files; return how many were read and how many were refused.

    The files take turns with ``content``, and with the table formats of that content in ``formats``.
    """
    random = np.random.default_rng(random_seed)
    read = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t.{suffix}"
        for number in range(files):
            path.write_bytes(damage(content[number % len(content)], random))
            try:
                rows_in, rows = count_rows(path, formats[number % len(content) % len(formats)])
            except (InputError, TryAgainError):
                refused += 1
                continue
            assert rows_in == rows, (number, path.read_bytes())
            read += 1
    return read, refused


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(5))
def test_damaged_csv_files(turn):
    """A damaged CSV gives an input error or counts that add up."""
    lines = [csv_line(f"T{row}", critic_rating=str(row / 2)) for row in range(8)]
    contents = [csv_text(lines, [*FEATURES, "title_id"], end=end).encode() for end in ("\n", "\r\n")]
    contents.append(contents[0].replace(b"T3", b'"T, ""3""\n"'))
    contents.append(contents[0].replace(b",", b";").replace(b"T3", b'"T; \\"3\\"\n"').replace(b".", b","))
    contents.append(contents[0].decode().encode("utf-16"))
    formats = [DEFAULT_FORMAT] * 3 + [
        TableFormat(CsvDialect(";", ",", "\\")),
        TableFormat(CsvDialect(encoding="utf-16")),
    ]
    read, refused = sweep(CSV_FILES // 5, contents, "csv", seed(f"damaged CSV {turn}"), formats)
    assert read > 100
    assert refused > 100


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_damaged_parquet_files(turn):
    """A damaged Parquet file gives an error or counts that add up."""
    contents = []
    for options in (
        {},
        {"use_dictionary": False, "compression": "none"},
        {"write_page_checksum": True, "row_group_size": 2},
    ):
        buffer = io.BytesIO()
        table = titles_table(6, title_id=pa.array([f"T{row}" for row in range(6)]))
        parquet.write_table(table, buffer, **options)
        contents.append(buffer.getvalue())
    read, refused = sweep(PARQUET_FILES // 3, contents, "parquet", seed(f"damaged Parquet {turn}"))
    assert refused > 100
    assert read > 0
