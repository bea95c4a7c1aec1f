"""scikit-learn's MLPRegressor kept going for 60 epochs in batches of 32, where its default would stop early.

Its default ends when the loss falls by less than 0.0001 for ten epochs, and the whole loss of scaled earnings is
smaller than that.
"""

from __future__ import annotations

import sys

from benchmarks.trainer import Clock, read_scaled, since_start

LABEL = "scikit-learn MLPRegressor, kept going"
EPOCHS = 60


def main(train: str, test: str, answer: str, seed: str) -> None:
    """Train an epoch at a time."""
    from sklearn.neural_network import MLPRegressor

    x, y, x_test, y_test = read_scaled(train, test)
    regressor = MLPRegressor(hidden_layer_sizes=(50, 100, 50), batch_size=32, random_state=int(seed))
    clock, start = Clock(x_test, y_test), since_start()
    clock.begin()
    for _ in range(EPOCHS):
        regressor.partial_fit(x, y)
        clock.look(regressor.predict)
    clock.answer(answer, start)


if __name__ == "__main__":
    main(*sys.argv[1:])
