"""Check that the inputs of the nightly scoring job have the columns that a candidate needs. No row is read.

A candidate may need a column that the inputs do not have. Without this check, the first run after the promotion fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from gamesales.data.contract import Contract
from gamesales.data.files import escape_surrogates
from gamesales.data.screen import find_column_faults
from gamesales.errors import GamesalesError, InputNotFoundError
from gamesales.jobs.score import JOB_FILE
from gamesales.jobs.score_job import DATE, ScoreJob, get_today
from gamesales.registry.gate import INPUTS_FIT, Finding
from gamesales.registry.refs import CHAMPION
from gamesales.report.format import format_count
from gamesales.scoring.folders import IncompleteInputError
from gamesales.scoring.inputs import find_files
from gamesales.scoring.listing import InputFile, InputRules
from gamesales.scoring.output import OutputPaths

# The newest inputs are at most this old. Older inputs say little about the next run.
_MAX_AGE_DAYS = 366


@dataclass(frozen=True)
class InputCheck:
    """The result of the check.

    Attributes:
        job: the job file.
        date: the date of the inputs. None if the job reads the same inputs for every date.
        files: the number of files.
        finding: for the gate. None if the check can't decide.
        warning: why it can't. Empty if it can.
    """

    job: str
    date: str | None = None
    files: int = 0
    finding: Finding | None = None
    warning: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of the check in the evidence."""
        return {"job": self.job, "date": self.date, "files": self.files}


def check_job_inputs(
    model: str, candidate: Contract, champion: Contract | None, job_file: Path = JOB_FILE
) -> InputCheck | None:
    """Compare the columns of the newest inputs of the scoring job with two contracts.

    Args:
        model: the model that is promoted.
        candidate: the contract of the candidate.
        champion: the contract of the champion. None if there is no champion.
        job_file: the job file.

    Returns:
        The result. None if there is no job file, or the job does not score with the champion of the model.
    """
    if not job_file.is_file():
        return None
    try:
        job = _read_job(job_file)
        if (job.ref.model, job.ref.alias) != (model, CHAMPION):
            return None
        day, files = find_newest_inputs(job)
        schemas = {file.name: file.open(job.table_format).schema for file in files}
    except GamesalesError as error:
        return InputCheck(str(job_file), warning=f"the inputs of {job_file} could not be checked: {error}")
    check = InputCheck(str(job_file), None if day is None else day.isoformat(), len(files))
    faults = _find_faults(schemas, candidate)
    if not faults:
        text = f"{format_count(len(files), 'input file')} of {job_file}, with all columns"
        return replace(check, finding=Finding(INPUTS_FIT, True, text))
    shown = escape_surrogates(faults[0]) + (f"; and {len(faults) - 1:,} more" if len(faults) > 1 else "")
    if champion is None or _find_faults(schemas, champion):
        return replace(check, warning=f"the inputs of {job_file} do not fit: {shown}")
    remedy = f"Add the columns to the inputs, or name them in [columns] of {job_file}"
    return replace(check, finding=Finding(INPUTS_FIT, False, shown, remedy))


def find_newest_inputs(job: ScoreJob) -> tuple[date | None, list[InputFile]]:
    """Find the newest existing inputs of a job.

    Returns:
        The date of the inputs, None if the job reads the same inputs for every date; and its files.

    Raises:
        InputError: there are none, or they can't be used.
        TryAgainError: a writer has not finished, or a store does not answer.
    """
    today = get_today(job.timezone)
    if not any(DATE.search(text) for text in job.inputs):
        return None, _find_files(job, today)
    for age in range(_MAX_AGE_DAYS):
        day = today - timedelta(age)
        with suppress(InputNotFoundError, IncompleteInputError):  # with a required file, a missing folder is incomplete
            return day, _find_files(job, day)
    raise InputNotFoundError(f"there are no complete inputs of the last {_MAX_AGE_DAYS} days")


def _find_files(job: ScoreJob, day: date) -> list[InputFile]:
    rules = InputRules(job.exclude, job.resolve_required_file(day), outputs=_list_outputs(job, day))
    return find_files(job.resolve_inputs(day), rules)


def _find_faults(schemas: Mapping[str, pa.Schema], contract: Contract) -> list[str]:
    return [fault for name, schema in schemas.items() for fault in find_column_faults(name, schema, contract.features)]


def _read_job(job_file: Path) -> ScoreJob:
    from gamesales.jobs.score_job_file import read_score_job

    return read_score_job(job_file)


def _list_outputs(job: ScoreJob, day: date) -> Sequence[Path | str]:
    """Return what runs of the job write."""
    if isinstance(job.output, str) or job.writes_table:
        return [job.output]
    return OutputPaths(job.output, day).all
