"""Titles with their earnings, for tests of evaluations and of the gate; and what a folder holds, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from support.versions import FEATURES, simple_earnings, title_values


def labelled(rows=40, off=100.0):
    """Titles that earn so many dollars less and more, in turn, than a simple version predicts."""
    values = title_values(rows)
    earned = simple_earnings(values) - off * np.resize([1.0, -1.0], rows)
    columns = {name: values[:, place] for place, name in enumerate(FEATURES)}
    return pa.table({**columns, "total_earnings": earned})


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def contents(folder):
    return {str(path): None if path.is_dir() else path.read_bytes() for path in Path(folder).rglob("*")}
