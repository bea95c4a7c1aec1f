"""The reference titles of a version: training titles with which explanations compare a title.

    reference_titles.json     {"columns": [name, …], "titles": [[value, …], …]}

They have features only, with their raw values. The file is a file of the bundle like any other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.errors import IntegrityError, NoReferenceTitlesError

if TYPE_CHECKING:
    from gamesales.scoring.scorer import LoadedVersion

REFERENCES_FILE = "reference_titles.json"
MOST_REFERENCES = 100


def format_references(contract: Contract, values: FloatArray) -> bytes:
    """Return the content of the file for reference titles, (r, k), a line for each."""
    titles = ",\n".join(f"  {json.dumps(row)}" for row in values.tolist())
    return f'{{\n "columns": {json.dumps(contract.feature_names)},\n "titles": [\n{titles}\n ]\n}}\n'.encode()


def parse_references(content: bytes, contract: Contract, location: str) -> FloatArray:
    """Parse the file of reference titles: float64 (r, k), in the order of the contract.

    Raises:
        IntegrityError: the file has other columns than the contract, or something else than numbers.
    """
    names = list(contract.feature_names)
    try:
        document = json.loads(content)
        values: FloatArray = np.array(document["titles"], np.float64)
        if document["columns"] == names and values.shape == (len(values), len(names)) and np.isfinite(values).all():
            return values
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    raise IntegrityError(
        f"{location} has no reference titles; expected rows of numbers in the columns {', '.join(names)}",
        hint="Train again",
    )


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
