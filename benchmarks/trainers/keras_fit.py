"""As the course writes it: Sequential, Adam, ``fit`` for 50 epochs in shuffled batches of 32."""

from __future__ import annotations

import sys

from benchmarks.trainer import Clock, forward, read_scaled, since_start

LABEL = "plain Keras fit"


def main(train: str, test: str, answer: str, seed: str) -> None:
    """Train, and look at the error as each epoch ends."""
    import keras
    from keras.layers import Dense

    x, y, x_test, y_test = read_scaled(train, test)
    keras.utils.set_random_seed(int(seed))
    model = keras.Sequential()
    model.add(Dense(50, activation="relu"))
    model.add(Dense(100, activation="relu"))
    model.add(Dense(50, activation="relu"))
    model.add(Dense(1, activation="linear"))
    model.compile(loss="mean_squared_error", optimizer="adam")
    clock, start = Clock(x_test, y_test), since_start()
    clock.begin()
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda _epoch, _logs: clock.look(lambda values: forward(model.get_weights(), values))
    )
    model.fit(x, y, epochs=50, shuffle=True, verbose=2, callbacks=[look])
    clock.answer(answer, start)


if __name__ == "__main__":
    main(*sys.argv[1:])
