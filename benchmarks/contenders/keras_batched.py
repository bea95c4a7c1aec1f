"""The way of the Keras course, with the batch size at which ``predict`` of Keras is fastest.

Keras advises ``predict`` for large inputs, and a call of the model for inputs of one batch. Of batches from 1,024 to a
million rows, 16,384 rows were fastest, because the values between layers stay in the caches. No call of the model was
faster.
"""

LABEL = "pandas, Keras predict, large batches"
MAX_ROWS = {"quick": 1_000_000, "full": 10_000_000}
BATCH_ROWS = 16_384


def main(source: str, output: str, assets: str) -> None:
    import keras

    from benchmarks.pandas_files import read_scaled, write_earnings

    model = keras.models.load_model(f"{assets}/bundle/model.keras", compile=False)
    scaler, scaled = read_scaled(source, assets)
    write_earnings(model.predict(scaled, batch_size=BATCH_ROWS, verbose=0)[:, 0], scaler, output)
