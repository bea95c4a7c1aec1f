"""Read the job file of a scoring job, ``jobs/score.toml``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from gamesales.data.job_file import read_job_file
from gamesales.errors import UsageError
from gamesales.jobs.score_job import (
    DriftLimit,
    ScoreJob,
    check_output,
    check_placeholders,
    check_required_file,
    find_time_zone,
)
from gamesales.registry.refs import DEFAULT_REGISTRY, check_model, parse_ref
from gamesales.scoring.output import parse_output

_PATH_KEYS = {
    "inputs": None,
    "output": None,
    "metrics_file": None,
    "lineage": None,
    "require_signature": None,
    "registry": DEFAULT_REGISTRY,
}
# Fields of ``ScoreJob`` that are not keys of a job file.
_NO_KEYS = ("as_of_date", "fresh", "requires_explanations")


def read_score_job(path: Path) -> ScoreJob:
    """Read a job file.

    Raises:
        JobFileError: A key is missing, unknown or wrong. The message names every such key.
    """
    document = read_job_file(path, _PATH_KEYS)
    try:
        return build_plain_job(document)
    except (ValueError, TypeError, UsageError):
        from gamesales.jobs.score_job_schema import validate_score_job  # Pydantic takes longer than scoring a file

        return validate_score_job(path, document)


def build_plain_job(document: Mapping[str, Any]) -> ScoreJob:
    """Build a job from a file whose values have exactly the types of its fields, without Pydantic.

    Raises:
        ValueError, TypeError, UsageError: Pydantic must check the file. It may be right.
    """
    job = ScoreJob(**_convert_values(ScoreJob, document))
    for text in job.inputs:
        check_placeholders(text)
    for path in (job.output, job.metrics_file, job.require_signature):
        if path is not None:
            check_output(path)
    if job.require is not None:
        check_required_file(job.require)
    if job.shadow is not None:
        parse_ref(job.shadow)
    check_model(job.name)
    parse_ref(job.model)
    find_time_zone(job.timezone)
    return job


def _convert_values(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    types = {field.name: field.type for field in fields(kind) if field.name not in _NO_KEYS}
    return {name: _convert(value, types.get(name, "").removesuffix(" | None")) for name, value in document.items()}


def _convert(value: Any, kind: str) -> Any:
    """Convert a value to the type of its field."""
    if kind == "bool" and type(value) is bool:
        return value
    if kind == "int" and type(value) is int and value >= 1:
        return value
    if kind == "float" and type(value) is float and 0 < value < math.inf:
        return value
    if kind == "Path | str" and isinstance(value, str) and value:
        return parse_output(value)
    if kind in ("str", "DriftAction", "EngineName", "OutputFormat", "Path") and isinstance(value, str) and value:
        return Path(value) if kind == "Path" else value
    if (
        kind == "tuple[str, ...]"
        and isinstance(value, list)
        and value
        and all(type(text) is str and text for text in value)
    ):
        return tuple(value)
    if kind == "DriftLimit" and isinstance(value, dict):
        return DriftLimit(**_convert_values(DriftLimit, value))
    raise ValueError
