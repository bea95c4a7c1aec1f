"""Titles with their earnings, for tests of evaluations and of the gate."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from support.versions import FEATURES, simple_earnings, title_values


def make_labeled_table(rows=40, error=100.0):
    """Make titles that earn, in turn, ``error`` dollars less and more than a simple version predicts."""
    values = title_values(rows)
    earnings = simple_earnings(values) - error * np.resize([1.0, -1.0], rows)
    columns = {name: values[:, position] for position, name in enumerate(FEATURES)}
    return pa.table({**columns, "total_earnings": earnings})


def digest(path):
    """Return the SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
