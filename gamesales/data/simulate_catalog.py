"""Simulate the catalog of a store: categories, a date, missing cells, and columns that leak the earnings.

    total_earnings = 60,000 · exp(genre + platform + house + Σ effect · factor) · noise

    factor                                    effect        factor                                   effect
    price = log(unit_price / 40)               +0.70        year = (years since 2015) / 10           -0.50
    critics = tanh((critic_score - 65) / 20)   +0.80        holidays: released in November or        +0.60
    users = tanh((user_score - 6) / 2)         +0.40        December
    critics × (genre is Role-Playing)          +0.50

Genre and platform have the effects of the tables below. The house is the publisher: 40 publishers, of which the largest
has a hundred times as many titles as the smallest, have effects from -1.5 to +1.5. The noise is log-normal with mean 1
and a standard deviation of 0.25 in the logarithm. So earnings span more than three orders of magnitude.

Scores enter the earnings also where the catalog lacks them: 40% of the critics' scores are missing, and of the users'
scores 10% are missing and 10% are ``tbd``. ``earnings_at_home`` and ``earnings_abroad`` add up to the earnings, and are
known only when the earnings are.

Row i depends only on the seed and on i, as in ``gamesales.data.simulate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gamesales.data.arrow import make_text_column, to_arrow
from gamesales.data.simulate import CHUNK_ROWS, FIRST_WORDS, SEED, check_numbers, make_identity, open_writer

BASE_EARNINGS = 60_000.0
NOISE = 0.25
GENRES = {
    "Action": 0.5,
    "Adventure": -0.2,
    "Puzzle": -0.9,
    "Racing": 0.1,
    "Role-Playing": 0.4,
    "Simulation": -0.3,
    "Sports": 0.3,
    "Strategy": -0.4,
}
PLATFORMS = {"DS": 0.2, "PC": -0.4, "PS4": 0.6, "Switch": 0.8, "XOne": 0.1}
EFFECTS = {"price": 0.70, "critics": 0.80, "users": 0.40, "year": -0.50, "holidays": 0.60}
ROLE_PLAYING_CRITICS = 0.50
PUBLISHERS = 40
PRICES = (9.99, 19.99, 29.99, 39.99, 49.99, 59.99)
FIRST_DAY, LAST_DAY = "2010-01-01", "2024-12-31"
MISSING_CRITICS, MISSING_USERS, UNDECIDED_USERS = 0.40, 0.10, 0.10
_HOLIDAYS = (10, 11)  # months, counted from 0

COLUMNS = {
    "title_id": pa.string(),
    "title": pa.string(),
    "genre": pa.string(),
    "platform": pa.string(),
    "publisher": pa.string(),
    "release_date": pa.string(),
    "unit_price": pa.float64(),
    "critic_score": pa.int64(),
    "user_score": pa.string(),
    "earnings_at_home": pa.int64(),
    "earnings_abroad": pa.int64(),
    "total_earnings": pa.int64(),
}
# The columns that a title has only after its release.
EARNINGS = ("earnings_at_home", "earnings_abroad", "total_earnings")

Values = dict[str, NDArray[np.float64]]


def make_catalog_schema(*, with_target: bool = True) -> pa.Schema:
    """Return the columns and their types; without the target, as titles are before their release."""
    return pa.schema({name: kind for name, kind in COLUMNS.items() if with_target or name not in EARNINGS})


def simulate_catalog(rows: int, *, seed: int = SEED, with_target: bool = True) -> Iterator[pa.RecordBatch]:
    """Draw titles, in batches of ``CHUNK_ROWS`` rows.

    Args:
        rows: the number of titles.
        seed: another seed gives other titles.
        with_target: include the earnings.

    Yields:
        Batches with the columns of ``make_catalog_schema``; none for 0 rows.

    Raises:
        UsageError: ``rows`` or ``seed`` is negative. It is raised by the call, before the first batch.
    """
    check_numbers(rows, seed)
    schema = make_catalog_schema(with_target=with_target)

    def draw_batch(first: int) -> pa.RecordBatch:
        size = min(CHUNK_ROWS, rows - first)
        columns = _draw_columns(first, seed)
        return pa.RecordBatch.from_arrays([columns[name].slice(0, size) for name in schema.names], schema=schema)

    return (draw_batch(first) for first in range(0, rows, CHUNK_ROWS))


def write_catalog(path: Path, rows: int, *, seed: int = SEED, with_target: bool = True) -> None:
    """Write a simulated catalog to a file whose name ends in ``.csv`` or ``.parquet``. An existing file is replaced.

    Raises:
        UsageError: the name has another suffix, the folder does not exist, or a number is negative.
        TryAgainError: the disk is full or access is denied.
    """
    batches = simulate_catalog(rows, seed=seed, with_target=with_target)
    with open_writer(path, make_catalog_schema(with_target=with_target)) as writer:
        for batch in batches:
            writer.write_batch(batch)


def compute_expected_earnings(titles: Values) -> NDArray[np.float64]:
    """Compute the mean earnings of titles over the noise, by the formula at the top of this module.

    Args:
        titles: ``genre``, ``platform`` and ``publisher`` as indices, ``days`` since 1970-01-01, ``unit_price`` in US
            dollars, ``critic_score`` and ``user_score`` also where the catalog lacks them; each (n,).

    Returns:
        float64 (n,), US dollars, not rounded.
    """
    dates = titles["days"].astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64) % 12
    critics = np.tanh((titles["critic_score"] - 65) / 20)
    factors = {
        "price": np.log(titles["unit_price"] / 40),
        "critics": critics,
        "users": np.tanh((titles["user_score"] - 6) / 2),
        "year": (dates.astype("datetime64[Y]").astype(np.int64) + 1970 - 2015) / 10,
        "holidays": np.isin(months, _HOLIDAYS).astype(np.float64),
    }
    genre = titles["genre"].astype(np.int64)
    exponent = np.log(BASE_EARNINGS) + np.array(list(GENRES.values()))[genre]
    exponent += np.array(list(PLATFORMS.values()))[titles["platform"].astype(np.int64)]
    exponent += _effects_of_publishers()[titles["publisher"].astype(np.int64)]
    exponent += ROLE_PLAYING_CRITICS * critics * (genre == list(GENRES).index("Role-Playing"))
    for name, values in factors.items():
        exponent += EFFECTS[name] * values
    return np.asarray(np.exp(exponent), np.float64)


def _effects_of_publishers() -> NDArray[np.float64]:
    """Return an effect for each publisher, from the largest publisher to the smallest, in no order of size."""
    return np.linspace(-1.5, 1.5, PUBLISHERS)[17 * np.arange(PUBLISHERS) % PUBLISHERS]


def _name_publishers() -> list[str]:
    words = FIRST_WORDS.split()
    return [f"{words[number % len(words)]} {('House', 'Works')[number // len(words)]}" for number in range(PUBLISHERS)]


def _draw_columns(first: int, seed: int) -> dict[str, pa.Array]:
    """Draw the columns of a chunk, each (CHUNK_ROWS,). Another order of the draws would make other titles."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(first // CHUNK_ROWS, 1)))
    days = [int(np.datetime64(day, "D").astype(np.int64)) for day in (FIRST_DAY, LAST_DAY)]
    shares = 100.0 ** -(np.arange(PUBLISHERS) / (PUBLISHERS - 1))
    quality = random.normal(size=CHUNK_ROWS)
    titles: Values = {
        "genre": random.integers(len(GENRES), size=CHUNK_ROWS).astype(np.float64),
        "platform": random.integers(len(PLATFORMS), size=CHUNK_ROWS).astype(np.float64),
        "publisher": random.choice(PUBLISHERS, CHUNK_ROWS, p=shares / shares.sum()).astype(np.float64),
        "days": random.integers(days[0], days[1] + 1, CHUNK_ROWS).astype(np.float64),
        "unit_price": random.choice(PRICES, CHUNK_ROWS),
        "critic_score": np.clip(np.rint(68 + 13 * quality), 15, 98),
        "user_score": np.clip(np.round(6.8 + 1.1 * quality + 0.7 * random.normal(size=CHUNK_ROWS), 1), 0.5, 9.9),
    }
    noise = np.exp(NOISE * random.standard_normal(CHUNK_ROWS) - NOISE**2 / 2)  # the second term makes the mean 1
    total = np.rint(compute_expected_earnings(titles) * noise).astype(np.int64)
    home = np.rint(total * random.beta(5, 3, CHUNK_ROWS)).astype(np.int64)
    gaps = random.random((2, CHUNK_ROWS))
    return {
        **make_identity(first, np.zeros(CHUNK_ROWS, np.int8), seed),
        "genre": _take(list(GENRES), titles["genre"]),
        "platform": _take(list(PLATFORMS), titles["platform"]),
        "publisher": _take(_name_publishers(), titles["publisher"]),
        "release_date": make_text_column([str(day) for day in titles["days"].astype("datetime64[D]")]),
        "unit_price": to_arrow(titles["unit_price"]),
        "critic_score": to_arrow(titles["critic_score"].astype(np.int64), nulls=gaps[0] < MISSING_CRITICS),
        "user_score": make_text_column(_write_user_scores(titles["user_score"], gaps[1])),
        "earnings_at_home": to_arrow(home),
        "earnings_abroad": to_arrow(total - home),
        "total_earnings": to_arrow(total),
    }


def _take(texts: list[str], codes: NDArray[np.float64]) -> pa.Array:
    return make_text_column(texts).take(to_arrow(codes.astype(np.int64)))


def _write_user_scores(scores: NDArray[np.float64], gaps: NDArray[np.float64]) -> list[str]:
    """Write scores as text, with ``tbd`` and empty cells."""
    texts = [f"{score:.1f}" for score in scores.tolist()]
    for number in np.flatnonzero(gaps < MISSING_USERS + UNDECIDED_USERS).tolist():
        texts[number] = "" if gaps[number] < MISSING_USERS else "tbd"
    return texts
