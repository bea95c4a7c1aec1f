"""Prepare files of titles: scale a training and a test file, or simulate titles.

``preprocess`` is the first step of the Keras course that this project starts from. Training scales for itself and does
not read the scaled files. They are for people who follow the course or take the scaled data elsewhere.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from gamesales.data.contract import Contract
from gamesales.data.files import replace_file
from gamesales.data.labeled_titles import LabeledTitles, read_titles
from gamesales.data.simulate import write_titles
from gamesales.data.simulate_catalog import write_catalog
from gamesales.errors import UsageError
from gamesales.training.encoding import needs_encoding
from gamesales.training.scaling import Scaling, fit_scaler, format_scaling_note

if TYPE_CHECKING:
    import pandas as pd


SimulationKind = Literal["features", "catalog"]
SIMULATION_KINDS = get_args(SimulationKind)


@dataclass(frozen=True)
class PreprocessingResult:
    """The paths of the scaled files, and a note for each column. The note of the target comes first."""

    training: str
    test: str
    notes: list[str]


def preprocess(training: Path, test: Path, contract: Contract) -> PreprocessingResult:
    """Scale a training and a test file, and write ``NAME_scaled.csv`` next to each.

    The scaler is fitted on the training file alone. It maps that file to 0..1. Test values may fall outside.
    Columns keep the order of their file. Columns that are not in the contract are left out.

    Args:
        training: a CSV or Parquet file of titles with their earnings.
        test: another file of titles.
        contract: the columns to scale.

    Raises:
        UsageError: the scaled files would overwrite each other or an input.
    """
    outputs = _output_path(training), _output_path(test)
    if (outputs[0] == outputs[1] and training != test) or not {training, test}.isdisjoint(outputs):
        raise UsageError(
            f"{training} and {test} would be scaled to {outputs[0]} and {outputs[1]}; expected four different files",
            hint="Rename one of the files",
        )
    if needs_encoding(contract) or contract.target.scale != "minmax":
        raise UsageError(
            "preprocess scales numbers to 0..1, and the contract has categories, dates, gaps or a logarithm",
            hint="Train with the unscaled files: gamesales train does all of this",
        )
    training_titles, test_titles = read_titles(training, contract), read_titles(test, contract)
    _, scaling = fit_scaler(contract, training_titles.features, training_titles.earnings)
    with ExitStack() as replacements:  # neither file appears before both are written
        for titles, output in zip((training_titles, test_titles), outputs, strict=True):
            path = replacements.enter_context(replace_file(output))
            _scale_table(titles, scaling).to_csv(path, index=False)
    return PreprocessingResult(str(outputs[0]), str(outputs[1]), _format_notes(scaling))


def _output_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_scaled.csv")


def _scale_table(titles: LabeledTitles, scaling: Scaling) -> pd.DataFrame:
    import pandas as pd

    from gamesales.data.open_table import open_table

    values: Any = np.column_stack([scaling.scale_features(titles.features), scaling.scale_target(titles.earnings)])
    frame = pd.DataFrame(values, columns=[*scaling.features, scaling.target])
    return frame[[name for name in open_table(titles.path).schema.names if name in frame.columns]]


def _format_notes(scaling: Scaling) -> list[str]:
    names = [*scaling.features, scaling.target]
    notes = [format_scaling_note(*column) for column in zip(names, scaling.scale, scaling.offset, strict=True)]
    return [notes[-1], *notes[:-1]]


@dataclass(frozen=True)
class SimulationResult:
    """The file that was written."""

    output: str
    rows: int
    seed: int


def simulate(
    output: Path,
    rows: int,
    *,
    seed: int,
    kind: SimulationKind = "features",
    ids: bool = False,
    earnings: bool = True,
    continuous: bool = False,
) -> SimulationResult:
    """Write simulated titles to a CSV or Parquet file.

    ``gamesales.data.simulate`` and ``gamesales.data.simulate_catalog`` describe the distributions.

    Args:
        output: the file to write.
        rows: the number of titles.
        seed: the seed of the random numbers.
        ids: whether to write the columns that identify a title.
        earnings: whether to write the target.
        kind: ``features`` for the nine features, or ``catalog`` for a store's catalog, which always has ids.
        continuous: whether prices and ratings take any value, instead of a few.

    Raises:
        UsageError: the kind is unknown, or a catalog should be continuous.
    """
    if kind not in SIMULATION_KINDS:
        raise UsageError(f"the kind of a simulation is {' or '.join(SIMULATION_KINDS)}, received {kind!r}")
    if kind == "catalog":
        if continuous:
            raise UsageError("a catalog has its own prices and scores; expected no --continuous")
        write_catalog(output, rows, seed=seed, with_target=earnings)
        return SimulationResult(str(output), rows, seed)
    write_titles(output, rows, seed=seed, with_identity=ids, with_target=earnings, continuous=continuous)
    return SimulationResult(str(output), rows, seed)
