"""Does the scoring graph give what Keras gives? Asked on rows drawn from the whole contract, not from the data.

The bound is 1e-5 of the larger of the prediction and the target's range in training. A purely relative bound
would fail by luck: some rows of the contract predict nearly nothing, and float32 is only so fine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.contract import Column, Contract
from gamesales.errors import ParityError
from gamesales.training.scaling import Scaling

ROWS = 10_000
TOLERANCE = 1e-5
# A column without an upper bound is drawn up to this many times the most that training saw.
BEYOND_TRAINING = 1.5


def sample_contract(contract: Contract, training: FloatArray, rows: int, seed: int) -> FloatArray:
    """Draw rows from all that the contract allows.

    Args: training: (n, k), which bounds the columns that the contract leaves open.
    Returns: float64 (rows, k); each value is exact in float32, as the graph receives it.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        _draw(column, float(seen.min()), float(seen.max()), rows, rng)
        for column, seen in zip(contract.features, training.T, strict=True)
    ]
    return np.column_stack(drawn).astype(np.float32).astype(np.float64)


def _draw(column: Column, lowest: float, highest: float, rows: int, rng: np.random.Generator) -> FloatArray:
    if column.kind == "flag":
        return rng.integers(0, 2, rows).astype(np.float64)
    bounds = [bound for bound in (column.minimum, column.above) if bound is not None]
    span = max(highest - lowest, abs(highest), 1.0)
    low = max(bounds, default=lowest - (BEYOND_TRAINING - 1) * span)
    high = max(BEYOND_TRAINING * highest, highest, low + span) if column.maximum is None else column.maximum
    # From the top down: the lower end may be excluded, and 1 is never drawn.
    return high - rng.random(rows) * (high - low)


def keras_earnings(network: Any, scaling: Scaling, values: FloatArray) -> FloatArray:
    """Predict by Keras itself: (n, k) raw features to float64 (n,), US dollars."""
    scaled = network.predict(scaling.scale_features(values).astype(np.float32), batch_size=4096, verbose=0)
    return scaling.unscale_target(scaled[:, 0])


def tolerance(earnings: FloatArray, scaling: Scaling) -> FloatArray:
    """Return how far two computations of the same prediction may differ: (n,) to (n,), US dollars."""
    return TOLERANCE * np.maximum(np.abs(earnings), scaling.target_range)


def check_parity(
    expected: FloatArray,
    found: FloatArray,
    scaling: Scaling,
    names: tuple[str, str] = ("the scoring graph", "Keras"),
) -> float:
    """Hold the graph to Keras, or an export to the graph.

    Args:
        expected: (n,), predictions.
        found: (n,), predictions of the same rows.
        scaling: how the target was scaled.
        names: what is held to what, for the error.

    Returns: the largest difference, US dollars.
    Raises: ParityError: a difference is beyond the bound.
    """
    off = np.abs(expected - found)
    beyond = off / tolerance(expected, scaling)
    if not (beyond <= 1).all():
        worst = int(np.argmax(np.where(np.isnan(beyond), np.inf, beyond)))
        raise ParityError(
            f"{names[0]} differs from {names[1]}: {found[worst]:,.4f} against {expected[worst]:,.4f} "
            f"dollars for the worst of {len(off):,} rows",
            hint="A layer is exported wrongly: remove layers one by one to find it. Or training did not settle, and "
            "weights are too large for float32: lower the learning rate, or let its schedule end",
        )
    return float(off.max())


def check_places(score: Callable[[FloatArray], FloatArray], values: FloatArray) -> None:
    """Hold a scorer to itself: a title's prediction is the same bytes wherever it lies among others.

    Args: score: (n, k) raw features to (n,), US dollars.  values: (n, k), rows to try.
    Raises: ParityError: it is not.
    """
    order = np.random.default_rng(0).permutation(len(values))
    differs = score(values)[order].view(np.uint64) != score(values[order]).view(np.uint64)
    if differs.any():
        raise ParityError(
            f"the scoring graph gives {int(differs.sum()):,} of {len(values):,} rows something else "
            "when they come in another order",
            hint="Remove layers one by one to find the one that does it",
        )
