"""What every trainer does: take the time of training alone, and the error on titles it never saw, epoch by epoch.

    python -m benchmarks.trainers.NAME TRAIN TEST ANSWER SEED

ANSWER gets ``{"start_s", "fit_s", "scaled_mse", "curve"}``: seconds until training begins, seconds of training
alone, the final error on TEST in scaled units, and after each epoch the seconds so far with the error then.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
TARGET = "total_earnings"


def read_scaled(train: str, test: str) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Read both files and scale all columns to 0..1 by the first: features (n, k) and target (n,) of each."""
    import pandas as pd

    past, later = pd.read_csv(train), pd.read_csv(test)
    low, high = past.min(), past.max()
    scaled = [((table - low) / (high - low)).astype(np.float32) for table in (past, later)]
    (x, y), (x_test, y_test) = ((one.drop(columns=TARGET).to_numpy(), one[TARGET].to_numpy()) for one in scaled)
    return x, y, x_test, y_test


def forward(weights: list[Matrix], values: Matrix) -> Matrix:
    """Run Dense layers with ReLU between them: kernel, bias, kernel, bias, …; (n, k) to (n,)."""
    for place in range(0, len(weights), 2):
        values = values @ weights[place] + weights[place + 1]
        if place < len(weights) - 2:
            values = np.maximum(values, 0)
    return values[:, 0]


@dataclass
class Clock:
    """Times training; looking at the error stops the clock."""

    x_test: Matrix
    y_test: Matrix
    curve: list[tuple[float, float]] = field(default_factory=list)
    _begun: float = 0.0
    _looked: float = 0.0

    def begin(self) -> None:
        """Say that training begins now."""
        self._begun = time.perf_counter()

    def look(self, predict: Callable[[Matrix], Any]) -> float:
        """Note the time of training so far and the error now, and return the error."""
        stopped = time.perf_counter()
        error = float(np.mean((np.asarray(predict(self.x_test)).reshape(-1) - self.y_test) ** 2))
        self.curve.append((round(stopped - self._begun - self._looked, 4), float(f"{error:.4g}")))
        self._looked += time.perf_counter() - stopped
        return error

    def answer(self, path: str, start_s: float) -> None:
        """Write what the suite reads; training ended with the last look."""
        fit_s, error = self.curve[-1]
        told = {"start_s": round(start_s, 4), "fit_s": fit_s, "scaled_mse": error, "curve": self.curve}
        Path(path).write_text(json.dumps(told), encoding="utf-8")


def since_start() -> float:
    """Return the seconds since this process was started, its interpreter's start included."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return time.process_time()
