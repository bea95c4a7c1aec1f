"""What a scoring run did, as a page of metrics that Prometheus collects.

node_exporter's textfile collector reads ``*.prom`` files from a folder; each run replaces its own file there. An alert
can then ask for ``gamesales_score_exit_code != 0``, or whether the last success is older than a day: the second also
rings when no run began at all. The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gamesales.data.files import replacing

_PREFIX = "gamesales_score_"
_LAST_SUCCESS = "last_success_timestamp_seconds"

# What a run's report holds under the same names.
_OF_THE_REPORT = {
    "rows_in": "Titles that the last run read.",
    "rows_scored": "Titles that the last run scored.",
    "rows_rejected": "Titles that the last run rejected.",
    "rows_outside_training_range": "Scored titles with a feature outside of what the version was trained on.",
    "seconds": "How long the last run took, in seconds.",
    "model_version": "The number of the version that scored.",
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        model: the model's name.
        exit_code: what the command ended with.
        finished: when, with its time zone.
        report: the run's report if its result was published (even if drift made the exit code 6), else None.
        psi: the population stability index of each column, unitless.
    """

    model: str
    exit_code: int
    finished: datetime
    report: Mapping[str, Any] | None = None
    psi: Mapping[str, float] = field(default_factory=dict)


def write(path: Path, outcome: Outcome) -> None:
    """Put the page of a run in the place of the page of the run before; a reader sees one of them whole.

    Raises: UsageError: the folder does not exist, or the path is no file. TryAgainError: it can't be written now.
    """
    previous = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    with replacing(path) as temporary:
        temporary.write_text(render(outcome, previous), encoding="utf-8")
        temporary.chmod(0o644)  # node_exporter is another user, whatever the umask of the night


def render(outcome: Outcome, previous: str | None = None) -> str:
    """Return a run's metrics in Prometheus's text format.

    Args:
        outcome: how the run ended; of one that published nothing, no more is told than its exit code and its time.
        previous: the page that this one replaces; where the run published nothing, the time of the last success is
            taken over from it.
    """
    return "".join(f"{line}\n" for line in _lines(outcome, previous))


def _lines(outcome: Outcome, previous: str | None) -> Iterator[str]:
    model, finished = outcome.model, _number(outcome.finished.timestamp())
    yield from _metric("exit_code", "What the last run ended with; 0 is done.", model, outcome.exit_code)
    yield from _metric("last_run_timestamp_seconds", "When the last run ended.", model, finished)
    success = _last_success(previous or "", model) if outcome.report is None else finished
    if success is not None:
        yield from _metric(_LAST_SUCCESS, "When a run last published its result.", model, success)
    if outcome.report is None:
        return
    for name, told in _OF_THE_REPORT.items():
        yield from _metric(name, told, model, outcome.report[name])
    yield from _head("run_date_info", "The date that the last run was for.")
    yield _sample("run_date_info", 1, model=model, run_date=str(outcome.report["run_date"]))
    if outcome.psi:
        yield from _head("psi", "Population stability index of a column against the titles of training.")
        yield from (_sample("psi", value, model=model, column=column) for column, value in outcome.psi.items())


def _metric(name: str, told: str, model: str, value: float | str) -> Iterator[str]:
    yield from _head(name, told)
    yield _sample(name, value, model=model)


def _head(name: str, told: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {told}"
    yield f"# TYPE {_PREFIX}{name} gauge"


def _sample(name: str, value: float | str, **labels: str) -> str:
    inside = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    return f"{_PREFIX}{name}{{{inside}}} {value if isinstance(value, str) else _number(value)}"


def _escape(text: str) -> str:
    # What no UTF-8 can hold would stop the page, and with it the alert.
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return plain.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else '+'}Inf"


def _last_success(page: str, model: str) -> str | None:
    """Return the time of a model's last success as a page tells it, None if it does not."""
    sample = re.escape(f'{_PREFIX}{_LAST_SUCCESS}{{model="{_escape(model)}"}} ')
    found = re.search(rf"^{sample}(\d+(?:\.\d+)?)$", page, re.MULTILINE | re.ASCII)
    return found[1] if found else None
