"""How far off a version is, in scaled units and in dollars, and how far off simpler ways are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.model.scaling import Scaling

FloatArray = npt.NDArray[np.float64]
Metrics = dict[str, float | None]


def metrics(actual_usd: FloatArray, predicted_usd: FloatArray, scaling: Scaling) -> Metrics:
    """Compare predictions with actual earnings.

    Args: actual_usd, predicted_usd: float64 (n,).
    Returns: ``scaled_mse`` (unitless, the course's figure), ``mae_usd``, ``rmse_usd``, ``r2`` (None if all actual
        values are equal), ``mape_percent`` (None if an actual value is 0).
    """
    error = predicted_usd - actual_usd
    squared = float(np.mean(error**2))
    varies = actual_usd.min() < actual_usd.max()  # the variance of equal numbers may be a rounding error
    variance = float(np.var(actual_usd)) if varies else 0.0
    return {
        "scaled_mse": squared * float(scaling.scale[-1]) ** 2,
        "mae_usd": float(np.mean(np.abs(error))),
        "rmse_usd": squared**0.5,
        "r2": 1 - squared / variance if variance > 0 else None,
        "mape_percent": float(np.mean(np.abs(error / actual_usd))) * 100 if (actual_usd != 0).all() else None,
    }


def baseline_predictions(
    features: FloatArray, earnings_usd: FloatArray, test: FloatArray, seed: int
) -> dict[str, FloatArray]:
    """Predict the test titles the simpler ways, each with scikit-learn's defaults.

    Args: features: (n, k); earnings_usd: (n,); test: (m, k), all in their own units.
    Returns: name to float64 (m,), US dollars, best first as a rule.
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import LinearRegression

    baselines: dict[str, Any] = {
        "gradient boosting": GradientBoostingRegressor(random_state=seed),
        "linear regression": LinearRegression(),
        "mean of training": DummyRegressor(),
    }
    return {
        name: np.asarray(model.fit(features, earnings_usd).predict(test), np.float64)
        for name, model in baselines.items()
    }


def training_profile(names: tuple[str, ...], features: FloatArray) -> list[dict[str, Any]]:
    """Describe each feature as training saw it; scoring flags what lies outside. Args: features: (n, k)."""
    return [
        {
            "name": name,
            "minimum": float(column.min()),
            "maximum": float(column.max()),
            "mean": float(column.mean()),
            "standard_deviation": float(column.std()),
        }
        for name, column in zip(names, features.T, strict=True)
    ]
