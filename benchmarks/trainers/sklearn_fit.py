"""scikit-learn's MLPRegressor, its own defaults on the same layers: Adam in batches of 200, until it stops."""

from __future__ import annotations

import sys

from benchmarks.trainer import Clock, read_scaled, since_start

LABEL = "scikit-learn MLPRegressor, defaults"


def main(train: str, test: str, answer: str, seed: str) -> None:
    """Fit once, and look at the error at the end."""
    from sklearn.neural_network import MLPRegressor

    x, y, x_test, y_test = read_scaled(train, test)
    regressor = MLPRegressor(hidden_layer_sizes=(50, 100, 50), random_state=int(seed))
    clock, start = Clock(x_test, y_test), since_start()
    clock.begin()
    regressor.fit(x, y)
    clock.look(regressor.predict)
    clock.answer(answer, start)


if __name__ == "__main__":
    main(*sys.argv[1:])
