"""MLPRegressor of scikit-learn with the same weights: it starts without TensorFlow, and takes the whole matrix at once.

``predict`` multiplies the whole matrix in float32 with the BLAS of SciPy. scikit-learn has no option to tune it.
``prepare`` copies the weights into an MLPRegressor, and joblib keeps it, as a user would keep a fitted model.
"""

LABEL = "pandas, scikit-learn MLPRegressor"
MAX_ROWS = {"quick": 1_000_000, "full": 10_000_000}


def prepare(assets: str) -> None:
    """Copy the weights of a network of Dense layers with ReLU into an MLPRegressor."""
    import joblib
    import keras
    import numpy as np
    from sklearn.neural_network import MLPRegressor

    layers = keras.models.load_model(f"{assets}/bundle/model.keras", compile=False).layers
    kernels, biases = zip(*(layer.get_weights() for layer in layers), strict=True)
    regressor = MLPRegressor(hidden_layer_sizes=[len(bias) for bias in biases[:-1]], activation="relu", max_iter=1)
    # One step on zeros creates all attributes that ``predict`` reads. Then the weights are replaced.
    regressor.partial_fit(np.zeros((2, len(kernels[0])), np.float32), np.zeros(2, np.float32))
    regressor.coefs_, regressor.intercepts_ = list(kernels), list(biases)
    joblib.dump(regressor, f"{assets}/sklearn_mlp.joblib")


def main(source: str, output: str, assets: str) -> None:
    import joblib

    from benchmarks.pandas_files import read_scaled, write_earnings

    regressor = joblib.load(f"{assets}/sklearn_mlp.joblib")
    scaler, scaled = read_scaled(source, assets)
    write_earnings(regressor.predict(scaled), scaler, output)
