"""The report of a run: ``_run.json`` next to the result, and the document of ``gamesales score --json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gamesales.errors import InputError
from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.scoring.drift import ColumnDrift, Drift, measure_drift
from gamesales.scoring.duplicates import count_duplicates, find_ids
from gamesales.scoring.ledger import ShardResult
from gamesales.scoring.output import Output, OutputPaths
from gamesales.scoring.plan import Plan, RunOptions
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shadow import FeatureDifferences, RowLocation, ShadowDifferences, ShadowReport, summarize

T = TypeVar("T")


@dataclass(frozen=True)
class InputReport:
    """One input file: size in bytes, digest, rows read and rows rejected."""

    name: str
    size: int
    sha256: str
    rows: int
    rejected: int


@dataclass(frozen=True)
class FileReport:
    """One file with scored rows, and its size in bytes."""

    name: str
    size: int


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
class RunReport:
    """What a run did. The field names are the keys of ``_run.json``.

    Attributes:
        run_id: the identity of the run, 64 hex digits.
        run_date: the date of the run, YYYY-MM-DD.
        bundle_sha256: the digest of the bundle of the version that scored.
        output: the path of the result.
        rejects: the path of the rejected rows; None without rejects.
        rows_outside_training_range: scored rows with a feature outside its range in training.
        files: the files with scored rows.
        duplicate_ids: None if the titles have no ids.
        drift: None for a version without profiles.
        shadow: the comparison with a second version; None without a second version.
        shards_resumed: the shards that an interrupted run had scored.
        started: when the run began, in UTC.
        already_done: whether an earlier run had published this result.
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


def make_report(
    plan: Plan,
    version: LoadedVersion,
    target: OutputPaths,
    results: Sequence[ShardResult],
    files: Sequence[Path],
    started: datetime,
    options: RunOptions,
    resumed: int,
    duplicates: DuplicatesReport | None,
) -> RunReport:
    """Add up the shards of a run.

    ``results`` has all shards in order. An interrupted run had scored ``resumed`` of them.
    """
    total = ShardResult()
    for result in results:
        total.add(result)
    return RunReport(
        run_id=plan.run_id,
        run_date=target.run_date.isoformat(),
        model=version.model,
        model_version=version.number,
        bundle_sha256=version.digest,
        output=str(target.visible),
        rejects=str(target.rejects) if total.rows_rejected else None,
        rows_in=plan.rows,
        rows_scored=total.rows_scored,
        rows_rejected=total.rows_rejected,
        rows_outside_training_range=total.rows_outside_training_range,
        inputs=[
            InputReport(source.name, source.size, source.sha256, source.rows, total.rejected.get(index, 0))
            for index, source in enumerate(plan.inputs)
        ],
        files=[FileReport(target.path.name if target.is_file else path.name, path.stat().st_size) for path in files],
        duplicate_ids=duplicates,
        drift=_compare_with_training(version, total, options.psi_threshold),
        shadow=None if options.shadow is None else summarize(total.shadow, version, options.shadow),
        shards=len(results),
        shards_resumed=resumed,
        started=started.isoformat(timespec="seconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
    )


def _compare_with_training(version: LoadedVersion, total: ShardResult, threshold: float) -> Drift | None:
    if version.profiles is None:
        return None
    histograms = total.histograms or [[0] * len(profile.counts) for profile in version.profiles]
    counts = [np.array(bins, np.int64) for bins in histograms]
    outside = total.outside_by_feature or [0] * len(version.contract.features)
    return measure_drift(version.profiles, counts, [*outside, None], total.rows_scored, threshold)


def find_duplicates(plan: Plan, output: Output, options: RunOptions) -> DuplicatesReport | None:
    """Count the duplicate ids of a run, from the hashes that the shards wrote.

    Returns:
        The duplicates; None if the titles have no ids.

    Raises:
        InputError: there are duplicates, and ``options.unique_ids`` allows none.
    """
    if not plan.identity:
        return None
    paths = [output.paths_of(shard.number) for shard in plan.shards]
    ids, rows, hashes = count_duplicates([shard.work / shard.ids for shard in paths])
    examples = _read_examples(plan, hashes)
    if ids and options.unique_ids:
        raise InputError(
            f"expected unique ids, found duplicate ids: {ids:,}, with extra rows: {rows:,} "
            f"({', '.join(examples)}); nothing was published",
            hint="Fix the inputs, or leave out --unique-ids",
        )
    return DuplicatesReport(ids, rows, examples)


def _read_examples(plan: Plan, hashes: Sequence[int]) -> list[str]:
    """Read the inputs again until the ids with these hashes are found."""
    ids: dict[str, None] = {}
    for source in plan.inputs if hashes else ():
        with source.require_unchanged():
            for batch in source.table.read_batches(plan.identity):
                ids |= dict.fromkeys(find_ids([batch.table.column(name) for name in plan.identity], hashes))
                if len(ids) >= len(hashes):
                    return list(ids)
    return list(ids)


def format_report(report: RunReport) -> str:
    """Return the content of ``_run.json``."""
    return json.dumps(add_old_keys(asdict(report)), indent=1, ensure_ascii=False) + "\n"


def read_report(target: OutputPaths) -> RunReport | None:
    """Read the report of the published result.

    Returns:
        The report; None if there is no result, a file of the result is missing, or the report can't be read.
    """
    try:
        report = _parse_report(drop_old_keys(json.loads(target.report.read_bytes())))
        folder = target.path.parent if target.is_file else target.visible
        complete = all((folder / file.name).stat().st_size == file.size for file in report.files)
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return report if complete else None


def _parse_report(document: Mapping[str, Any]) -> RunReport:
    """Rebuild a report. Keys that this release does not know are ignored; an absent section is None."""
    duplicates, drift, shadow = (document.get(key) for key in ("duplicate_ids", "drift", "shadow"))
    return _build(
        RunReport,
        {
            **document,
            "inputs": [_build(InputReport, entry) for entry in document["inputs"]],
            "files": [_build(FileReport, entry) for entry in document["files"]],
            "duplicate_ids": None if duplicates is None else _build(DuplicatesReport, duplicates),
            "drift": None if drift is None else _parse_drift(drift),
            "shadow": None if shadow is None else _parse_shadow(shadow),
        },
    )


def _parse_drift(document: Mapping[str, Any]) -> Drift:
    columns = tuple(_build(ColumnDrift, entry) for entry in document["columns"])
    return _build(Drift, {**document, "columns": columns, "drifted": tuple(document["drifted"])})


def _parse_shadow(document: Mapping[str, Any]) -> ShadowDifferences | ShadowReport:
    if "by_feature" not in document:
        return _build(ShadowReport, document)
    location = document["largest_difference_at"]
    features = [_build(FeatureDifferences, entry) for entry in document["by_feature"]]
    location = None if location is None else _build(RowLocation, location)
    return _build(ShadowDifferences, {**document, "largest_difference_at": location, "by_feature": features})


def _build(kind: type[T], document: Mapping[str, Any]) -> T:
    """Make a dataclass from the keys of a document that are its fields."""
    names = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in document.items() if name in names})
