"""One verified version, ready to score: raw feature columns in, dollars out.

The scoring graph holds scaling, network and unscaling; see ``gamesales/training/onnx_graph.py`` for how it is made.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.contract import Contract
from gamesales.data.table import one_line
from gamesales.errors import IntegrityError, SelfTestError
from gamesales.scoring.drift import Profile, profiles_of

GRAPH_FILE = "scorer.onnx"
# Rows given to the graph at a time: their activations stay in the first-level caches. Every chunk has this many,
# the last one padded, so that no row's result depends on how many others came with it.
CHUNK_ROWS = 1_024


def load_runtime() -> Any:
    """Import ONNX Runtime, and keep it quiet: its builds report usage over the network, by way of files below HOME."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is imported
    import onnxruntime

    return onnxruntime


class Scorer:
    """A scoring graph in ONNX Runtime, on one thread; safe to share between threads."""

    def __init__(self, graph: bytes) -> None:
        onnxruntime = load_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes share no narrower root
            reason = one_line(error)[:300]
            raise SelfTestError(f"the scoring graph can't be loaded here: {reason}", hint="Train again") from None
        self._input = self._session.get_inputs()[0].name

    def score(self, values: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Predict earnings.

        Args: values: (n, k), the raw features in the contract's order.  Returns: float64 (n,), US dollars.
        """
        matrix = np.ascontiguousarray(values, np.float32)
        rows, features = matrix.shape
        earnings = np.empty(rows, np.float64)
        whole = rows - rows % CHUNK_ROWS
        for start in range(0, whole, CHUNK_ROWS):
            earnings[start : start + CHUNK_ROWS] = self._run(matrix[start : start + CHUNK_ROWS])
        if whole < rows:
            padded = np.zeros((CHUNK_ROWS, features), np.float32)
            padded[: rows - whole] = matrix[whole:]
            earnings[whole:] = self._run(padded)[: rows - whole]
        return earnings

    def _run(self, chunk: npt.NDArray[np.float32]) -> FloatArray:
        earnings: FloatArray = self._session.run(None, {self._input: chunk})[0]
        return earnings


@dataclass(frozen=True)
class Golden:
    """Rows with the earnings that a version must give for them, on whatever machine it runs.

    ``values`` is (g, k); ``earnings`` and ``tolerance`` are (g,). ``bounds`` is (2, g), the bounds of the
    intervals around ``earnings``; None for a version that gives none.
    """

    values: FloatArray
    earnings: FloatArray
    tolerance: FloatArray
    bounds: FloatArray | None = None

    def check(self, features: int) -> None:
        """Raises: ValueError: there is none, or the parts do not fit together."""
        shapes = [self.values.shape, self.earnings.shape, self.tolerance.shape]
        rows = len(self.earnings) if self.earnings.ndim else 0
        if not rows or shapes != [(rows, features), (rows,), (rows,)]:
            raise ValueError(f"expected golden rows of {features} values with earnings and tolerance, found {shapes}")
        if self.bounds is not None and self.bounds.shape != (2, rows):
            raise ValueError(f"expected golden bounds of shape (2, {rows}), found {self.bounds.shape}")


@dataclass(frozen=True)
class LoadedVersion:
    """A version as scoring needs it: its name, its contract, its graph, and what it was trained on."""

    model: str
    number: int
    digest: str
    contract: Contract
    scorer: Scorer
    golden: Golden
    # The smallest and the largest value of each feature in training: float64 (k,).
    lowest: FloatArray
    highest: FloatArray
    # How features and predictions lay in training; None for a version that does not say.
    profiles: tuple[Profile, ...] | None = None
    # How wide an interval to give around a prediction; None for a version that gives none.
    interval: Interval | None = None

    def self_test(self) -> None:
        """Score the golden rows, and give their intervals.

        Raises: SelfTestError: this machine's answers are not those that the version was published with.
        """
        found = self.scorer.score(self.golden.values)
        off = np.abs(found - self.golden.earnings)
        if not (off <= self.golden.tolerance).all():
            worst = int(np.nanargmax(np.where(np.isnan(off), np.inf, off)))
            raise SelfTestError(
                f"version {self.number} of {self.model} fails its self-test: golden row {worst + 1} should earn "
                f"{self.golden.earnings[worst]:,.2f} dollars, here it gives {found[worst]:,.2f}",
                hint="Compare this machine's onnxruntime with the one in the bundle's manifest",
            )
        if self.interval is not None and self.golden.bounds is not None:
            bounds = self.interval.bounds(self.golden.earnings)
            if not np.array_equal(bounds, self.golden.bounds):
                raise SelfTestError(
                    f"version {self.number} of {self.model} fails its self-test: other bounds around its golden rows",
                    hint="Score with the release of gamesales that the bundle's manifest names",
                )


def load_version(model: str, number: int, digest: str, manifest: Mapping[str, Any], graph: bytes) -> LoadedVersion:
    """Make a version ready from its checked manifest and its checked graph.

    Raises: IntegrityError: the manifest lacks what scoring needs. SelfTestError: the graph can't be loaded.
    """
    try:
        contract = Contract.from_json(manifest["contract"])
        profile = {column["name"]: column for column in manifest["training_profile"]}
        values, earnings, tolerance = (np.array(manifest["golden"][key], np.float64) for key in _GOLDEN_KEYS)
        bounds = manifest["golden"].get("prediction_bounds")
        golden = Golden(values, earnings, tolerance, None if bounds is None else np.array(bounds, np.float64))
        golden.check(len(contract.features))
        lowest = np.array([profile[name]["minimum"] for name in contract.feature_names])
        highest = np.array([profile[name]["maximum"] for name in contract.feature_names])
        profiles = profiles_of(manifest, contract.feature_names)
        interval = Interval.from_manifest(manifest)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(
            f"the manifest of version {number} of {model} lacks what scoring needs: {error}",
            hint="Train again",
        ) from None
    scorer = Scorer(graph)
    return LoadedVersion(model, number, digest, contract, scorer, golden, lowest, highest, profiles, interval)


_GOLDEN_KEYS = ("values", "expected_predictions", "prediction_tolerance")


_MOST = float(np.finfo(np.float64).max)
_NUMBERS = ("coverage", "floor", "slope", "quantile")


@dataclass(frozen=True)
class Interval:
    """What a version's intervals are made of.

    ``coverage`` is the share of titles that they are to hold; ``floor`` is in US dollars, the other numbers have no
    unit. With ``whole_units``, bounds are rounded outwards: nobody plans by the cents of a bound, and writing them
    takes half as long.

    Raises: ValueError: no interval can be made of these numbers.
    """

    coverage: float
    floor: float
    slope: float
    quantile: float
    whole_units: bool

    def __post_init__(self) -> None:
        numbers: list[Any] = [getattr(self, name) for name in _NUMBERS]
        finite = all(type(one) in (int, float) and math.isfinite(one) for one in numbers)
        if not (finite and min(numbers) >= 0 and 0 < self.coverage < 1) or self.whole_units not in (True, False):
            raise ValueError(f"expected an interval of finite numbers from 0, coverage below 1, received {self}")

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Interval | None:
        """Read a manifest's; None for a version that gives no intervals.

        Raises: ValueError, LookupError, TypeError: it is malformed.
        """
        entry = manifest.get("interval")
        if entry is None:
            return None
        return cls(*(entry[name] for name in (*_NUMBERS, "whole_units")))

    def bounds(self, earnings: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the lower and the upper bounds of predictions: those of the interval, cut at 0 dollars.

        Each number is computed by itself, so that no row's bounds depend on what others came with it.

        Args: earnings: float64 (n,), finite.
        Returns: two of float64 (n,), US dollars, finite, not below 0, the lower one first.
        """
        least, share = (min(self.quantile * one, _MOST) for one in (self.floor, self.slope))
        with np.errstate(over="ignore"):  # what is too large for a number becomes the largest one
            half = share * np.abs(earnings)
            half += least
            low, high = earnings - half, np.add(half, earnings, out=half)
        for bound, outwards in ((low, np.floor), (high, np.ceil)):  # in place: nine times as fast as with fresh arrays
            if self.whole_units:
                outwards(bound, out=bound)
            np.clip(bound, 0.0, _MOST, out=bound)
            np.add(bound, 0.0, out=bound)  # -0 becomes 0
        return low, high

    def holds(self, earnings: FloatArray, actual: FloatArray) -> BoolArray:
        """Tell of which titles the actual earnings lie within the interval: two of (n,) to bool (n,)."""
        low, high = self.bounds(earnings)
        return np.asarray((low <= actual) & (actual <= high))
