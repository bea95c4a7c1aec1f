"""The network as the course writes it: Sequential, Adam, ``fit`` for 50 epochs in shuffled batches of 32."""

from typing import Any

from benchmarks.trainer import Answer, Clock, apply_network, read_scaled

LABEL = "plain Keras fit"


def main(train: str, test: str, seed: str) -> Answer:
    import keras

    x, y, x_test, y_test = read_scaled(train, test)
    keras.utils.set_random_seed(int(seed))
    model = compile_network((50, 100, 50), "relu", "adam")
    clock = Clock(x_test, y_test)
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda _epoch, _logs: clock.record(lambda values: apply_network(model.get_weights(), values))
    )
    model.fit(x, y, epochs=50, shuffle=True, verbose=2, callbacks=[record])
    return clock.make_answer()


def compile_network(units: tuple[int, ...], activation: str, optimizer: Any) -> Any:
    import keras
    from keras.layers import Dense

    model = keras.Sequential()
    for size in units:
        model.add(Dense(size, activation=activation))
    model.add(Dense(1, activation="linear"))
    model.compile(loss="mean_squared_error", optimizer=optimizer)
    return model
