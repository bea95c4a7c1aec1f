"""The report of a run: ``_run.json`` next to the result, and the document of ``gamesales score --json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.scoring.column_drift import ColumnDrift, EncodedColumnDrift
from gamesales.scoring.drift import Drift
from gamesales.scoring.explanation import ColumnEffect, ExplainedTitle, Explanation
from gamesales.scoring.familiarity import OutsideColumn, OutsideEncodedColumn
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.parts import UNFINISHED
from gamesales.scoring.shadow import FeatureDifferences, RowLocation, ShadowDifferences, ShadowReport
from gamesales.stats.amounts import DOLLARS

T = TypeVar("T")


@dataclass(frozen=True)
class InputReport:
    """One input file.

    Attributes:
        size: in bytes.
        rows: the rows read, ``rejected`` and ``blank`` rows included.
        blank: rows whose cells are all empty. They are skipped.
        lines: the lines of a CSV file, with its header and empty lines. None for another file.
        records: the records of a CSV file, with its header.
        multiline_records: the records of a CSV file with a line break in a cell.
    """

    name: str
    size: int
    sha256: str
    rows: int
    rejected: int
    blank: int = 0
    lines: int | None = None
    records: int | None = None
    multiline_records: int | None = None


@dataclass(frozen=True)
class FileReport:
    """One file with scored rows, and its size in bytes."""

    name: str
    size: int


def report_files(target: OutputPaths, files: Sequence[Path]) -> list[FileReport]:
    """Report the files of a complete result that is not published yet."""
    return [
        FileReport(target.path.name if target.is_file else path.name.removesuffix(UNFINISHED), path.stat().st_size)
        for path in files
    ]


@dataclass(frozen=True)
class DuplicatesReport:
    """Duplicate ids of a run.

    Attributes:
        ids: how many ids have more than one row.
        rows: how many rows follow the first row of their id.
        examples: a few of the ids.
    """

    ids: int
    rows: int
    examples: list[str]


@dataclass(frozen=True)
class Release:
    """How a withheld run was published: by whom, when in UTC, and why."""

    actor: str
    time: str
    reason: str


@dataclass(frozen=True)
class RunReport:
    """What a run did. The field names are the keys of ``_run.json``.

    Attributes:
        run_id: the identity of the run, 64 hex digits.
        run_date: the date of the run, YYYY-MM-DD.
        bundle_sha256: the digest of the bundle of the version that scored.
        output: the path of the result.
        rejects: the path of the rejected rows; None without rejects.
        rows_in: the rows read: ``rows_scored`` + ``rows_rejected`` + ``rows_blank``.
        rows_blank: rows whose cells are all empty, as spreadsheets write them.
        rows_outside_training_range: scored rows with a feature outside its range in training.
        files: the files with scored rows.
        duplicate_ids: None if the titles have no ids.
        drift: None for a version without profiles.
        shadow: the comparison with a second version; None without a second version.
        shards_resumed: the shards that an interrupted run had scored.
        started: when the run began, in UTC.
        already_done: whether an earlier run had published this result.
        warnings: problems that did not stop the run. Those that arise while the result is published are not in its
            ``_run.json``.
        rows_unfamiliar: scored rows that are unlike the training titles; None for a version whose results have no
            column ``unfamiliar``.
        rows_clipped: scored rows whose prediction was moved into the target's allowed range.
        rows_without_interval: scored rows whose prediction interval is not known, so that its bounds are null.
        outside_columns: the features with rows outside the training range, most rows first.
        is_withheld: whether the result was not published because of drift.
        release: how a withheld run was published; None for any other run.
        explanations: the titles with the highest predictions, highest first, with their explanations; None if the run
            explains no titles.
    """

    run_id: str
    run_date: str
    model: str
    model_version: int
    bundle_sha256: str
    output: str
    rejects: str | None
    rows_in: int
    rows_scored: int
    rows_rejected: int
    rows_outside_training_range: int
    inputs: list[InputReport]
    files: list[FileReport]
    duplicate_ids: DuplicatesReport | None
    drift: Drift | None
    shadow: ShadowDifferences | ShadowReport | None
    shards: int
    shards_resumed: int
    started: str
    seconds: float
    already_done: bool = False
    warnings: list[str] = field(default_factory=list)
    rows_blank: int = 0
    rows_unfamiliar: int | None = None
    rows_clipped: int = 0
    rows_without_interval: int = 0
    outside_columns: list[OutsideColumn | OutsideEncodedColumn] = field(default_factory=list)
    is_withheld: bool = False
    release: Release | None = None
    explanations: list[ExplainedTitle] | None = None

    @property
    def unit(self) -> str:
        """The unit of the predictions. It is dollars in the report of an earlier release."""
        predictions = [column for column in self.drift.columns if column.share_outside is None] if self.drift else []
        return next((column.unit for column in predictions if column.unit or column.counts), DOLLARS)

    def __repr__(self) -> str:
        counts = f"{self.rows_scored:,} of {self.rows_in:,} rows scored by version {self.model_version}"
        notes = ["withheld"] * self.is_withheld + ["already done"] * self.already_done
        return f"RunReport({', '.join([f'{self.run_date}: {counts}', f'{self.rows_rejected:,} rejected', *notes])})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_facts

        facts: dict[str, object] = {
            "model": f"{self.model}, version {self.model_version}",
            "rows read": self.rows_in,
            "rows scored": self.rows_scored,
            "rows rejected": self.rows_rejected,
            "outside the training range": self.rows_outside_training_range,
            "drifted columns": list(self.drift.drifted) if self.drift else None,
            "warnings": self.warnings,
            "output": self.output,
            "rejects": self.rejects,
        }
        state = "withheld" if self.is_withheld else "published"
        return make_facts(f"run of {self.run_date}, {state}", facts)


def format_report(report: RunReport) -> str:
    """Return the content of ``_run.json``."""
    return json.dumps(add_old_keys(asdict(report)), indent=1, ensure_ascii=False) + "\n"


def read_report(target: OutputPaths) -> RunReport | None:
    """Read the report of the published result.

    Returns:
        The report; None if there is no result, a file of the result is missing, or the report can't be read.
    """
    try:
        report = parse_report(drop_old_keys(json.loads(target.report.read_bytes())))
        folder = target.path.parent if target.is_file else target.visible
        complete = all((folder / file.name).stat().st_size == file.size for file in report.files)
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return report if complete else None


def parse_report(document: Mapping[str, Any]) -> RunReport:
    """Rebuild a report. Keys that this release does not know are ignored; an absent section is None.

    Raises:
        ValueError: its date is no date.
        LookupError: a key is missing.
        TypeError: a section has another form.
        AttributeError: the same.
    """
    date.fromisoformat(document["run_date"])  # it is part of paths
    duplicates, drift, shadow, release = (document.get(key) for key in ("duplicate_ids", "drift", "shadow", "release"))
    explanations = document.get("explanations")
    return _build(
        RunReport,
        {
            **document,
            "inputs": [_build(InputReport, entry) for entry in document["inputs"]],
            "files": [_build(FileReport, entry) for entry in document["files"]],
            "duplicate_ids": None if duplicates is None else _build(DuplicatesReport, duplicates),
            "drift": None if drift is None else _parse_drift(drift),
            "shadow": None if shadow is None else _parse_shadow(shadow),
            "outside_columns": [
                _build(OutsideEncodedColumn if "kind" in entry else OutsideColumn, entry)
                for entry in document.get("outside_columns", ())
            ],
            "release": None if release is None else _build(Release, release),
            "explanations": None if explanations is None else list(map(_parse_explained, explanations)),
        },
    )


def _parse_drift(document: Mapping[str, Any]) -> Drift:
    columns = tuple(
        _build(EncodedColumnDrift if "kind" in entry else ColumnDrift, entry) for entry in document["columns"]
    )
    return _build(Drift, {**document, "columns": columns, "drifted": tuple(document["drifted"])})


def _parse_shadow(document: Mapping[str, Any]) -> ShadowDifferences | ShadowReport:
    if "by_feature" not in document:
        return _build(ShadowReport, document)
    location = document["largest_difference_at"]
    features = [_build(FeatureDifferences, entry) for entry in document["by_feature"]]
    location = None if location is None else _build(RowLocation, location)
    return _build(ShadowDifferences, {**document, "largest_difference_at": location, "by_feature": features})


def _parse_explained(document: Mapping[str, Any]) -> ExplainedTitle:
    explanation = document["explanation"]
    effects = [_build(ColumnEffect, effect) for effect in explanation["effects"]]
    return _build(ExplainedTitle, {**document, "explanation": _build(Explanation, {**explanation, "effects": effects})})


def _build(kind: type[T], document: Mapping[str, Any]) -> T:
    """Make a dataclass from the keys of a document that are its fields."""
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]  # ``fields`` makes a tuple in every call
    return kind(**{name: value for name, value in document.items() if name in names})
