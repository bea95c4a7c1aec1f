"""The metrics page of a scoring run, in the text format of Prometheus.

The textfile collector of node_exporter reads ``*.prom`` files from a folder, and each run replaces its own file there.
An alert can test ``gamesales_score_exit_code != 0``, or that the last success is older than a day. The second alert
also fires if no run was started. The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from gamesales.data.files import replace_file
from gamesales.errors import EXIT_WITHHELD

_PREFIX = "gamesales_score_"
_LAST_SUCCESS = "last_success_timestamp_seconds"

# Key of the run's report, which is also the name of the metric -> help text.
_REPORT_METRICS = {
    "rows_in": "Titles that the last run read.",
    "rows_scored": "Titles that the last run scored.",
    "rows_rejected": "Titles that the last run rejected.",
    "rows_outside_training_range": "Scored titles with a feature outside of the training range.",
    "rows_unfamiliar": "Scored titles that are unlike the training titles.",
    "rows_clipped": "Scored titles whose prediction was moved into the allowed range.",
    "rows_without_interval": "Scored titles without a prediction interval, because they are too unlike the training.",
    "seconds": "Duration of the last run, in seconds.",
    "model_version": "Number of the version that scored.",
}


def write_metrics(
    path: Path, model: str, exit_code: int, finished: datetime, report: Mapping[str, Any] | None = None
) -> None:
    """Replace the metrics page of the previous run; a reader sees the old page or the new page, never a mixture.

    Args:
        path: the page.
        model: name of the model.
        exit_code: of the command.
        finished: time of the end of the run, with its time zone.
        report: the run's report if its result was published, also with exit code 6 because of drift.

    Raises:
        UsageError: the folder does not exist, or the path is not a file.
        TryAgainError: the page can't be written now.
    """
    previous = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    with replace_file(path) as temporary:
        temporary.write_text(render_metrics(model, exit_code, finished, report, previous), encoding="utf-8")
        temporary.chmod(0o644)  # node_exporter runs as another user, and the umask of the run may hide the page


def render_metrics(
    model: str, exit_code: int, finished: datetime, report: Mapping[str, Any] | None = None, previous: str | None = None
) -> str:
    """Render the metrics of a run in Prometheus's text format. The arguments are those of ``write_metrics``.

    A run that published nothing has only its exit code and its time, and copies the time of the last success from the
    page of the previous run.
    """
    lines = _generate_lines(model, exit_code, _format_number(finished.timestamp()), report, previous)
    return "".join(f"{line}\n" for line in lines)


def _generate_lines(
    model: str, exit_code: int, finished: str, report: Mapping[str, Any] | None, previous: str | None
) -> Iterator[str]:
    yield from _generate_metric("exit_code", "Exit code of the last run; 0 is success.", model, exit_code)
    yield from _generate_metric("last_run_timestamp_seconds", "Time when the last run ended.", model, finished)
    is_withheld = float(exit_code == EXIT_WITHHELD)
    yield from _generate_metric("withheld", "Whether the last run was withheld because of drift.", model, is_withheld)
    success = _find_last_success(previous or "", model) if report is None else finished
    if success is not None:
        yield from _generate_metric(_LAST_SUCCESS, "Time when a run last published its result.", model, success)
    if report is None:
        return
    for name, description in _REPORT_METRICS.items():
        if report.get(name) is not None:  # a version without combinations of flags has no unfamiliar rows
            yield from _generate_metric(name, description, model, report[name])
    yield from _generate_header("run_date_info", "Date that the last run scored.")
    yield _format_sample("run_date_info", 1, model=model, run_date=str(report["run_date"]))
    drift = report.get("drift")
    if drift:
        yield from _generate_header("psi", "Population stability index of a column, compared with the training titles.")
        for column in drift["columns"]:
            yield _format_sample("psi", column["psi"], model=model, column=column["column"])
    outside = report.get("outside_columns")
    if outside:
        yield from _generate_header("rows_outside_by_column", "Scored titles with a value outside the training range.")
        for column in outside:
            yield _format_sample("rows_outside_by_column", column["rows"], model=model, column=column["column"])


def _generate_metric(name: str, description: str, model: str, value: float | str) -> Iterator[str]:
    yield from _generate_header(name, description)
    yield _format_sample(name, value, model=model)


def _generate_header(name: str, description: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {description}"
    yield f"# TYPE {_PREFIX}{name} gauge"


def _format_sample(name: str, value: float | str, **labels: str) -> str:
    pairs = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    return f"{_PREFIX}{name}{{{pairs}}} {value if isinstance(value, str) else _format_number(value)}"


def _escape(text: str) -> str:
    # A lone surrogate can't be encoded as UTF-8: it would stop the page, and the alert with it.
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return plain.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _format_number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else '+'}Inf"


def _find_last_success(page: str, model: str) -> str | None:
    """Return the time of a model's last success on a page; None if the page has none."""
    sample = re.escape(f'{_PREFIX}{_LAST_SUCCESS}{{model="{_escape(model)}"}} ')
    match = re.search(rf"^{sample}(\d+(?:\.\d+)?)$", page, re.MULTILINE | re.ASCII)
    return match[1] if match else None
