"""A version's network in formats that other programs read: raw columns in, dollars out, like the scoring graph.

    network = load_network(content, where)
    model = with_scaling(network, scaling)
    write(model, names, "savedmodel", path)
    predictions(names, "savedmodel", path, values)   # of what was written, loaded again

What is written is made of Keras's own layers and TensorFlow's own operators: whoever loads it needs no gamesales.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.files import FULL
from gamesales.data.table import one_line
from gamesales.errors import IntegrityError, UsageError
from gamesales.training.network import load_keras
from gamesales.training.scaling import Scaling

# What Keras writes as one file; it tells by the ending which of them a file is.
KERAS_SUFFIXES = {"keras": ".keras", "h5": ".h5"}
# The signature that TensorFlow Serving takes where a request names none.
NAMED = "serving_default"
MATRIX = "matrix"
# TensorFlow makes x_y of x-y without a word, and Python's own first argument stands in the way of self.
_SIGNATURE_NAME = re.compile(r"(?!self$)[A-Za-z][A-Za-z0-9_]*")


def load_network(content: bytes, where: str) -> Any:
    """Load a network from the checked bytes of a ``.keras`` file; what would run code of its own is refused.

    Args: where: the file, for the error.  Returns: a keras.Sequential from (batch, k) scaled to (batch, 1) scaled.
    Raises: IntegrityError: Keras can't load it, or will not in safe mode.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        try:
            return load_keras().models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # a file can be wrong in as many ways as Keras has classes
            raise IntegrityError(
                f"{where} can't be loaded safely: {one_line(error)[:300]}", hint="Train again, or export as onnx"
            ) from None


def with_scaling(network: Any, scaling: Scaling) -> Any:
    """Put scaling before a network and unscaling behind it, both in float64 as the scoring graph has them.

    Returns: a keras.Sequential from ``titles``, float32 (batch, k) raw, to float64 (batch, 1), US dollars.
    """
    keras = load_keras()
    scale, offset = scaling.scale, scaling.offset
    layers = [
        _affine("scale_titles", scale[:-1], offset[:-1]),
        *network.layers,
        _affine("to_dollars", 1 / scale[-1:], -offset[-1:] / scale[-1:]),
    ]
    return keras.Sequential([keras.Input((len(scale) - 1,), name="titles"), *layers], name="gamesales")


def _affine(name: str, scale: FloatArray, offset: FloatArray) -> Any:
    """Make a layer of ``value * scale + offset``, column by column, in float64.

    Not a Rescaling: its numbers pass through float32 when it is loaded again, and it takes columns for the channels of
    an image where Keras is set up so.
    """
    layer = load_keras().layers.EinsumDense(
        "nk,k->nk", output_shape=len(scale), bias_axes="k", dtype="float64", trainable=False, name=name
    )
    layer.build((None, len(scale)))
    layer.set_weights([scale, offset])
    return layer


def check_names(names: Sequence[str]) -> None:
    """Raises: UsageError: a column's name can't name an input of a SavedModel's signature."""
    odd = [name for name in names if not _SIGNATURE_NAME.fullmatch(name)]
    if odd:
        raise UsageError(
            f"a SavedModel can't name its inputs {', '.join(map(repr, odd))}; expected letters, digits and _",
            hint="Export as keras, h5 or onnx, which take the columns by their order",
        )


def write(model: Any, names: Sequence[str], form: str, path: Path) -> None:
    """Write a model with scaling.

    Args:
        model: what ``with_scaling`` returns.
        names: the k features in the contract's order.
        form: ``keras``, ``h5``, or else a SavedModel.
        path: the file or the folder to make; a file needs the ending that KERAS_SUFFIXES says.

    Raises: OSError: the disk is full.
    """
    with _quiet():
        if form == "keras":
            model.save(path)
        elif form == "h5":
            _write_h5(model, path)
        else:
            _write_saved_model(model, names, path)


def _write_h5(model: Any, path: Path) -> None:
    """Write by way of memory: where the disk is full, HDF5 would take the whole process down."""
    import h5py
    from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5  # what model.save calls, for a path only

    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        save_model_to_hdf5(model, file)
        file.flush()
        path.write_bytes(file.id.get_file_image())


def _write_saved_model(model: Any, names: Sequence[str], path: Path) -> None:
    import tensorflow as tf

    def matrix(titles: Any) -> dict[str, Any]:
        return {"earnings": tf.reshape(model(titles, training=False), (-1,))}

    def named(*columns: Any) -> dict[str, Any]:
        return matrix(tf.stack(columns, axis=1))

    def signature(function: Any, *inputs: Any) -> Any:
        return tf.function(function, autograph=False).get_concrete_function(*inputs)

    module = tf.Module(name="gamesales")
    module.weights = [variable.value for variable in model.variables]  # what the signatures refer to is saved by this
    signatures = {
        NAMED: signature(named, *(tf.TensorSpec((None,), tf.float32, name=name) for name in names)),
        MATRIX: signature(matrix, tf.TensorSpec((None, len(names)), tf.float32, name="titles")),
    }
    try:
        tf.saved_model.save(module, str(path), signatures=signatures)
    except tf.errors.OpError as error:
        # TensorFlow has errors of its own for what the system says, with its words in them.
        for number in FULL:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(path)) from None
        raise


def predictions(names: Sequence[str], form: str, path: Path, values: FloatArray) -> list[FloatArray]:
    """Load what ``write`` wrote, and predict in each way that it offers.

    Args: values: (n, k), raw, exact in float32.  Returns: float64 (n,) each, US dollars.
    """
    titles = values.astype(np.float32)
    with _quiet():
        if form in KERAS_SUFFIXES:
            model = load_keras().models.load_model(path, compile=False, safe_mode=True)
            return [model.predict(titles, batch_size=4096, verbose=0)[:, 0]]
        load_keras()  # which sets TensorFlow up
        import tensorflow as tf

        signatures = tf.saved_model.load(str(path)).signatures
        columns = {name: tf.constant(column) for name, column in zip(names, titles.T, strict=True)}
        results = signatures[NAMED](**columns), signatures[MATRIX](titles=tf.constant(titles))
        return [result["earnings"].numpy() for result in results]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries say about themselves off stdout, where ``--json`` promises one document, and stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
