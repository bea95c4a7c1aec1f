"""The exported graph as a function of Arrow columns, as users of other engines write it.

Nothing is screened, flagged or counted. The graph has one thread, because an engine works on all cores already.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa

BATCH_ROWS = 16_384


@cache
def open_graph(path: str) -> Any:
    """Load a graph, once in a process."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def predict(path: str, features: Sequence[Any]) -> pa.Array:
    """Return the earnings of titles, float64 (n,). The features are columns in the order of the graph."""
    titles = np.stack([feature.to_numpy().astype(np.float32) for feature in features], axis=1)
    return pa.array(open_graph(path).run(None, {"titles": titles})[0])
