"""The Keras model as a pyfunc model of MLflow, saved in the Keras flavor with a signature.

The pyfunc model of Keras passes no batch size to Keras, which then takes 32 rows at a time, as slow as the course's
way. The flavor also saves the exported graph for serving (``save_exported_model``). The graph takes the whole matrix in
one call, and is timed here. The user scales the features, because MLflow saves one model without its scaler. MLflow
needs seventy packages, so it has its own environment.
"""

LABEL = "MLflow pyfunc"
ENVIRONMENT = "mlflow"
MAX_ROWS = {"quick": 1_000_000, "full": 10_000_000}
SAVED = "mlflow_model"


def prepare(assets: str) -> None:
    """Save the model in the format of MLflow, with a signature, as ``log_model`` does."""
    import shutil

    import keras
    import mlflow
    import numpy as np

    model = keras.models.load_model(f"{assets}/bundle/model.keras", compile=False)
    titles = np.zeros((2, model.input_shape[-1]), np.float32)
    signature = mlflow.models.infer_signature(titles, model.predict(titles, verbose=0))
    shutil.rmtree(f"{assets}/{SAVED}", ignore_errors=True)
    mlflow.keras.save_model(model, f"{assets}/{SAVED}", signature=signature, save_exported_model=True)


def main(source: str, output: str, assets: str) -> None:
    import mlflow
    import numpy as np

    from benchmarks.pandas_files import read_scaled, write_earnings

    model = mlflow.pyfunc.load_model(f"{assets}/{SAVED}")
    scaler, scaled = read_scaled(source, assets)
    write_earnings(np.asarray(model.predict(scaled))[:, 0], scaler, output)
