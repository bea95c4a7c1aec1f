"""Parity: the scoring graph and Keras give the same predictions, for rows drawn from the whole contract.

The check runs before training too: a network that can't be exported is refused in seconds, by the name of its layer.

Predictions may differ by 1e-5 of the larger of the prediction and the range of the target in training. A purely
relative bound would fail by chance, because some rows of the contract predict nearly nothing, and float32 has 24 bits.
With a logarithmic target, 1e-5 of the range of its logarithm is allowed as well, which is more for large predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.categories import list_codes
from gamesales.data.contract import Column, Contract
from gamesales.data.screen import find_extremes
from gamesales.errors import JobFileError, ParityError, SelfTestError
from gamesales.scoring.scorer import Scorer
from gamesales.stats.amounts import DOLLARS, choose_decimals, get_unit
from gamesales.training.keras_objects import find_failing_layer, load_keras
from gamesales.training.onnx_graph import compile_graph
from gamesales.training.scaling import Scaling

ROWS = 10_000
TOLERANCE = 1e-5
# A column without an upper bound is drawn up to the training maximum times this factor.
_BEYOND_TRAINING = 1.5
# But at most this many of its ranges beyond, where float32 has few digits of a sum.
_MOST_RANGES = 50
# The share of missing cells in a column that may have them.
_MISSING_SHARE = 0.1


def sample_contract(contract: Contract, training: FloatArray, rows: int, seed: int) -> FloatArray:
    """Draw rows from all values that a contract allows.

    Args:
        contract: the allowed values of the k features.
        training: (n, k), not scaled; bounds the columns that the contract leaves unbounded.
        rows: the number of rows to draw.
        seed: seeds the draws.

    Returns:
        float64 (rows, k), NaN for a missing cell. Each value is exact in float32, the dtype of the graph's input.
    """
    rng = np.random.default_rng(seed)
    columns = [
        _draw_cells(column, values, rows, rng) for column, values in zip(contract.features, training.T, strict=True)
    ]
    return np.column_stack(columns).astype(np.float32).astype(np.float64)


def _draw_cells(column: Column, training: FloatArray, rows: int, rng: np.random.Generator) -> FloatArray:
    if column.kind == "category":
        return rng.integers(0, len(list_codes(column)), rows).astype(np.float64)
    values = _draw_column(column, *find_extremes(training), rows, rng)
    if column.kind == "date":
        values = np.floor(values)
    return np.where(rng.random(rows) < _MISSING_SHARE, np.nan, values) if column.may_be_missing else values


def _draw_column(column: Column, lowest: float, highest: float, rows: int, rng: np.random.Generator) -> FloatArray:
    if column.kind == "flag":
        return rng.integers(0, 2, rows).astype(np.float64)
    lowest, highest = (lowest, highest) if lowest <= highest else (0.0, 1.0)  # all cells of training are missing
    lower_bounds = [bound for bound in (column.minimum, column.above) if bound is not None]
    span = max(highest - lowest, abs(highest), 1.0)
    low = max(lower_bounds, default=lowest - (_BEYOND_TRAINING - 1) * span)
    high = max(_BEYOND_TRAINING * highest, highest, low + span) if column.maximum is None else column.maximum
    if highest > lowest:
        reach = _MOST_RANGES * (highest - lowest)
        low = low if lower_bounds else max(low, lowest - reach)
        high = min(high, highest + reach) if column.maximum is None else high
    # Drawn down from the upper end: random() never gives 1, and the contract may exclude the lower end.
    return high - rng.random(rows) * (high - low)


def check_export(network: Any, scaling: Scaling, probe: FloatArray) -> None:
    """Check that the scoring graph of a network works.

    Raises:
        JobFileError: the check fails. The error names the layer.
    """
    try:
        compile_and_check(network, scaling, probe)
    except (ParityError, SelfTestError) as error:
        layer = _find_layer_that_breaks(network, scaling, probe)
        raise JobFileError(f"{layer} can't be exported: {error}", hint="Use another layer there") from None


def _find_layer_that_breaks(network: Any, scaling: Scaling, probe: FloatArray) -> str:
    """Find the first layer such that a network that ends after it can't be exported."""
    keras = load_keras()

    def check_first_layers(index: int) -> None:
        part = keras.Sequential([keras.Input(network.input_shape[1:]), *network.layers[: index + 1]])
        part.add(keras.layers.Flatten(name="check_flatten"))
        # Weights of both signs show what is lost where numbers cancel. Sums of one sign would hide it.
        part.add(keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotNormal(1), name="check_output"))
        compile_and_check(part, scaling, probe)

    return find_failing_layer(network, check_first_layers)


def compile_and_check(network: Any, scaling: Scaling, probe: FloatArray) -> tuple[bytes, Scorer, float]:
    """Compile the scoring graph of a network, and check its predictions for the probe rows.

    Returns:
        The graph, its scorer, and the largest difference from Keras, in the target's unit.

    Raises:
        JobFileError: a layer can't be expressed in ONNX.
        SelfTestError: the graph can't be loaded, or does not run.
        ParityError: a prediction differs from Keras, or depends on the order of the rows.
    """
    graph = compile_graph(network, scaling)
    scorer = Scorer(graph)
    try:
        predicted = scorer.score(probe)
    except Exception as error:  # the classes of ONNX Runtime share no narrower base
        raise SelfTestError(f"the scoring graph does not run: {error}") from None
    largest_difference = check_parity(predict_with_keras(network, scaling, probe), predicted, scaling)
    check_order_independence(scorer.score, probe)
    return graph, scorer, largest_difference


def predict_with_keras(network: Any, scaling: Scaling, values: FloatArray) -> FloatArray:
    """Predict with Keras: from (n, k), not scaled, to float64 (n,), in the target's unit."""
    scaled = network.predict(scaling.scale_features(values).astype(np.float32), batch_size=4096, verbose=0)
    return scaling.unscale_target(scaled[:, 0])


def compute_tolerance(earnings: FloatArray, scaling: Scaling) -> FloatArray:
    """Compute the allowed difference between two computations of a prediction: (n,) to (n,), in the target's unit."""
    sizes = np.maximum(np.abs(earnings), scaling.target_range)
    if scaling.log:
        # 1e-5 of the range of the logarithm, in the unit of the target at this prediction.
        sizes = np.maximum(sizes, np.abs(earnings + scaling.log.shift) / scaling.scale[-1])
    return TOLERANCE * sizes


def check_parity(
    expected: FloatArray,
    actual: FloatArray,
    scaling: Scaling,
    names: tuple[str, str] = ("the scoring graph", "Keras"),
) -> float:
    """Compare two computations of the same predictions.

    Args:
        expected: (n,), in the target's unit.
        actual: (n,), in the target's unit.
        scaling: gives the tolerance.
        names: what computed ``actual`` and what computed ``expected``, for the error.

    Returns:
        The largest difference, in the target's unit.

    Raises:
        ParityError: a difference exceeds the tolerance.
    """
    differences = np.abs(expected - actual)
    ratios = differences / compute_tolerance(expected, scaling)
    if not (ratios <= 1).all():
        worst = int(np.argmax(np.where(np.isnan(ratios), np.inf, ratios)))
        unit, decimals = _choose_form(float(differences[worst]))
        raise ParityError(
            f"{names[0]} differs from {names[1]}: {actual[worst]:,.{decimals}f} against "
            f"{expected[worst]:,.{decimals}f}{unit} for the worst of {len(differences):,} rows",
            hint="Remove layers one by one to find a layer that is exported wrongly. Or training did not converge, and "
            "weights are too large for float32: lower the learning rate, or let its schedule end",
        )
    return float(differences.max())


def _choose_form(difference: float) -> tuple[str, int]:
    """Return the unit, after a blank, and the decimals that show a difference."""
    if get_unit() == DOLLARS:
        return " dollars", 4
    return f" {get_unit()}".rstrip(), min(max(4, choose_decimals([difference], 2)), 12)


def check_order_independence(score: Callable[[FloatArray], FloatArray], values: FloatArray) -> None:
    """Check that ``score`` predicts the same for each row in another order of the rows, to the last bit.

    Raises:
        ParityError: a prediction depends on the place of its row.
    """
    order = np.random.default_rng(0).permutation(len(values))
    differs = score(values)[order].view(np.uint64) != score(values[order]).view(np.uint64)
    if differs.any():
        raise ParityError(
            f"the scoring graph gives other predictions for {int(differs.sum()):,} of {len(values):,} rows "
            "in another order",
            hint="Remove layers one by one to find the layer that causes this",
        )
