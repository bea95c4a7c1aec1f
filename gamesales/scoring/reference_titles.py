"""The reference titles of a version: training titles with which explanations compare a title.

    reference_titles.json     {"columns": [name, …], "titles": [[value, …], …]}

They have features only, with their raw values: numbers, codes of categories, days of dates, and null for a missing
cell. The file is a file of the bundle like any other.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.categories import list_codes
from gamesales.data.contract import Column, Contract
from gamesales.errors import IntegrityError, NoReferenceTitlesError

if TYPE_CHECKING:
    from gamesales.scoring.scorer import LoadedVersion

REFERENCES_FILE = "reference_titles.json"
MOST_REFERENCES = 100


def format_references(contract: Contract, values: FloatArray) -> bytes:
    """Return the content of the file for reference titles, (r, k), a line for each."""
    rows = ([None if math.isnan(value) else value for value in row] for row in values.tolist())
    titles = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return f'{{\n "columns": {json.dumps(contract.feature_names)},\n "titles": [\n{titles}\n ]\n}}\n'.encode()


def parse_references(content: bytes, contract: Contract, location: str) -> FloatArray:
    """Parse the file of reference titles: float64 (r, k), in the order of the contract, NaN for a missing cell.

    Raises:
        IntegrityError: the file has other columns than the contract, something else than numbers, a missing cell that
            the contract does not accept, or a code that a category does not have.
    """
    names = list(contract.feature_names)
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
        values: FloatArray = np.array(document["titles"], np.float64)  # null becomes NaN
        has_columns = document["columns"] == names and values.shape == (len(values), len(names))
        if has_columns and all(map(_are_values, values.T, contract.features)):
            return values
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    raise IntegrityError(
        f"{location} has no reference titles; expected rows of numbers in the columns {', '.join(names)}",
        hint="Train again",
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _are_values(values: FloatArray, column: Column) -> bool:
    """Return whether all values (r,) are possible values of a column."""
    if column.kind == "category":
        return bool(np.isin(values, np.arange(len(list_codes(column)))).all())
    is_missing = np.isnan(values) if column.may_be_missing else False
    return bool((np.isfinite(values) | is_missing).all())


def make_no_references_error(version: LoadedVersion) -> NoReferenceTitlesError:
    """Return the error that a version has no reference titles."""
    reason, hint = "an earlier release trained it", "Train a version with this release: gamesales train"
    if version.reference_titles == 0:
        reason, hint = "its job has reference_titles = 0", "Remove this key from the job, then: gamesales train"
    return NoReferenceTitlesError(
        f"version {version.number} of {version.model} can't explain its predictions, because it has no reference "
        f"titles: {reason}",
        hint=hint,
    )
