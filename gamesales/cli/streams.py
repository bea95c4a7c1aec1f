"""Titles from standard input, and predictions to standard output: ``gamesales score - --output -``.

Both pass through temporary files. A run reads its inputs more than once, and standard output gets nothing before all
rows are scored.
"""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamesales.data.files import WRITE_ERRORS, explain_write_errors
from gamesales.data.screen import SHOWN_REJECTS
from gamesales.errors import GamesalesError, TooManyRejectsError, TryAgainError, UsageError

if TYPE_CHECKING:
    from gamesales.jobs.score_job import ScoreJob

STREAM = "-"
# The names of the temporary files, as messages and reports show them.
_INPUT, _OUTPUT = "stdin.csv", "stdout.csv"
_KEEP_HINT = "to keep all of them, give --output a file"


def writes_stdout(job: ScoreJob) -> bool:
    """Return whether a job writes its result to standard output."""
    return job.output == Path(STREAM)


def check_streams(job: ScoreJob, *, as_json: bool, is_backfill: bool) -> None:
    """Check the use of ``-`` for standard input or standard output.

    Raises:
        UsageError: Standard output would have another document too, several dates share a stream, or the job withholds
            results.
    """
    if writes_stdout(job) and as_json:
        raise UsageError(
            "--output - and --json both write to standard output", hint="Leave out --json, or give --output a file"
        )
    if writes_stdout(job) and job.drift_action == "withhold":
        raise UsageError("standard output can't be withheld", hint="Give --output a file, or --on-drift warn or fail")
    if is_backfill and (writes_stdout(job) or STREAM in job.inputs):
        raise UsageError("a backfill can't read standard input or write standard output", hint="Give files")


@contextmanager
def spool_streams(job: ScoreJob) -> Iterator[ScoreJob]:
    """Replace ``-`` in a job by temporary files, which are removed at the end.

    If the body succeeds, its result is then copied to standard output.

    Raises:
        UsageError: Standard input is closed.
        TryAgainError: A temporary file or standard output can't be written.
    """
    reads, writes = STREAM in job.inputs, writes_stdout(job)
    if not reads and not writes:
        yield job
        return
    with tempfile.TemporaryDirectory(prefix="gamesales-") as name:
        folder = Path(name)
        with _hide_folder(folder):
            if reads:
                _save_stdin(folder / _INPUT)
                inputs = tuple(str(folder / _INPUT) if text == STREAM else text for text in job.inputs)
                # Standard input is complete, and has no folder with a file that says so.
                require = None if set(job.inputs) == {STREAM} else job.require
                job = replace(job, inputs=inputs, require=require)
            yield replace(job, output=folder / _OUTPUT) if writes else job
        if writes and (folder / _OUTPUT).exists():
            _copy_to_stdout(folder / _OUTPUT)


def hide_files(runs: Sequence[Any]) -> list[Any]:
    """Return reports or previews without the names of temporary files. A report has the first rejects instead."""
    hidden = []
    for run in runs:
        changes = {"output": "standard output"}
        if rejects := getattr(run, "rejects", None):
            changes["rejects"] = f"{_format_rejects(Path(rejects))}; {_KEEP_HINT}"
        hidden.append(replace(run, **changes))
    return hidden


def _format_rejects(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        first = list(itertools.islice(csv.DictReader(file), SHOWN_REJECTS))
    return "; ".join(f"{reject['file']} row {reject['row']}: {reject['reason']}" for reject in first)


def _save_stdin(path: Path) -> None:
    if sys.stdin is None:
        raise UsageError("standard input is closed; expected CSV", hint="For example: gamesales score - < titles.csv")
    with explain_write_errors(WRITE_ERRORS, path), path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)


def _copy_to_stdout(path: Path) -> None:
    """Copy the result to standard output. A reader that is gone raises BrokenPipeError."""
    try:
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TryAgainError(
            f"standard output can't be written: {os.strerror(error.errno or 0)}; what was written is incomplete",
            hint="Discard it, and run the command again",
        ) from None


@contextmanager
def _hide_folder(folder: Path) -> Iterator[None]:
    """Name temporary files without their folder in the errors of the body, because it is removed."""
    try:
        yield
    except GamesalesError as error:
        error.message = error.message.replace(f"{folder}/", "")
        if isinstance(error, TooManyRejectsError):
            error.hint = "To keep all rejects, give --output a file. To allow more: --max-rejects N or N%"
        elif isinstance(error, TryAgainError) and str(folder) in error.hint:
            error.hint = f"Free space in {folder.parent}, or set TMPDIR to another folder, and run the command again"
        else:
            error.hint = error.hint.replace(f"{folder}/", "")
        raise
