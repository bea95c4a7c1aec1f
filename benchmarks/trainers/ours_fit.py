"""The training of gamesales for the same network, by the library: seeded, with deterministic kernels of TensorFlow."""

from benchmarks.trainer import Answer, Clock, apply_network, read_scaled

LABEL = "gamesales, the fit alone"


def main(train: str, test: str, seed: str) -> Answer:
    from gamesales.training.fit import fit
    from gamesales.training.keras_objects import seed_everything
    from gamesales.training.network import build_network
    from gamesales.training.train_job import PRESETS, NetworkSpec, TrainingSpec

    x, y, x_test, y_test = read_scaled(train, test)
    training = TrainingSpec.model_validate({**PRESETS["course"]["training"], "seed": int(seed)})
    seed_everything(training.seed)
    network = build_network(NetworkSpec.model_validate(PRESETS["course"]["network"]), x.shape[1])
    clock = Clock(x_test, y_test)
    fit(network, x, y, training, lambda _: clock.record(lambda values: apply_network(network.get_weights(), values)))
    return clock.make_answer()
