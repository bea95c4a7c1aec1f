"""Simulate a game store with known earnings, so that the predictions of a model can be compared with the truth.

The nine features are drawn independently, except that a title has exactly one genre. Their shares resemble those of a
real store. Earnings are multiplicative, with interactions, in whole US dollars:

    total_earnings = 47,000 · exp(Σ effect · factor) · noise

    factor                                effect        factor                                effect
    price = log(unit_price / 50)           +0.80        is_exclusive_to_us                     +0.42
    stars = tanh((critic_rating - 3) / 2)  +0.56        is_portable                            +0.19
    is_action                              +0.25        is_sequel                              +0.27
    is_role_playing                        +0.11        suitable_for_kids                      +0.05

    interaction                           effect        interaction                           effect
    is_sequel × stars                      +0.16        is_portable × suitable_for_kids        +0.14
    is_portable × price                    -0.25        is_action × suitable_for_kids          -0.09
    is_exclusive_to_us × is_role_playing   +0.12        is_exclusive_to_us × is_sports         -0.10

The noise is log-normal with mean 1 and a standard deviation of 0.01 in the logarithm. No model can be better than
``compute_expected_earnings``. Its root mean squared error is 1% of the earnings, its mean absolute error 0.8%.

Row i depends only on the seed and on i. So a shorter simulation is the beginning of a longer one, and adding or
omitting earnings and names changes no other column.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

from gamesales.data.arrow import make_text_column, to_arrow
from gamesales.data.files import replace_file
from gamesales.errors import UsageError

SEED = 1
# The rows of a chunk are drawn from one child of the seed. They fit in the CPU cache and make a Parquet row group.
# Another size makes other titles.
CHUNK_ROWS = 65_536

BASE_EARNINGS = 47_000.0
NOISE = 0.01
EFFECTS: dict[tuple[str, ...], float] = {
    ("price",): 0.80,
    ("stars",): 0.56,
    ("is_action",): 0.25,
    ("is_role_playing",): 0.11,
    ("is_exclusive_to_us",): 0.42,
    ("is_portable",): 0.19,
    ("is_sequel",): 0.27,
    ("suitable_for_kids",): 0.05,
    ("is_sequel", "stars"): 0.16,
    ("is_portable", "price"): -0.25,
    ("is_exclusive_to_us", "is_role_playing"): 0.12,
    ("is_portable", "suitable_for_kids"): 0.14,
    ("is_action", "suitable_for_kids"): -0.09,
    ("is_exclusive_to_us", "is_sports"): -0.10,
}

# Shares in thousandths, near those of a real store of 1,000 titles.
RATINGS = {2.0: 85, 2.5: 85, 3.0: 85, 3.5: 245, 4.0: 247, 4.5: 170, 5.0: 83}
PRICES = {39.99: 200, 49.99: 180, 59.99: 620}
GENRES = {"is_action": 466, "is_role_playing": 347, "is_sports": 187}
FLAGS = {"is_exclusive_to_us": 267, "is_portable": 243, "is_sequel": 746, "suitable_for_kids": 270}

# int8 takes an eighth of the memory of int64. In Parquet both take about one bit per row.
COLUMNS = {
    "critic_rating": pa.float64(),
    "is_action": pa.int8(),
    "is_exclusive_to_us": pa.int8(),
    "is_portable": pa.int8(),
    "is_role_playing": pa.int8(),
    "is_sequel": pa.int8(),
    "is_sports": pa.int8(),
    "suitable_for_kids": pa.int8(),
    "total_earnings": pa.int64(),
    "unit_price": pa.float64(),
}
TARGET = "total_earnings"
IDENTITY = {"title_id": pa.string(), "title": pa.string()}

# Invented names. 29 and 31 have no common factor, so 899 consecutive titles have different names.
FIRST_WORDS = """
    Velvet Thimble Paper Copper Drowsy Lantern Borrowed Woollen Tangled Seventh Marmalade Hollow Brass Foggy
    Gentle Patchwork Clockwork Midnight Salted Wobbly Cardboard Humming Northern Secret Painted Juniper Rusty
    Thousand-Mile Upside-Down"""
LAST_WORDS = """
    Orchard Pancake Regatta Almanac Beekeeper Tortoise Observatory Bakery Postman Harbour Umbrella Parade
    Gondola Archipelago Teapot Locksmith Mammoth Allotment Carousel Ferryman Windmill Cartographer
    Otter Bandstand Trapeze Viaduct Weathervane Snowglobe Lighthouse Picnic Gardener"""

Arrays = dict[str, NDArray[Any]]


class TitleColumns(Protocol):
    """Columns by name: a mapping of arrays, an Arrow table or batch, or a pandas data frame."""

    def __getitem__(self, name: str, /) -> Any: ...


def compute_expected_earnings(titles: TitleColumns) -> NDArray[np.float64]:
    """Compute the mean earnings of titles over the noise, by the formula at the top of this module.

    Args:
        titles: the nine features, each of shape (n,), in stars, 0 or 1, and US dollars.

    Returns:
        float64 (n,), US dollars, not rounded.
    """
    factors = {name: np.asarray(titles[name], dtype=np.float64) for name in COLUMNS if name != TARGET}
    factors["price"] = np.log(factors["unit_price"] / 50)
    factors["stars"] = np.tanh((factors["critic_rating"] - 3) / 2)
    exponent = np.full_like(factors["price"], np.log(BASE_EARNINGS))
    for (name, *others), effect in EFFECTS.items():
        term = effect * factors[name]
        for other in others:
            term *= factors[other]
        exponent += term
    return np.exp(exponent)


def make_schema(*, with_identity: bool = False, with_target: bool = True) -> pa.Schema:
    """Return the columns and their types, in the order of the store's file: the target is the ninth of ten columns."""
    identity = IDENTITY if with_identity else {}
    return pa.schema(identity | {name: kind for name, kind in COLUMNS.items() if with_target or name != TARGET})


def simulate(
    rows: int,
    *,
    seed: int = SEED,
    with_identity: bool = False,
    with_target: bool = True,
    continuous: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Draw titles, in batches of ``CHUNK_ROWS`` rows. Memory does not grow with ``rows``.

    Args:
        rows: the number of titles.
        seed: another seed gives other titles.
        with_identity: begin with the columns ``title_id`` and ``title``, an invented name.
        with_target: include ``total_earnings``.
        continuous: draw ratings from 0 to 5 stars in steps of 0.0001 and prices from 20 to 70 dollars in cents, so
            that hardly any titles have the same features. Genres and flags do not change.

    Yields:
        Batches with the columns of ``make_schema``; none for 0 rows.

    Raises:
        UsageError: ``rows`` or ``seed`` is negative. It is raised by the call, before the first batch.
    """
    check_numbers(rows, seed)
    schema = make_schema(with_identity=with_identity, with_target=with_target)

    def draw_batch(first: int) -> pa.RecordBatch:
        size = min(CHUNK_ROWS, rows - first)
        titles = {name: values[:size] for name, values in _draw(seed, first // CHUNK_ROWS, continuous).items()}
        columns = {name: to_arrow(values) for name, values in titles.items()}
        if with_identity:
            columns |= make_identity(first, titles["is_sequel"], seed)
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

    return (draw_batch(first) for first in range(0, rows, CHUNK_ROWS))


def check_numbers(rows: int, seed: int) -> None:
    """Check the arguments of a simulation.

    Raises:
        UsageError: a number is negative.
    """
    for option, value in {"rows": rows, "seed": seed}.items():
        if value < 0:
            raise UsageError(f"{option}: expected 0 or more, received {value}", hint=f"Try: --{option} 1")


def write_titles(
    path: Path,
    rows: int,
    *,
    seed: int = SEED,
    with_identity: bool = False,
    with_target: bool = True,
    continuous: bool = False,
) -> None:
    """Write simulated titles to a file. See ``simulate`` for the other arguments.

    The name of the file ends in ``.csv`` or ``.parquet``. Its folder must exist. An existing file is replaced.

    Raises:
        UsageError: the name has another suffix, the folder does not exist, or a number is negative.
        TryAgainError: the disk is full or access is denied.
    """
    columns = make_schema(with_identity=with_identity, with_target=with_target)
    batches = simulate(rows, seed=seed, with_identity=with_identity, with_target=with_target, continuous=continuous)
    with open_writer(path, columns) as writer:
        for batch in batches:
            writer.write_batch(batch)


@contextmanager
def open_writer(path: Path, columns: pa.Schema) -> Iterator[Any]:
    """Open a writer of batches to a file, which appears when the body succeeds. An existing file is replaced.

    Raises:
        UsageError: the name does not end in ``.csv`` or ``.parquet``, or the folder does not exist.
        TryAgainError: the disk is full or access is denied.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise UsageError(
            f"{path}: expected a name that ends in .csv or .parquet, received {path.suffix!r}",
            hint=f"Try: --output '{path.with_suffix('.csv')}'" if path.name else "Try: --output titles.csv",
        )
    with replace_file(path) as temporary, _open_format(temporary, columns, suffix) as writer:
        yield writer


@contextmanager
def _open_format(path: Path, columns: pa.Schema, suffix: str) -> Iterator[Any]:
    if suffix == ".parquet":
        dictionary_columns = [name for name in columns.names if name not in (TARGET, "title_id")]
        with pq.ParquetWriter(path, columns, compression="zstd", use_dictionary=dictionary_columns) as writer:
            yield writer
        return
    plain = csv.WriteOptions(include_header=False, quoting_style="none", batch_size=16_384)
    with pa.OSFile(str(path), "wb") as file:
        file.write((",".join(columns.names) + "\n").encode())  # Arrow would put the names in quotes
        with csv.CSVWriter(file, columns, write_options=plain) as writer:
            yield writer


def _draw(seed: int, number: int, continuous: bool) -> Arrays:
    """Draw the ten columns of a chunk, each (CHUNK_ROWS,). Another order of the draws would make other titles."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))

    def draw_thousandths() -> NDArray[np.uint16]:
        return random.integers(1000, size=CHUNK_ROWS, dtype=np.uint16)

    def draw_values(shares: dict[float, int]) -> NDArray[np.float64]:
        return np.repeat(list(shares), list(shares.values()))[draw_thousandths()]

    titles: Arrays = {}
    if continuous:
        titles["critic_rating"] = random.integers(0, 50_001, size=CHUNK_ROWS) / 10_000
        titles["unit_price"] = random.integers(2_000, 7_001, size=CHUNK_ROWS) / 100
    else:
        titles["critic_rating"] = draw_values(RATINGS)
        titles["unit_price"] = draw_values(PRICES)
    genre = np.repeat(np.arange(len(GENRES)), list(GENRES.values()))[draw_thousandths()]
    for index, name in enumerate(GENRES):
        titles[name] = (genre == index).view(np.int8)
    for name, share in FLAGS.items():
        titles[name] = (draw_thousandths() < share).view(np.int8)
    noise = np.exp(NOISE * random.standard_normal(CHUNK_ROWS) - NOISE**2 / 2)  # the second term makes the mean 1
    titles[TARGET] = np.rint(compute_expected_earnings(titles) * noise).astype(np.int64)
    return titles


def make_identity(first: int, sequels: NDArray[np.int8], seed: int) -> dict[str, pa.Array]:
    """Number titles from ``first`` + 1. The name depends on the number and the seed. A sequel is part two."""
    numbers = np.arange(first + 1, first + 1 + len(sequels))
    digits = pc.ascii_lpad(to_arrow(numbers).cast(pa.string()), width=7, padding="0")
    names = _make_names()
    pairs = len(names) // 2
    chosen = (numbers + seed % pairs) % pairs * 2 + sequels
    return {
        "title_id": pc.binary_replace_slice(digits, start=0, stop=0, replacement="T"),
        "title": names.take(to_arrow(chosen)),
    }


@cache
def _make_names() -> pa.Array:
    """Return each pair of words twice: as the first part and as the second part."""
    first, last = FIRST_WORDS.split(), LAST_WORDS.split()
    pairs = [f"{first[i % len(first)]} {last[i % len(last)]}" for i in range(len(first) * len(last))]
    return make_text_column([f"{pair}{part}" for pair in pairs for part in ("", " II")])
