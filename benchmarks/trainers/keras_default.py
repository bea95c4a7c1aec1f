"""The network and the epochs of jobs/train.toml by plain Keras: one ``fit``, without checks, intervals or report."""

import time

from benchmarks.trainer import Answer, read_scaled
from benchmarks.trainers.keras_fit import compile_network

LABEL = "plain Keras fit of the default network"
CASE = "1,000 past titles, the default job"
EPOCHS, BATCH_ROWS = 300, 16


def main(train: str, test: str, seed: str) -> Answer:
    import keras

    x, y, x_test, y_test = read_scaled(train, test)
    keras.utils.set_random_seed(int(seed))
    schedule = keras.optimizers.schedules.CosineDecay(0.02, EPOCHS * -(-len(x) // BATCH_ROWS))
    model = compile_network((24, 24), "silu", keras.optimizers.Adam(schedule))
    began = time.perf_counter()
    model.fit(x, y, epochs=EPOCHS, batch_size=BATCH_ROWS, verbose=2)
    fit_s = time.perf_counter() - began
    return {"fit_s": fit_s, "scaled_mse": float(model.evaluate(x_test, y_test, verbose=0)), "curve": []}
