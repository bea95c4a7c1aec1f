"""scikit-learn's MLPRegressor with the same weights: no TensorFlow to start, the whole matrix at once.

``predict`` multiplies the whole matrix in float32 through the BLAS that comes with SciPy; scikit-learn offers nothing
to tune in it. The weights are put into an MLPRegressor once (``prepare``) and kept with joblib, as a user would keep
one that was fitted.
"""

from __future__ import annotations

import sys

LABEL = "pandas, scikit-learn MLPRegressor"
MOST_ROWS = {"quick": 1_000_000, "full": 10_000_000}


def prepare(assets: str) -> None:
    """Copy the weights of a network of Dense layers, ReLU between them, into an MLPRegressor."""
    import joblib
    import keras
    import numpy as np
    from sklearn.neural_network import MLPRegressor

    layers = keras.models.load_model(f"{assets}/bundle/model.keras", compile=False).layers
    activations = [layer.activation.__name__ for layer in layers]
    if activations != ["relu"] * (len(layers) - 1) + ["linear"]:
        raise SystemExit(f"MLPRegressor has one activation for all hidden layers, the network has {activations}")
    kernels, biases = zip(*(layer.get_weights() for layer in layers), strict=True)
    regressor = MLPRegressor(hidden_layer_sizes=[len(bias) for bias in biases[:-1]], activation="relu", max_iter=1)
    # One step on zeros makes everything that predict looks for; then the weights are replaced.
    regressor.partial_fit(np.zeros((2, len(kernels[0])), np.float32), np.zeros(2, np.float32))
    regressor.coefs_, regressor.intercepts_ = list(kernels), list(biases)
    joblib.dump(regressor, f"{assets}/sklearn_mlp.joblib")


def main(source: str, output: str, assets: str) -> None:
    """Score the whole file as one float32 matrix."""
    import joblib
    import numpy as np
    import pandas as pd

    scaler = joblib.load(f"{assets}/bundle/scaler.joblib")
    regressor = joblib.load(f"{assets}/sklearn_mlp.joblib")
    features = list(scaler.feature_names_in_[:-1])
    titles = (pd.read_csv if source.endswith(".csv") else pd.read_parquet)(source)
    scaled = titles[features].to_numpy(np.float64) * scaler.scale_[:-1] + scaler.min_[:-1]
    predicted = regressor.predict(scaled.astype(np.float32)).astype(np.float64)
    result = pd.DataFrame({"predicted_earnings": (predicted - scaler.min_[-1]) / scaler.scale_[-1]})
    result.to_csv(output, index=False) if output.endswith(".csv") else result.to_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
