"""Export a network in formats of other programs: raw columns in, dollars out, like the scoring graph.

    network = load_network(content, source)
    model = add_scaling(network, scaling, limits)
    write_export(model, contract, "savedmodel", path)
    predict_with_export(contract, "savedmodel", path, values)    # loads what was written

An export consists of layers of Keras and operators of TensorFlow, so that it can be loaded without gamesales. A network
with an encoder takes codes, days and NaN as a matrix. A SavedModel of it also takes text; see ``text_columns``.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.data.files import DISK_FULL_ERRORS
from gamesales.data.table import format_on_one_line
from gamesales.errors import IntegrityError, UsageError
from gamesales.training.column_encoder import get_encoding, load_encoder_class
from gamesales.training.encoding import Encoding, encode, needs_encoding
from gamesales.training.export_columns import RawColumns
from gamesales.training.keras_objects import load_keras
from gamesales.training.scaling import LogScale, Scaling
from gamesales.training.text_columns import ColumnReader

# The formats that are one file, by the suffix from which Keras infers the format.
KERAS_SUFFIXES = {"keras": ".keras", "h5": ".h5"}
# The signature that TensorFlow Serving uses by default. It takes a tensor per column.
_COLUMNS_SIGNATURE = "serving_default"
_MATRIX_SIGNATURE = "matrix"
# TensorFlow silently renames x-y to x_y, and an input named self clashes with a method's first argument.
_SIGNATURE_NAME = re.compile(r"(?!self$)[A-Za-z][A-Za-z0-9_]*")


def load_network(content: bytes, source: str) -> Any:
    """Load a network from the checked bytes of a ``.keras`` file, in safe mode.

    Returns:
        A keras.Sequential from (batch, k) to (batch, 1), both scaled.

    Raises:
        IntegrityError: Keras can't load the file, or would run code from it.
    """
    load_encoder_class()  # registers the class, which a network with an encoder needs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        try:
            return load_keras().models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises exceptions of many classes
            raise IntegrityError(
                f"{source} can't be loaded safely: {format_on_one_line(error)[:300]}",
                hint="Train again, or export as onnx",
            ) from None


def add_scaling(network: Any, scaling: Scaling, limits: tuple[float, float] = (-math.inf, math.inf)) -> Any:
    """Put scaling before a network and unscaling behind it, both in float64 as in the scoring graph.

    Args:
        network: a keras.Sequential from (batch, k) to (batch, 1), both scaled.
        scaling: the scaling of its columns.
        limits: the smallest and the largest prediction; others are clipped.

    Returns:
        A keras.Model from ``titles``, float32 (batch, k), not scaled, to float64 (batch, 1), in the target's unit.
    """
    keras = load_keras()
    encoding = get_encoding(network.layers[0])
    if encoding or scaling.log:
        return _add_encoding(network, encoding, scaling, limits)
    scale, offset = scaling.scale, scaling.offset
    layers = [
        _make_affine_layer("scale_titles", scale[:-1], offset[:-1]),
        *network.layers,
        *_make_output_layers(1 / scale[-1:], -offset[-1:] / scale[-1:], *limits),
    ]
    return keras.Sequential([keras.Input((len(scale) - 1,), name="titles"), *layers], name="gamesales")


def _add_encoding(network: Any, encoding: Encoding | None, scaling: Scaling, limits: tuple[float, float]) -> Any:
    """Write the encoder and the logarithm as operations of Keras, which can be loaded without gamesales."""
    keras = load_keras()
    scale, offset = scaling.scale, scaling.offset
    titles = keras.Input((len(scale) - 1,), name="titles")
    first = _make_affine_layer("scale_titles", scale[:-1], offset[:-1])
    values = encode(encoding, titles) if encoding else first(titles)
    for layer in network.layers[1 if encoding else 0 :]:
        values = layer(values)
    if scaling.log:
        values = _make_affine_layer("to_logarithm", 1 / scale[-1:], -offset[-1:] / scale[-1:])(values)
        values = _limit(_invert_logarithm(values, scaling.log), *limits)
    else:
        for layer in _make_output_layers(1 / scale[-1:], -offset[-1:] / scale[-1:], *limits):
            values = layer(values)
    return keras.Model(titles, values, name="gamesales")


def _invert_logarithm(values: Any, log: LogScale) -> Any:
    from keras import ops

    return ops.exp(_limit(values, log.lowest, log.highest)) - log.shift


def _limit(values: Any, low: float, high: float) -> Any:
    from keras import ops

    values = values if math.isinf(low) else ops.maximum(values, low)
    return values if math.isinf(high) else ops.minimum(values, high)


def _make_output_layers(scale: FloatArray, offset: FloatArray, low: float, high: float) -> list[Any]:
    """Make the layers that unscale a prediction and clip it; ReLU clips at 0, and so at ``low`` or at ``high``."""
    if math.isinf(low) and math.isinf(high):
        return [_make_affine_layer("to_dollars", scale, offset)]
    sign, limit = (-1.0, high) if math.isinf(low) else (1.0, low)
    size = None if math.isinf(high) or math.isinf(low) else high - low
    clip = load_keras().layers.ReLU(max_value=size, dtype="float64", name="clip_dollars")
    if limit == 0 and sign > 0:
        return [_make_affine_layer("to_dollars", sign * scale, sign * offset), clip]
    to_limit = _make_affine_layer("to_limit", sign * scale, sign * (offset - limit))
    return [to_limit, clip, _make_affine_layer("to_dollars", np.array([sign]), np.array([limit]))]


def clip_graph(graph: bytes, low: float, high: float) -> bytes:
    """Clip the predictions of a scoring graph, in ONNX. Needs the package onnx, unless there are no limits."""
    if math.isinf(low) and math.isinf(high):
        return graph
    import onnx

    model = onnx.load_from_string(graph)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [f"{output}_unclipped" if output == name else output for output in node.output]
        node.input[:] = [f"{source}_unclipped" if source == name else source for source in node.input]
    limits = {"clip_low": low, "clip_high": high}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(limit, np.float64), label) for label, limit in limits.items()
    )
    model.graph.node.append(onnx.helper.make_node("Clip", [f"{name}_unclipped", *limits], [name]))
    clipped: bytes = model.SerializeToString()
    return clipped


def _make_affine_layer(name: str, scale: FloatArray, offset: FloatArray) -> Any:
    """Make a layer that computes ``value * scale + offset`` for each column, in float64.

    Rescaling does not do that: its numbers lose precision when it is loaded, because they pass through float32. It also
    takes columns for image channels if Keras is configured with channels first.
    """
    layer = load_keras().layers.EinsumDense(
        "nk,k->nk", output_shape=len(scale), bias_axes="k", dtype="float64", trainable=False, name=name
    )
    layer.build((None, len(scale)))
    layer.set_weights([scale, offset])
    return layer


def check_signature_names(names: Sequence[str]) -> None:
    """Check that the names of the columns can name the inputs of a SavedModel's signature.

    Raises:
        UsageError: some names can't.
    """
    invalid = [name for name in names if not _SIGNATURE_NAME.fullmatch(name)]
    if invalid:
        raise UsageError(
            f"a SavedModel can't name its inputs {', '.join(map(repr, invalid))}; expected letters, digits and _",
            hint="Use --format keras or onnx, or rename the columns and train again",
        )


def check_form(contract: Contract, form: str) -> None:
    """Check that a format can hold a network of a contract.

    Raises:
        UsageError: it can't.
    """
    if form not in ("keras", "h5", "onnx"):
        check_signature_names(contract.feature_names)
    if form == "h5" and (needs_encoding(contract) or contract.target.scale == "log"):
        raise UsageError(
            "the format h5 can't hold categories, dates, missing cells or a logarithm: Keras can't load them from it",
            hint="Use --format keras, the newer format of Keras, or onnx",
        )


def write_export(model: Any, contract: Contract, form: str, path: Path) -> None:
    """Write a model with scaling.

    Args:
        model: the result of ``add_scaling``.
        contract: the k features.
        form: ``keras``, ``h5``, or any other for a SavedModel.
        path: the file or the folder to write. A file needs its suffix of KERAS_SUFFIXES.

    Raises:
        OSError: the disk is full.
    """
    with _silence_libraries():
        if form == "keras":
            model.save(path)
        elif form == "h5":
            _write_h5(model, path)
        else:
            _write_saved_model(model, contract, path)


def _write_h5(model: Any, path: Path) -> None:
    """Write to memory first: HDF5 crashes the process when the disk is full."""
    import h5py
    from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5  # model.save calls it, but only for a path

    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        save_model_to_hdf5(model, file)
        file.flush()
        path.write_bytes(file.id.get_file_image())


def _write_saved_model(model: Any, contract: Contract, path: Path) -> None:
    import tensorflow as tf

    names = contract.feature_names
    specifications = [tf.TensorSpec((None,), tf.float32, name=name) for name in names]

    def predict_matrix(titles: Any) -> dict[str, Any]:
        return {"earnings": tf.reshape(model(titles, training=False), (-1,))}

    def predict_columns(*columns: Any) -> dict[str, Any]:
        return predict_matrix(tf.stack(columns, axis=1))

    def predict_text(*columns: Any) -> dict[str, Any]:
        titles, rejected = reader.read(columns)
        return {"earnings": tf.where(rejected, tf.constant(math.nan, tf.float64), predict_matrix(titles)["earnings"])}

    def trace(function: Any, *inputs: Any) -> Any:
        return tf.function(function, autograph=False).get_concrete_function(*inputs)

    module = tf.Module(name="gamesales")
    module.weights = [variable.value for variable in model.variables]  # saves the variables of the signatures
    predict = predict_columns
    if needs_encoding(contract):
        reader = ColumnReader(contract)
        module.tables = reader.tables
        predict, specifications = predict_text, reader.make_signature()
    signatures = {
        _COLUMNS_SIGNATURE: trace(predict, *specifications),
        _MATRIX_SIGNATURE: trace(predict_matrix, tf.TensorSpec((None, len(names)), tf.float32, name="titles")),
    }
    try:
        tf.saved_model.save(module, str(path), signatures=signatures)
    except tf.errors.OpError as error:
        # TensorFlow's own errors contain the message of the system error.
        for number in DISK_FULL_ERRORS:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(path)) from None
        raise


def predict_with_export(
    contract: Contract, form: str, path: Path, values: FloatArray, raw: RawColumns | None = None
) -> list[FloatArray]:
    """Load an export, and predict in each way that it offers.

    Args:
        contract: the k features.
        form: the format, as for ``write_export``.
        path: the file or the folder of the export.
        values: (n, k), not scaled, exact in float32.
        raw: the same titles as raw columns; by default, the columns of the matrix.

    Returns:
        The predictions of each way, float64 (n,), in the target's unit.
    """
    titles = values.astype(np.float32)
    with _silence_libraries():
        if form in KERAS_SUFFIXES:
            model = load_keras().models.load_model(path, compile=False, safe_mode=True)
            return [model.predict(titles, batch_size=4096, verbose=0)[:, 0]]
        load_keras()  # sets up TensorFlow
        import tensorflow as tf

        signatures = tf.saved_model.load(str(path)).signatures
        cells = raw or dict(zip(contract.feature_names, titles.T, strict=True))
        columns = {
            name: tf.constant(column if column.dtype == object else column.astype(np.float32))
            for name, column in cells.items()
        }
        results = signatures[_COLUMNS_SIGNATURE](**columns), signatures[_MATRIX_SIGNATURE](titles=tf.constant(titles))
        return [result["earnings"].numpy() for result in results]


@contextlib.contextmanager
def _silence_libraries() -> Iterator[None]:
    """Silence the libraries: with ``--json``, stdout has only one document."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
