"""The metrics of predictions: how each is computed, and its key, heading, format and better direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gamesales.stats.amounts import amounts_in, format_amount, unit_of

if TYPE_CHECKING:
    from gamesales.arrays import FloatArray

Metrics = dict[str, float | None]


@dataclass(frozen=True)
class MetricName:
    """A metric as tables show it. ``format`` writes a value that is not None, in plain ASCII."""

    heading: str
    format: Callable[[float], str]
    higher_is_better: bool = False

    @property
    def has_no_unit(self) -> bool:
        """Whether values of targets in different units can be compared."""
        return self.format is not format_money


def format_money(amount: float) -> str:
    """Write an amount in whole dollars, such as ``-$1,250``, or in the current unit of texts."""
    return format_amount(amount)


# The key in manifests, evaluations and ``--json`` -> the metric.
METRICS = {
    "scaled_mse": MetricName("scaled MSE", "{:.2e}".format),
    "mae": MetricName("MAE", format_money),
    "rmse": MetricName("RMSE", format_money),
    "r2": MetricName("R2", "{:.4f}".format, higher_is_better=True),
    "mape_percent": MetricName("MAPE", "{:.2f}%".format),
}
HEADINGS = tuple(metric.heading for metric in METRICS.values())


def format_metrics(metrics: Mapping[str, float | None], result: object = None) -> list[str]:
    """Write metrics in the order of ``METRICS``, and ``-`` for a metric that is missing.

    The unit is the unit of ``result``, if it has one, and otherwise the current unit of texts.
    """
    values = [(metric, metrics.get(key)) for key, metric in METRICS.items()]
    with amounts_in(unit_of(result)):
        return ["-" if value is None else metric.format(value) for metric, value in values]


def compute_metrics(actual: FloatArray, predicted: FloatArray, target_scale: float) -> Metrics:
    """Compute the metrics of predictions: (n,) and (n,), in the target's unit.

    Returns:
        ``scaled_mse`` (unitless, the metric of the Keras course), ``mae`` and ``rmse`` (in this unit), ``r2`` (None if
        all actual values are equal), and ``mape_percent`` (None if an actual value is 0).
    """
    import numpy as np  # commands that only show metrics do not load it

    error = predicted - actual
    squared = float(np.mean(error**2))
    varies = actual.min() < actual.max()  # the computed variance of equal numbers may not be exactly 0
    variance = float(np.var(actual)) if varies else 0.0
    return {
        "scaled_mse": squared * target_scale**2,
        "mae": float(np.mean(np.abs(error))),
        "rmse": squared**0.5,
        "r2": 1 - squared / variance if variance > 0 else None,
        "mape_percent": float(np.mean(np.abs(error / actual))) * 100 if (actual != 0).all() else None,
    }
