"""The course's first step: fit a MinMaxScaler on the training file, scale both files, say what was done.

Training does not need these files; it scales for itself. They are for people who follow the course, or who take the
scaled data elsewhere.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.data.contract import Contract
from gamesales.data.files import replacing
from gamesales.data.labeled_titles import Titles, read_titles
from gamesales.data.simulate import write_titles
from gamesales.errors import UsageError
from gamesales.training.scaling import Scaling, fit_scaler, scaling_note

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

    Raises: UsageError: the scaled files would overwrite each other or what was given.
    """
    places = _scaled_place(training), _scaled_place(test)
    if (places[0] == places[1] and training != test) or not {training, test}.isdisjoint(places):
        raise UsageError(
            f"{training} and {test} would become {places[0]} and {places[1]}; expected files of their own",
            hint="Rename one of the files",
        )
    past, held_back = read_titles(training, contract), read_titles(test, contract)
    _, scaling = fit_scaler(contract.feature_names, contract.target.name, past.features, past.earnings)
    with ExitStack() as both:  # neither appears before both are written
        for titles, place in zip((past, held_back), places, strict=True):
            _scaled_frame(titles, scaling).to_csv(both.enter_context(replacing(place)), index=False)
    return Preprocessed(str(places[0]), str(places[1]), _notes(scaling))


def _scaled_place(path: Path) -> Path:
    return path.with_name(f"{path.stem}_scaled.csv")


def _scaled_frame(titles: Titles, scaling: Scaling) -> pd.DataFrame:
    import pandas as pd

    from gamesales.data.open_table import open_table

    values: Any = np.column_stack([scaling.scale_features(titles.features), scaling.scale_target(titles.earnings)])
    frame = pd.DataFrame(values, columns=[*scaling.features, scaling.target])
    return frame[[name for name in open_table(titles.path).schema.names if name in frame.columns]]


def _notes(scaling: Scaling) -> list[str]:
    names = [*scaling.features, scaling.target]
    notes = [scaling_note(*numbers) for numbers in zip(names, scaling.scale, scaling.offset, strict=True)]
    return [notes[-1], *notes[:-1]]


@dataclass(frozen=True)
class Simulated:
    """The file that was written."""

    output: str
    rows: int
    seed: int


def simulate(
    output: Path, rows: int, *, seed: int, ids: bool = False, earnings: bool = True, continuous: bool = False
) -> Simulated:
    """Write simulated titles to a CSV or Parquet file; see ``gamesales.data.simulate`` for how they are drawn."""
    write_titles(output, rows, seed=seed, with_identity=ids, with_target=earnings, continuous=continuous)
    return Simulated(str(output), rows, seed)
