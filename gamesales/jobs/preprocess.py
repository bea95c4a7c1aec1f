"""The course's first step: fit a MinMaxScaler on the training file, scale both files, say what was done.

Training does not need these files; it scales for itself. They are for people who follow the course, or who take the
scaled data elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.data.atomic import replacing
from gamesales.data.contract import Contract
from gamesales.jobs.titles import Titles, read_titles
from gamesales.model.scaling import Scaling, fit_scaler, scaling_note

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Preprocessed:
    """The files that were written, and the note for each column, the target's first."""

    training: str
    test: str
    notes: list[str]


def preprocess(training: Path, test: Path, contract: Contract) -> Preprocessed:
    """Scale a training and a test file to 0..1 and write ``…_scaled.csv`` beside each.

    The scaler learns from the training file alone, so values of the test file may fall outside 0..1. Columns keep
    the order of their file; those that the contract does not know are left out.
    """
    past, held_back = read_titles(training, contract), read_titles(test, contract)
    _, scaling = fit_scaler(contract.feature_names, contract.target.name, past.features, past.earnings_usd)
    written = [_write_scaled(titles, scaling) for titles in (past, held_back)]
    return Preprocessed(str(written[0]), str(written[1]), _notes(scaling))


def _write_scaled(titles: Titles, scaling: Scaling) -> Path:
    place = titles.path.with_name(f"{titles.path.stem}_scaled.csv")
    frame = _scaled_frame(titles, scaling)
    with replacing(place) as temporary:
        frame.to_csv(temporary, index=False)
    return place


def _scaled_frame(titles: Titles, scaling: Scaling) -> pd.DataFrame:
    import pandas as pd

    from gamesales.data.tables import open_table

    values: Any = np.column_stack([scaling.scale_features(titles.features), scaling.scale_target(titles.earnings_usd)])
    frame = pd.DataFrame(values, columns=[*scaling.features, scaling.target])
    return frame[[name for name in open_table(titles.path).schema.names if name in frame.columns]]


def _notes(scaling: Scaling) -> list[str]:
    names = [*scaling.features, scaling.target]
    notes = [scaling_note(*numbers) for numbers in zip(names, scaling.scale, scaling.offset, strict=True)]
    return [notes[-1], *notes[:-1]]
