"""A table with categories, dates, gaps and a target over four orders of magnitude, and versions that learn from it."""

import csv
import datetime as dt
from pathlib import Path

import numpy as np

from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.jobs.train import train
from gamesales.training.train_job import load_job
from support.train_jobs import write_job

MISSING = ("N/A", "tbd")
CONTRACT = """
identity = []
missing_values = ["N/A", "tbd"]
[target]
name = "sales"
kind = "number"
unit = "millions"
minimum = 0
scale = "log"
[[features]]
name = "genre"
kind = "category"
missing = "category"
[[features]]
name = "platform"
kind = "category"
unseen = "reject"
[[features]]
name = "released"
kind = "date"
date_format = "%d/%m/%Y"
missing = "median"
[[features]]
name = "announced"
kind = "date"
[[features]]
name = "score"
kind = "number"
encoding = "quantiles"
missing = "mean"
[[features]]
name = "price"
kind = "price"
above = 0
[[features]]
name = "is_sequel"
kind = "flag"
missing = 0
"""
GENRES = ("Action", "RPG", "Größe 🎮", "Sports", "2006", "Rare")
PLATFORMS = ("1", "2", "10")


def draw_titles(rows, seed=1):
    """Return the columns of a table, as text by their names."""
    rng = np.random.default_rng(seed)
    genre = rng.choice(len(GENRES), rows, p=[0.4, 0.2, 0.2, 0.1, 0.09, 0.01])
    platform = rng.integers(0, 3, rows)
    released = rng.integers(7_000, 18_000, rows)
    score = rng.uniform(1, 10, rows)
    price = rng.uniform(10, 70, rows)
    sequel = rng.integers(0, 2, rows)
    sales = np.exp(genre * 0.4 + score * 0.5 + platform * 0.3 + sequel) / 50
    epoch = dt.date(1970, 1, 1)
    days = [epoch + dt.timedelta(int(day)) for day in released]
    columns = {
        "genre": [GENRES[index] for index in genre],
        "platform": [PLATFORMS[index] for index in platform],
        "released": [day.strftime("%d/%m/%Y") for day in days],
        "announced": [(day - dt.timedelta(400)).isoformat() for day in days],
        "score": [f"{value:.3f}" for value in score],
        "price": [f"{value:.2f}" for value in price],
        "is_sequel": [str(value) for value in sequel],
        "sales": [f"{value:.4f}" for value in sales],
    }
    for name in ("genre", "released", "score", "is_sequel"):
        for row in np.flatnonzero(rng.random(rows) < 0.1):
            columns[name][row] = ("", *MISSING)[row % 3]
    return columns


def write_titles(path, columns):
    """Write columns as a CSV file."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_mixed_job(folder, **changes):
    """Write the contract, both tables and a small job, and return the job."""
    (folder / "contract.toml").write_text(CONTRACT, encoding="utf-8")
    train_file = write_titles(folder / "train.csv", draw_titles(400))
    test_file = write_titles(folder / "test.csv", draw_titles(100, seed=2))
    data = {"train": train_file, "test": test_file, "contract": folder / "contract.toml"}
    return load_job(write_job(folder / "job.toml", data=data, **changes))


def train_mixed(folder, **changes):
    """Train a version, and return its registry."""
    job = write_mixed_job(folder, **changes)
    registry = open_registry(folder / "registry", job.name)
    train(job, registry)
    return registry


def load_mixed_contract(folder):
    """Return the contract of the table."""
    (folder / "contract.toml").write_text(CONTRACT, encoding="utf-8")
    return Contract.from_toml(folder / "contract.toml")
