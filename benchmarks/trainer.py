"""Help a trainer to measure the time of training alone, and the error on test titles after each epoch.

The answer of a trainer is ``{"fit_s", "scaled_mse", "curve"}``: seconds of training alone, the final error on the test
titles in scaled units, and pairs of seconds and error after each epoch.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Answer = dict[str, Any]
TARGET = "total_earnings"


def read_scaled(train: str, test: str) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Read both files, scaled to 0..1 by the first file: features (n, k) and target (n,) of each."""
    import pandas as pd

    tables = pd.read_csv(train), pd.read_csv(test)
    low, high = tables[0].min(), tables[0].max()
    scaled = [((table - low) / (high - low)).astype(np.float32) for table in tables]
    (x, y), (x_test, y_test) = ((table.drop(columns=TARGET).to_numpy(), table[TARGET].to_numpy()) for table in scaled)
    return x, y, x_test, y_test


def apply_network(weights: list[Matrix], values: Matrix) -> Matrix:
    """Apply Dense layers with ReLU between them, kernel, bias, kernel, bias, …; (n, k) to (n,)."""
    for place in range(0, len(weights), 2):
        values = values @ weights[place] + weights[place + 1]
        if place < len(weights) - 2:
            values = np.maximum(values, 0)
    return values[:, 0]


class Clock:
    """Measures training; the clock stops while the error is computed."""

    def __init__(self, x_test: Matrix, y_test: Matrix) -> None:
        self.curve: list[tuple[float, float]] = []
        self._x_test, self._y_test = x_test, y_test
        self._began, self._stopped_s = time.perf_counter(), 0.0

    def record(self, predict: Callable[[Matrix], Any]) -> None:
        stopped = time.perf_counter()
        error = float(np.mean((np.asarray(predict(self._x_test)).reshape(-1) - self._y_test) ** 2))
        self.curve.append((round(stopped - self._began - self._stopped_s, 4), float(f"{error:.4g}")))
        self._stopped_s += time.perf_counter() - stopped

    def make_answer(self) -> Answer:
        fit_s, error = self.curve[-1]
        return {"fit_s": fit_s, "scaled_mse": error, "curve": self.curve}
