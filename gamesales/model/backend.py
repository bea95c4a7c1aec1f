"""Keras on TensorFlow, loaded once and made reproducible."""

from __future__ import annotations

import logging
import os
from typing import Any

from gamesales.errors import JobFileError


def load_keras() -> Any:
    """Import Keras on TensorFlow, once, with TensorFlow's start-up chatter off.

    oneDNN reorders sums by the processor's mood; without it the same seed gives the same weights.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    # A function that is compiled anew for each network is no mistake when several are trained in a process.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if keras.backend.backend() != "tensorflow":
        raise JobFileError(f"Keras runs on {keras.backend.backend()}, expected tensorflow; start a fresh process")
    return keras


def seed_everything(seed: int) -> None:
    """Make what follows reproducible: Python's, NumPy's and TensorFlow's random numbers, and TensorFlow's kernels."""
    keras = load_keras()
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
