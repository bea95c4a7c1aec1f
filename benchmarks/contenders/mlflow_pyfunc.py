"""MLflow's pyfunc: the Keras model saved with MLflow's own flavour and a signature, loaded and asked by pyfunc.

Its pyfunc hands no batch size on to Keras, which then takes 32 rows at a time, as slow as the course's way. The flavour
also saves the exported graph, made for serving (``save_exported_model``): that takes the whole matrix in one call, and
is what is timed. Scaling stays with the user: MLflow saves one model, not the scaler beside it.
It brings seventy packages along, so it has an environment of its own.
"""

from __future__ import annotations

import sys

LABEL = "MLflow pyfunc"
ENVIRONMENT = "mlflow"
MOST_ROWS = {"quick": 1_000_000, "full": 10_000_000}
SAVED = "mlflow_model"


def prepare(assets: str) -> None:
    """Save the model in MLflow's format, with a signature, as ``log_model`` does."""
    import shutil

    import joblib
    import keras
    import mlflow
    import numpy as np

    scaler = joblib.load(f"{assets}/bundle/scaler.joblib")
    model = keras.models.load_model(f"{assets}/bundle/model.keras", compile=False)
    titles = np.zeros((2, len(scaler.feature_names_in_) - 1), np.float32)
    signature = mlflow.models.infer_signature(titles, model.predict(titles, verbose=0))
    shutil.rmtree(f"{assets}/{SAVED}", ignore_errors=True)
    mlflow.keras.save_model(model, f"{assets}/{SAVED}", signature=signature, save_exported_model=True)


def main(source: str, output: str, assets: str) -> None:
    """Scale as the course does, and let pyfunc predict."""
    import joblib
    import mlflow
    import numpy as np
    import pandas as pd

    scaler = joblib.load(f"{assets}/bundle/scaler.joblib")
    model = mlflow.pyfunc.load_model(f"{assets}/{SAVED}")
    features = list(scaler.feature_names_in_[:-1])
    titles = (pd.read_csv if source.endswith(".csv") else pd.read_parquet)(source)
    scaled = titles[features].to_numpy(np.float64) * scaler.scale_[:-1] + scaler.min_[:-1]
    predicted = np.asarray(model.predict(scaled.astype(np.float32)))
    earnings = (predicted[:, 0].astype(np.float64) - scaler.min_[-1]) / scaler.scale_[-1]
    result = pd.DataFrame({"predicted_earnings": earnings})
    result.to_csv(output, index=False) if output.endswith(".csv") else result.to_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
