"""Tables with categories, a date, missing cells, ids, and columns that leak the target."""

from __future__ import annotations

import csv
import io

import numpy as np

GENRES = ("Action", "Puzzle", "Role-Playing", "Sports")
PLATFORMS = ("DS", "PC", "PS2", "Wii")


def make_sales(rows=120, seed=1):
    """Make the columns of a table with the target ``total_sales``, as lists of texts."""
    random = np.random.default_rng(seed)
    home = np.round(np.exp(random.normal(3, 1.5, rows)), 2)
    abroad = np.round(home * random.random(rows), 2)
    total = np.round(home + abroad, 2)
    score = [f"{value:.1f}" for value in random.uniform(1, 9.8, rows)]
    for number in range(0, rows, 7):
        score[number] = "tbd"
    days = np.datetime64("2001-01-01") + random.integers(0, 3000, rows)
    return {
        "game_id": [f"G{number:05}" for number in range(rows)],
        "genre": [GENRES[number] for number in random.integers(0, 4, rows)],
        "platform": [PLATFORMS[number] for number in random.integers(0, 4, rows)],
        "released": [str(day) for day in days],
        "user_score": score,
        "publisher": ["" if number % 9 == 0 else f"House {number % 5}" for number in range(rows)],
        "home_sales": [f"{value:.2f}" for value in home],
        "sales_abroad": [f"{value:.2f}" for value in abroad],
        "total_sales": [f"{value:.2f}" for value in total],
    }


def to_csv(columns, delimiter=",", end="\n"):
    """Write columns as CSV text."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return stream.getvalue()
