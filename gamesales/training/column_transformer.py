"""The encoding of columns as transformers of scikit-learn, for people: the content of ``scaler.joblib``.

    scaler = joblib.load("scaler.joblib")
    inputs = scaler["features"].transform(frame)               # a pandas frame of raw columns, to float64 (n, w)
    earnings = scaler["target"].inverse_transform(outputs)     # (n, 1), from the network behind the encoder

Reading raw cells is screening's own code, so a pickle needs gamesales. The other steps are classes of scikit-learn and
functions of NumPy. Nothing in gamesales opens the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray
from gamesales.data.categories import MISSING, encode_categories, list_codes
from gamesales.data.contract import Column, Contract
from gamesales.data.dates import split_dates
from gamesales.data.in_memory import select_features
from gamesales.data.screen import read_numbers
from gamesales.data.table import Batch
from gamesales.training.encoding import ColumnEncoding, Encoding
from gamesales.training.scaling import LogScale, Scaling

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

_MONTHS, _WEEKDAYS = 12, 7


def make_transformers(contract: Contract, encoding: Encoding | None, scaling: Scaling) -> dict[str, Any]:
    """Make fitted transformers.

    Args:
        contract: the k columns, with the values of their categories.
        encoding: the encoding of the columns; None if they are only scaled.
        scaling: the scaling of the columns and the target.

    Returns:
        ``features``, a ColumnTransformer from a pandas frame of raw columns to the inputs of the network behind its
        encoder, float64 (n, w). ``target``, a Pipeline for the target, (n, 1).
    """
    encoding = encoding or tuple(
        ColumnEncoding(name, "number", float(scale), float(offset))
        for name, scale, offset in zip(scaling.features, scaling.scale, scaling.offset, strict=False)
    )
    return {"features": _make_features(contract, encoding), "target": _make_target(scaling)}


def _make_features(contract: Contract, encoding: Encoding) -> ColumnTransformer:
    from sklearn.compose import ColumnTransformer

    parts: list[tuple[str, Any, list[str]]] = []
    pairs = list(zip(contract.features, encoding, strict=True))
    numbers = [pair for pair in pairs if pair[1].kind != "category"]
    # In the order of the encoder's outputs: numbers, indicators, categories, months and weekdays.
    for column, encoded in numbers:
        parts.append((f"number {column.name}", _make_number(contract, column, encoded), [column.name]))
    for column, encoded in numbers:
        if encoded.has_indicator:
            parts.append((f"missing {column.name}", _make_indicator(contract, column), [column.name]))
    for column, encoded in pairs:
        if encoded.kind == "category":
            parts.append((f"category {column.name}", _make_category(contract, column, encoded), [column.name]))
    for column, encoded in pairs:
        if encoded.kind == "date":
            parts.append((f"date {column.name}", _make_date(contract, column, encoded), [column.name]))
    transformer = ColumnTransformer(
        [(name, _freeze(part), columns) for name, part, columns in parts], sparse_threshold=0
    )
    return transformer.fit(_make_example(contract))


def _freeze(part: Any) -> Any:
    """Keep a transformer from being fitted again when the ColumnTransformer is."""
    from sklearn.frozen import FrozenEstimator

    return FrozenEstimator(part)


def _make_example(contract: Contract) -> Any:
    """Return a frame of a title, with which the ColumnTransformer learns the names of its columns."""
    import pandas as pd

    return pd.DataFrame({column.name: [_get_example(column)] for column in contract.features})


def _get_example(column: Column) -> str:
    if column.kind == "category":
        return list_codes(column)[-1]
    return date(1970, 1, 1).strftime(column.date_format or "%Y-%m-%d") if column.kind == "date" else "1"


def _make_number(contract: Contract, column: Column, encoded: ColumnEncoding) -> Any:
    """A number becomes itself, scaled, and its pieces. Piece j is 0 up to the edge j and 1 from the edge j + 1."""
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

    low = -encoded.offset / encoded.scale
    scaled = MinMaxScaler().fit([[low], [low + 1 / encoded.scale]])
    reader = [_make_reader(contract, column), _make_imputer(encoded)]
    if not encoded.pieces:
        return make_pipeline(*reader, scaled)
    edges = np.array(encoded.edges)
    repeat = FunctionTransformer(np.repeat, kw_args={"repeats": encoded.pieces, "axis": 1})
    pieces = make_pipeline(repeat, MinMaxScaler(clip=True).fit(np.stack([edges[:-1], edges[1:]])))
    return make_pipeline(*reader, make_union(scaled, pieces))


def _make_imputer(encoded: ColumnEncoding) -> Any:
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(strategy="constant", fill_value=encoded.fill, keep_empty_features=True)
    return imputer.fit(np.array([[0.0], [np.nan]]))


def _make_indicator(contract: Contract, column: Column) -> Any:
    from sklearn.impute import MissingIndicator
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        _make_reader(contract, column), MissingIndicator(features="all").fit(np.array([[0.0], [np.nan]]))
    )


def _make_category(contract: Contract, column: Column, encoded: ColumnEncoding) -> Any:
    """Text becomes its place in the vocabulary, -1 for another text, and then indicators."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

    has_gaps = column.missing == "category"
    texts = list_codes(column)[1:-1] if has_gaps else list_codes(column)[1:]
    vocabulary: list[Any] = [*texts, np.nan] if has_gaps else texts or [""]
    words = np.array(vocabulary, object)
    places = OrdinalEncoder(
        categories=[words],
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        encoded_missing_value=len(texts) if has_gaps else -1,
    ).fit(words[:, None])
    arguments = {"values": tuple(texts), "missing_values": contract.missing_values}
    codes = np.arange(encoded.first_code, encoded.first_code + encoded.codes, dtype=np.float64) - 1
    indicators = OneHotEncoder(categories=[codes], handle_unknown="ignore", sparse_output=False).fit(codes[:, None])
    return make_pipeline(FunctionTransformer(clean_texts, kw_args=arguments), places, indicators)


def _make_date(contract: Contract, column: Column, encoded: ColumnEncoding) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    parts = [np.arange(_MONTHS, dtype=np.float64), np.arange(_WEEKDAYS, dtype=np.float64)]
    indicators = OneHotEncoder(categories=parts, handle_unknown="ignore", sparse_output=False)
    indicators.fit(np.zeros((1, 2)))
    reader = _make_reader(contract, column), _make_imputer(encoded)
    return make_pipeline(*reader, FunctionTransformer(take_date_parts), indicators)


def _make_reader(contract: Contract, column: Column) -> Any:
    from sklearn.preprocessing import FunctionTransformer

    arguments = {"column": column.as_json(), "missing_values": contract.missing_values}
    return FunctionTransformer(read_cells, kw_args=arguments)


def _make_target(scaling: Scaling) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

    low = -scaling.offset[-1] / scaling.scale[-1]
    scaled = MinMaxScaler().fit([[low], [low + 1 / scaling.scale[-1]]])
    if scaling.log is None:
        return make_pipeline(scaled)
    log: LogScale = scaling.log
    return make_pipeline(FunctionTransformer(log.apply, inverse_func=log.invert), scaled)


# The functions that a pickle names. They keep their names and arguments.


def read_cells(frame: Any, column: Mapping[str, Any], missing_values: Sequence[str]) -> FloatArray:
    """Read a column of a frame as screening does: float64 (n, 1), exact in float32; NaN for a missing cell."""
    contract_column = Column(**column)
    table = select_features(frame, _as_contract(contract_column))
    batch = Batch(table, np.arange(1, table.num_rows + 1))
    ((numbers, missing),) = read_numbers(batch, [contract_column], missing_values)
    values = np.where(missing, np.nan, numbers.astype(np.float32))
    return values.astype(np.float64)[:, None]


def clean_texts(frame: Any, values: Sequence[str], missing_values: Sequence[str]) -> npt.NDArray[np.object_]:
    """Return the texts of a category as the vocabulary has them: objects (n, 1), NaN for a missing cell."""
    name = frame.columns[0]
    column = Column(name, "category", values=tuple(values), unseen="other")
    cells = select_features(frame, _as_contract(column)).column(0)
    codes, missing = encode_categories(cells, column, missing_values)
    words = np.array([None, *values], object)
    texts = words[np.where(codes == MISSING, 0, codes)]
    texts[missing] = np.nan
    return texts[:, None]


def take_date_parts(days: FloatArray) -> FloatArray:
    """Return the month, 0 to 11, and the weekday, 0 for Monday, of days since 1970-01-01: (n, 1) to (n, 2)."""
    return split_dates(np.floor(days[:, 0])).astype(np.float64)


def _as_contract(column: Column) -> Contract:
    """Return a contract of one feature."""
    return Contract(target=Column("target" if column.name != "target" else "other", "number"), features=(column,))
