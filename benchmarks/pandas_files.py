"""Read titles and write predictions with pandas, for contenders."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def read_titles(source: str) -> pd.DataFrame:
    return pd.read_csv(source) if source.endswith(".csv") else pd.read_parquet(source)


def read_scaled(source: str, assets: str) -> tuple[Any, npt.NDArray[np.float32]]:
    """Return the scaler of the bundle, and the scaled features of a file, (n, k)."""
    import joblib

    scaler = joblib.load(Path(assets) / "bundle/scaler.joblib")
    titles = read_titles(source)[list(scaler.feature_names_in_[:-1])].to_numpy(np.float64)
    return scaler, (titles * scaler.scale_[:-1] + scaler.min_[:-1]).astype(np.float32)


def write_earnings(scaled: npt.NDArray[Any], scaler: Any, output: str) -> None:
    earnings = (scaled.astype(np.float64) - scaler.min_[-1]) / scaler.scale_[-1]
    result = pd.DataFrame({"predicted_earnings": earnings})
    result.to_csv(output, index=False) if output.endswith(".csv") else result.to_parquet(output)
