"""gamesales's own training of the same network, by the library: seeded, and with TensorFlow's deterministic kernels."""

from __future__ import annotations

import sys

from benchmarks.trainer import Clock, forward, read_scaled, since_start

LABEL = "gamesales, the fit alone"


def main(train: str, test: str, answer: str, seed: str) -> None:
    """Train by the course's preset."""
    from gamesales.training.fit import fit
    from gamesales.training.network import build_network, seed_everything
    from gamesales.training.spec import PRESETS, NetworkSpec, TrainingSpec

    x, y, x_test, y_test = read_scaled(train, test)
    training = TrainingSpec.model_validate({**PRESETS["course"]["training"], "seed": int(seed)})
    seed_everything(training.seed)
    network = build_network(NetworkSpec.model_validate(PRESETS["course"]["network"]), x.shape[1])
    clock, start = Clock(x_test, y_test), since_start()
    clock.begin()
    fit(network, x, y, training, lambda _epoch: clock.look(lambda values: forward(network.get_weights(), values)))
    clock.answer(answer, start)


if __name__ == "__main__":
    main(*sys.argv[1:])
