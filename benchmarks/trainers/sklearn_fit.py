"""MLPRegressor of scikit-learn with its defaults on the same layers: Adam in batches of 200, until it stops."""

from typing import Any

from benchmarks.trainer import Answer, Clock, read_scaled

LABEL = "scikit-learn MLPRegressor, defaults"


def main(train: str, test: str, seed: str, epochs: int | None = None, **options: Any) -> Answer:
    """Train until it stops, or for this number of epochs."""
    from sklearn.neural_network import MLPRegressor

    x, y, x_test, y_test = read_scaled(train, test)
    regressor = MLPRegressor(hidden_layer_sizes=(50, 100, 50), random_state=int(seed), **options)
    clock = Clock(x_test, y_test)
    for _ in range(epochs or 1):
        (regressor.partial_fit if epochs else regressor.fit)(x, y)
        clock.record(regressor.predict)
    return clock.make_answer()
