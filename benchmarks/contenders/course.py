"""The way of the Keras course: pandas reads, MinMaxScaler scales, Keras predicts with its defaults, pandas writes."""

LABEL = "pandas, Keras predict"
# About 30,000 rows per second: larger files take minutes and show nothing new.
MAX_ROWS = {"quick": 100_000, "full": 10_000_000}


def main(source: str, output: str, assets: str) -> None:
    """Score as the course does; the scaler expects ten columns, so the target is filled with zeros."""
    import joblib
    import keras

    from benchmarks.pandas_files import read_titles, write_earnings

    scaler = joblib.load(f"{assets}/bundle/scaler.joblib")
    model = keras.models.load_model(f"{assets}/bundle/model.keras")
    *features, target = scaler.feature_names_in_
    scaled = scaler.transform(read_titles(source)[features].assign(**{target: 0.0}))[:, :-1]
    write_earnings(model.predict(scaled)[:, 0], scaler, output)
