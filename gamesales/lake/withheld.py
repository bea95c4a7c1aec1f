"""Withhold a complete run because of drift, and release it.

    _gamesales/withheld/run_date=2026-11-23/<time>-<run8>.json      the report of the run, and what it replaces

All files of a withheld run are in the table's store, but no transaction names them. The newest run of a date that was
withheld can be released until another run of the date is published.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa

from gamesales.errors import InputError
from gamesales.lake.keys import withheld_folder
from gamesales.old_keys import drop_old_keys
from gamesales.scoring.run_report import RunReport, format_report, parse_report
from gamesales.storage.store import Store


@dataclass(frozen=True)
class WithheldTableRun:
    """A complete run that is not published.

    Attributes:
        report: its report.
        attempt: the number of its attempt, which names its files.
        replaces: the number of the transaction that was published for its date when it began; None if there was none.
        passthrough: the columns that it copied from its inputs.
    """

    report: RunReport
    attempt: int
    replaces: int | None
    passthrough: pa.Schema


def write_withheld(store: Store, day: date, run: WithheldTableRun) -> None:
    """Mark a run as withheld. All of its files are in the store before the mark is."""
    content = {
        "report": json.loads(format_report(run.report)),
        "attempt": run.attempt,
        "replaces": run.replaces,
        "passthrough": base64.b64encode(run.passthrough.serialize().to_pybytes()).decode(),
    }
    time = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    store.create(
        f"{withheld_folder(day)}/{time}-{run.report.run_id[:8]}-{secrets.token_hex(4)}.json",
        json.dumps(content).encode(),
    )


def find_withheld(store: Store, day: date, published: int | None) -> WithheldTableRun | None:
    """Find the newest withheld run of a date, unless another run was published after it.

    Args:
        store: the files of the table.
        day: the date.
        published: the number of the transaction that published the date; None if nothing is published.

    Raises:
        InputError: the mark can't be read.
    """
    run = read_withheld(store, day)
    return run if run is not None and run.replaces == published else None


def read_withheld(store: Store, day: date) -> WithheldTableRun | None:
    """Read the newest mark of a date; None if no run of the date was withheld.

    Raises:
        InputError: the mark can't be read.
    """
    marks = store.list(withheld_folder(day))
    if not marks:
        return None
    try:
        document = json.loads(store.read(marks[-1]))
        passthrough = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(document["passthrough"])))
        report = parse_report(drop_old_keys(document["report"]))
        return WithheldTableRun(report, document["attempt"], document["replaces"], passthrough)
    except (ValueError, TypeError, LookupError, AttributeError, pa.ArrowException) as error:
        raise InputError(
            f"{store.location}{marks[-1]} can't be read: {error}", hint="Score the date again with --fresh"
        ) from None
