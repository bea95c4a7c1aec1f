"""A version that is ready to score: its graph, its contract, its prediction interval and its golden rows.

The graph takes raw feature columns and returns predictions in the unit of the target. It holds the scaling, the
network and the unscaling; ``gamesales/training/onnx_graph.py`` builds it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.contract import Contract
from gamesales.data.table import format_on_one_line
from gamesales.errors import IntegrityError, SelfTestError
from gamesales.scoring.drift import Profile, read_profiles
from gamesales.scoring.familiarity import FlagCombinations
from gamesales.scoring.prediction_interval import PredictionInterval, Widening

GRAPH_FILE = "scorer.onnx"
# A graph gets this many rows at a time: their activations stay in the caches. Every chunk has this many rows, the last
# chunk is padded, so that no row's result depends on the number of other rows.
CHUNK_ROWS = 1_024
# The chunks of a small graph, where a call takes longer than the computation of a few rows. And its largest size,
# in bytes of its file. It has about 2,000 weights.
SMALL_GRAPH_CHUNK_ROWS, SMALL_GRAPH_BYTES = 4_096, 9_000

_GOLDEN_KEYS = ("values", "expected_predictions", "prediction_tolerance")


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with telemetry off; some builds send usage reports and write files below HOME."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read during the import
    import onnxruntime

    return onnxruntime


class Scorer:
    """A scoring graph in ONNX Runtime, on one thread; safe to share between threads. A pickle holds the graph's bytes.

    Args:
        graph: the bytes of the ONNX file.

    Attributes:
        chunk_rows: the number of rows of each call. It depends on the graph alone.

    Raises:
        SelfTestError: the graph can't be loaded.
    """

    def __init__(self, graph: bytes) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's error classes share no narrower root
            reason = format_on_one_line(error)[:300]
            raise SelfTestError(f"the scoring graph can't be loaded here: {reason}", hint="Train again") from None
        self._graph = graph
        self._input = self._session.get_inputs()[0].name
        self.chunk_rows = SMALL_GRAPH_CHUNK_ROWS if len(graph) <= SMALL_GRAPH_BYTES else CHUNK_ROWS

    def __reduce__(self) -> tuple[type[Scorer], tuple[bytes]]:
        return Scorer, (self._graph,)

    def score(self, values: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Predict the target of some rows.

        Args:
            values: (n, k), the raw features in the contract's order.

        Returns:
            float64 (n,), in the unit of the target.
        """
        matrix = np.ascontiguousarray(values, np.float32)
        rows, features = matrix.shape
        predictions = np.empty(rows, np.float64)
        whole = rows - rows % self.chunk_rows
        for start in range(0, whole, self.chunk_rows):
            predictions[start : start + self.chunk_rows] = self._run(matrix[start : start + self.chunk_rows])
        if whole < rows:
            padded = np.zeros((self.chunk_rows, features), np.float32)
            padded[: rows - whole] = matrix[whole:]
            predictions[whole:] = self._run(padded)[: rows - whole]
        return predictions

    def _run(self, chunk: npt.NDArray[np.float32]) -> FloatArray:
        predictions: FloatArray = self._session.run(None, {self._input: chunk})[0]
        return predictions


@dataclass(frozen=True)
class GoldenRows:
    """Rows with the predictions that a version must give for them on every machine.

    Attributes:
        values: (g, k), the raw features in the contract's order.
        predictions: (g,), the expected predictions.
        tolerance: (g,), the largest difference allowed.
        bounds: (2, g), the expected bounds of the prediction intervals; None for a version without them.
    """

    values: FloatArray
    predictions: FloatArray
    tolerance: FloatArray
    bounds: FloatArray | None = None

    def check(self, features: int) -> None:
        """Raise ValueError if there are no rows, or if the shapes do not fit together."""
        shapes = [self.values.shape, self.predictions.shape, self.tolerance.shape]
        rows = len(self.predictions) if self.predictions.ndim else 0
        if not rows or shapes != [(rows, features), (rows,), (rows,)]:
            raise ValueError(f"expected golden rows of {features} values with predictions, tolerance, found {shapes}")
        if self.bounds is not None and self.bounds.shape != (2, rows):
            raise ValueError(f"expected golden bounds of shape (2, {rows}), found {self.bounds.shape}")


@dataclass(frozen=True)
class LoadedVersion:
    """A version as scoring needs it.

    Attributes:
        digest: the digest of the bundle, 64 hex digits.
        training_min: float64 (k,), the smallest value of each feature in training, without missing cells.
        training_max: float64 (k,), the largest value of each feature in training.
        profiles: the distribution of each feature and of the predictions in training; None in bundles of releases
            that recorded none.
        prediction_interval: None for a version without prediction intervals.
        combinations: the combinations of flags in training; None for a version of a release that recorded none. Its
            intervals are the same for all titles, and its results have no column ``unfamiliar``.
        widening: how intervals of unfamiliar titles widen; None if nothing is known about them.
        reference_titles: the number of reference titles in its bundle; None for a version of a release that kept none.
        unseen_codes: the codes of categories within their range that training did not have, by index of the feature.
    """

    model: str
    number: int
    digest: str
    contract: Contract
    scorer: Scorer
    golden: GoldenRows
    training_min: FloatArray
    training_max: FloatArray
    profiles: tuple[Profile, ...] | None = None
    prediction_interval: PredictionInterval | None = None
    combinations: FlagCombinations | None = None
    widening: Widening | None = None
    reference_titles: int | None = None
    unseen_codes: Mapping[int, FloatArray] = field(default_factory=dict)

    def clip(self, predictions: FloatArray) -> tuple[FloatArray, BoolArray | None]:
        """Move predictions into the range that the contract allows for the target.

        Args:
            predictions: float64 (n,), the scorer's.

        Returns:
            The predictions, float64 (n,), and bool (n,), which of them were moved; None if none was.
        """
        low, high = get_target_range(self.contract)
        if not len(predictions) or (predictions.min() >= low and predictions.max() <= high):
            return predictions, None
        clipped = (predictions < low) | (predictions > high)
        return np.where(clipped, np.clip(predictions, low, high), predictions), clipped

    def run_self_test(self) -> None:
        """Score the golden rows, and compute their prediction intervals.

        Raises:
            SelfTestError: the results on this machine differ from the published results.
        """
        expected = self.golden.predictions
        predictions = self.scorer.score(self.golden.values)
        differences = np.abs(predictions - expected)
        if not (differences <= self.golden.tolerance).all():
            worst = int(np.nanargmax(np.where(np.isnan(differences), np.inf, differences)))
            raise SelfTestError(
                f"version {self.number} of {self.model} fails its self-test: golden row {worst + 1}: expected "
                f"{expected[worst]:,.2f}, found {predictions[worst]:,.2f}",
                hint="Compare this machine's onnxruntime with the release in the bundle's manifest",
            )
        if self.prediction_interval is not None and self.golden.bounds is not None:
            bounds = self.prediction_interval.bounds(expected)
            if not np.array_equal(bounds, self.golden.bounds):
                raise SelfTestError(
                    f"version {self.number} of {self.model} fails its self-test: the bounds of its golden rows differ",
                    hint="Score with the gamesales release that the bundle's manifest names",
                )


def get_target_range(contract: Contract) -> tuple[float, float]:
    """Return the smallest and the largest prediction that a contract allows; infinite without a limit."""
    target = contract.target
    lowest = [bound for bound in (target.minimum, target.above) if bound is not None]
    return max(lowest, default=-math.inf), math.inf if target.maximum is None else target.maximum


def load_version(model: str, number: int, digest: str, manifest: Mapping[str, Any], graph: bytes) -> LoadedVersion:
    """Build a version from its verified manifest and its verified graph.

    Raises:
        IntegrityError: the manifest lacks something that scoring needs.
        SelfTestError: the graph can't be loaded.
    """
    try:
        contract = Contract.from_json(manifest["contract"])
        columns = {column["name"]: column for column in manifest["training_profile"]}
        values, expected, tolerance = (np.array(manifest["golden"][key], np.float64) for key in _GOLDEN_KEYS)
        bounds = manifest["golden"].get("prediction_bounds")
        golden = GoldenRows(values, expected, tolerance, None if bounds is None else np.array(bounds, np.float64))
        golden.check(len(contract.features))
        training_min = np.array([columns[name]["minimum"] for name in contract.feature_names])
        training_max = np.array([columns[name]["maximum"] for name in contract.feature_names])
        unseen_codes = {
            index: np.array(columns[name]["unseen_codes"], np.float64)
            for index, name in enumerate(contract.feature_names)
            if "unseen_codes" in columns[name]
        }
        profiles = read_profiles(manifest, contract.feature_names)
        interval = PredictionInterval.from_manifest(manifest)
        combinations = FlagCombinations.from_manifest(manifest, contract)
        widening = Widening.from_manifest(manifest, contract.feature_names)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(
            f"the manifest of version {number} of {model} lacks what scoring needs: {error}",
            hint="Train again",
        ) from None
    return LoadedVersion(
        model=model,
        number=number,
        digest=digest,
        contract=contract,
        scorer=Scorer(graph),
        golden=golden,
        training_min=training_min,
        training_max=training_max,
        profiles=profiles,
        prediction_interval=interval,
        combinations=combinations,
        widening=widening,
        reference_titles=manifest.get("reference_titles"),
        unseen_codes=unseen_codes,
    )
