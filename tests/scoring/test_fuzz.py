"""A hundred thousand damaged files: each is read with every row accounted for, or refused as an input; nothing else."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.errors import InputError
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.plan import make_plan
from gamesales.scoring.predict import predict_titles
from support.runs import CONTRACT, csv_line, csv_text, simple_version
from support.versions import FEATURES, titles_table

CSV_FILES, PARQUET_FILES = 70_000, 30_000
VERSION = simple_version()
# What breaks CSV readers, beside any byte at all.
SPLINTERS = [
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
    b"007",
    b"=1",
]


def account(path):
    """Plan and score a file as a run does, without publishing; return rows in, scored and rejected."""
    with find_inputs([str(path)]) as found:
        plan = make_plan(found, CONTRACT, "0" * 64, {})
    names = [*FEATURES, *plan.kept.names]
    scored = rejected = 0
    for shard in plan.shards:
        for one in shard.slices:
            for batch in plan.inputs[0].table.batches(names, one.start, one.stop, FEATURES):
                predicted = predict_titles(batch, VERSION)
                scored += len(predicted.earnings)
                rejected += len(predicted.screened.rejected)
    return plan.rows, scored, rejected


def damaged(content, random):
    """Cut, flip, repeat, move or put in some bytes."""
    data = bytearray(content)
    for _ in range(random.integers(1, 5)):
        place = int(random.integers(0, len(data) + 1))
        kind = random.integers(0, 6)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << int(random.integers(0, 8))
        elif kind == 1:
            del data[place : place + int(random.integers(1, 20))]
        elif kind == 2:
            data[place:place] = SPLINTERS[int(random.integers(0, len(SPLINTERS)))]
        elif kind == 3:
            data[place:place] = bytes(random.integers(0, 256, int(random.integers(1, 6)), dtype=np.uint8))
        elif kind == 4:
            data[place:place] = data[place : place + 30]
        elif random.random() < 0.2:
            del data[place:]
    return bytes(data)


def sweep(files, content, suffix, seed):
    """Damage and read so many files; return how many were read and how many refused."""
    random = np.random.default_rng(seed)
    read = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t.{suffix}"
        for number in range(files):
            path.write_bytes(damaged(content[number % len(content)], random))
            try:
                rows_in, scored, rejected = account(path)
            except InputError:
                refused += 1
                continue
            assert rows_in == scored + rejected, (number, path.read_bytes())
            read += 1
    return read, refused


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_damaged_csv_files(seed):
    lines = [csv_line(f"T{row}", critic_rating=str(row / 2)) for row in range(8)]
    contents = [csv_text(lines, [*FEATURES, "title_id"], end=end).encode() for end in ("\n", "\r\n")]
    contents.append(contents[0].replace(b"T3", b'"T, ""3""\n"'))
    read, refused = sweep(CSV_FILES // 5, contents, "csv", seed)
    assert read > 100
    assert refused > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_damaged_parquet_files(seed):
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
    read, refused = sweep(PARQUET_FILES // 3, contents, "parquet", seed)
    assert refused > 100
    assert read > 0
