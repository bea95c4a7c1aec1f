"""Raw columns in ONNX: an input for each column in front of a scoring graph.

ONNX maps text to codes with the operator LabelEncoder of ai.onnx.ml. It has no operator that removes blanks or parses a
date, so texts must come without blanks around them, and dates as days since 1970-01-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.contract import Column, Contract
from gamesales.errors import UsageError
from gamesales.scoring.scorer import import_onnxruntime
from gamesales.training.export_columns import RawColumns, get_unseen_code, list_text_codes

OUTPUT = "earnings"
_ML_DOMAIN, _ML_OPSET = "ai.onnx.ml", 3


def add_columns(graph: bytes, contract: Contract) -> bytes:
    """Replace the matrix that a graph takes by an input for each column. Needs the package onnx.

    Args:
        graph: a graph from ``titles``, float32 (n, k), to ``earnings``, float64 (n,).
        contract: the k columns, with the values of their categories.

    Returns:
        A graph from a tensor (n,) for each column, text for a category and float32 for others. A title with a cell that
        scoring rejects as missing or unseen gets NaN.

    Raises:
        UsageError: a column has the name of the output.
    """
    import onnx
    from onnx import TensorProto, helper

    if OUTPUT in contract.feature_names:
        raise UsageError(
            f"an ONNX graph can't have an input and an output with the name {OUTPUT!r}",
            hint="Use --format savedmodel, or rename the column in the contract and train again",
        )
    model = onnx.compose.add_prefix(onnx.load_from_string(graph), _choose_prefix(contract))
    titles, predicted = model.graph.input[0].name, model.graph.output[0].name
    builder = _Builder(titles)
    for column in contract.features:
        builder.read_column(column, contract.missing_values)
    nodes = builder.finish(predicted)
    inner = list(model.graph.node)
    del model.graph.node[:], model.graph.input[:], model.graph.output[:]
    model.graph.node.extend([*nodes[0], *inner, *nodes[1]])
    model.graph.initializer.extend(builder.make_constants())
    model.graph.input.extend(
        helper.make_tensor_value_info(
            column.name, TensorProto.STRING if column.kind == "category" else TensorProto.FLOAT, ["n"]
        )
        for column in contract.features
    )
    model.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, ["n"]))
    if not any(opset.domain == _ML_DOMAIN for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_ML_DOMAIN, _ML_OPSET))
    result: bytes = model.SerializeToString()
    return result


def predict_with_columns(content: bytes, raw: RawColumns) -> FloatArray:
    """Predict with a graph that takes an input for each column.

    Args:
        content: the result of ``add_columns``.
        raw: the cells of each column, (n,).

    Returns:
        float64 (n,), in the unit of the target.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs = {name: cells if cells.dtype == object else cells.astype(np.float32) for name, cells in raw.items()}
    predictions: FloatArray = session.run([OUTPUT], inputs)[0]
    return predictions


def _choose_prefix(contract: Contract) -> str:
    """Choose a prefix for the names inside of the graph that no column begins with."""
    prefix = "graph/"
    while any(name.startswith(prefix) for name in contract.feature_names):
        prefix = f"_{prefix}"
    return prefix


class _Builder:
    """Makes the nodes before and behind a graph."""

    def __init__(self, titles: str) -> None:
        self._titles = titles
        self._nodes: list[Any] = []
        self._columns: list[str] = []
        self._rejected: list[str] = []
        self._arrays = {"axis": np.array([1])}

    def read_column(self, column: Column, missing_values: tuple[str, ...]) -> None:
        """Add the nodes from the input of a column to its numbers, and to the cells that reject their title."""
        name = f"{self._titles}/{column.name}"
        numbers, fails = column.name, f"{name}/fails"
        if column.kind == "category":
            codes = _add_whole_numbers(list_text_codes(column, missing_values))
            self._add("LabelEncoder", [column.name], f"{name}/codes", domain=_ML_DOMAIN, **_make_map(codes, column))
            numbers = f"{name}/numbers"
            self._add("Cast", [f"{name}/codes"], numbers, to=1)  # float32
            self._arrays["zero"] = np.array(0)
            self._add("Less", [f"{name}/codes", f"{self._titles}/zero"], fails)
            self._rejected.append(fails)
        elif not column.may_be_missing:
            self._add("IsNaN", [column.name], fails)
            self._rejected.append(fails)
        self._add("Unsqueeze", [numbers, f"{self._titles}/axis"], f"{name}/column")
        self._columns.append(f"{name}/column")

    def finish(self, predicted: str) -> tuple[list[Any], list[Any]]:
        """Return the nodes before the graph, and those from its prediction to the output."""
        self._add("Concat", self._columns, self._titles, axis=1)
        before, self._nodes = self._nodes, []
        if not self._rejected:
            self._add("Identity", [predicted], OUTPUT)
            return before, self._nodes
        rejected = self._rejected[0]
        for index, fails in enumerate(self._rejected[1:]):
            self._add("Or", [rejected, fails], f"{self._titles}/rejected{index}")
            rejected = f"{self._titles}/rejected{index}"
        self._arrays["nan"] = np.array(np.nan)
        self._add("Where", [rejected, f"{self._titles}/nan", predicted], OUTPUT)
        return before, self._nodes

    def make_constants(self) -> list[Any]:
        """Return the constants of the nodes."""
        from onnx import numpy_helper

        return [numpy_helper.from_array(value, f"{self._titles}/{key}") for key, value in self._arrays.items()]

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))


def _add_whole_numbers(codes: Mapping[str, int]) -> dict[str, int]:
    """Add ``2006.0`` for each ``2006``, which screening takes for the same."""
    digits = [text for text in codes if text.lstrip("-").isdecimal() and text.isascii()]
    return {**{f"{text}.0": codes[text] for text in digits}, **codes}


def _make_map(codes: Mapping[str, int], column: Column) -> dict[str, Any]:
    return {
        "keys_strings": [*codes],
        "values_int64s": [*codes.values()],
        "default_int64": get_unseen_code(column),
    }
