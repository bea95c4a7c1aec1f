"""Add up the shards of a run: its report, its warnings and its duplicate ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from gamesales.errors import InputError, warn
from gamesales.scoring.column_drift import add_encoding
from gamesales.scoring.drift import Drift, measure_drift
from gamesales.scoring.duplicates import are_unique, count_duplicates, find_ids
from gamesales.scoring.explanation import ExplainedTitle
from gamesales.scoring.familiarity import OutsideColumn, OutsideEncodedColumn, describe_outside, guess_cause
from gamesales.scoring.ledger import ShardResult
from gamesales.scoring.plan import Input, Plan, RunOptions
from gamesales.scoring.run_report import DuplicatesReport, FileReport, InputReport, RunReport
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shadow import summarize
from gamesales.scoring.shard import ShardPaths, hash_shard, make_task

# A line break in a cell is unusual if no more records have one than this number, or than this share.
_FEW_RECORDS, _FEW_SHARE = 3, 0.01


def make_report(
    plan: Plan,
    version: LoadedVersion,
    results: Sequence[ShardResult],
    options: RunOptions,
    *,
    run_date: date,
    output: str,
    rejects: str,
    files: list[FileReport],
    started: datetime,
    resumed: int,
    duplicates: DuplicatesReport | None,
) -> RunReport:
    """Add up the shards of a run.

    ``results`` has all shards in order. An interrupted run had scored ``resumed`` of them. ``rejects`` is where the
    rejected rows are, if there are any.
    """
    total = ShardResult()
    for result in results:
        total.add(result)
    return RunReport(
        run_id=plan.run_id,
        run_date=run_date.isoformat(),
        model=version.model,
        model_version=version.number,
        bundle_sha256=version.digest,
        output=output,
        rejects=rejects if total.rows_rejected else None,
        rows_in=plan.rows,
        rows_scored=total.rows_scored,
        rows_rejected=total.rows_rejected,
        rows_blank=total.rows_blank,
        rows_outside_training_range=total.rows_outside_training_range,
        inputs=[
            _report_input(source, total.rejected.get(index, 0), total.blank.get(index, 0))
            for index, source in enumerate(plan.inputs)
        ],
        files=files,
        duplicate_ids=duplicates,
        drift=_compare_with_training(version, total, options.psi_threshold),
        shadow=None if options.shadow is None else summarize(total.shadow, version, options.shadow),
        shards=len(results),
        shards_resumed=resumed,
        started=started.isoformat(timespec="seconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
        rows_unfamiliar=None if version.combinations is None else total.rows_unfamiliar,
        rows_clipped=total.rows_clipped,
        rows_without_interval=total.rows_without_interval,
        outside_columns=_list_outside_columns(version, total),
        explanations=_explain_titles(plan, version, results),
    )


def _explain_titles(plan: Plan, version: LoadedVersion, results: Sequence[ShardResult]) -> list[ExplainedTitle] | None:
    """Explain the titles with the highest predictions; None if the run explains no titles, or can't explain them."""
    if not plan.explain:
        return None
    # Only a run with explanations needs these modules.
    from gamesales.scoring.explain import Explainer, explain_top_titles
    from gamesales.scoring.reference_titles import make_no_references_error
    from gamesales.scoring.top_titles import merge_top_titles

    if plan.references is None:
        warn(f"no titles are explained: {make_no_references_error(version).message}")
        return None
    return explain_top_titles(Explainer(version, plan.references), merge_top_titles(results, plan.explain))


def _list_outside_columns(version: LoadedVersion, total: ShardResult) -> list[OutsideColumn | OutsideEncodedColumn]:
    """List the features with rows outside the training range, most rows first."""
    listed: list[OutsideColumn | OutsideEncodedColumn] = []
    for column, rows, (low, high), training_low, training_high in zip(
        version.contract.features,
        total.outside_by_feature,
        total.extremes,
        version.training_min.tolist(),
        version.training_max.tolist(),
        strict=False,
    ):
        facts = (column.name, rows, low, high, training_low, training_high)
        if rows and column.kind in ("category", "date"):
            listed.append(OutsideEncodedColumn(*facts, likely_cause="", kind=column.kind))
        elif rows:
            listed.append(OutsideColumn(*facts, guess_cause((low, high), (training_low, training_high))))
    return sorted(listed, key=lambda column: -column.rows)


def warn_about_rows(report: RunReport) -> None:
    """Warn about titles unlike the training titles, about clipped predictions, and about unusual line breaks."""
    rows = f"{report.rows_scored:,}"
    if report.outside_columns:
        warn(
            f"titles outside the training range: {report.rows_outside_training_range:,} of {rows}; "
            f"{describe_outside(report.outside_columns)}"
        )
    if report.rows_without_interval:
        warn(
            "titles without a prediction interval, because they are too unlike the training titles: "
            f"{report.rows_without_interval:,} of {rows}"
        )
    if report.rows_clipped:
        warn(f"predictions clipped to the allowed range of the target: {report.rows_clipped:,} of {rows}")
    for source in report.inputs:
        multiline, records = source.multiline_records or 0, source.records or 0
        if 0 < multiline <= max(_FEW_RECORDS, _FEW_SHARE * records):
            warn(
                f"{source.name}: {multiline:,} of {records:,} records have a line break in a cell; check that no quote "
                f"joins two titles (the file has {source.lines:,} lines)"
            )


def _report_input(source: Input, rejected: int, blank: int) -> InputReport:
    counts = source.table.count_lines()
    lines = (None, None, None) if counts is None else (counts.lines, counts.records, counts.multiline)
    return InputReport(source.name, source.size, source.sha256, source.rows, rejected, blank, *lines)


def _compare_with_training(version: LoadedVersion, total: ShardResult, threshold: float) -> Drift | None:
    if version.profiles is None:
        return None
    histograms = total.histograms or [[0] * len(profile.counts) for profile in version.profiles]
    counts = [np.array(bins, np.int64) for bins in histograms]
    outside = total.outside_by_feature or [0] * len(version.contract.features)
    features = version.contract.features
    flags = {column.name for column in features if column.kind == "flag"}
    drift = measure_drift(version.profiles, counts, [*outside, None], total.rows_scored, threshold, total.sums, flags)
    units = {column.name: column.unit for column in features}
    columns = tuple(replace(column, unit=units.get(column.column, version.contract.unit)) for column in drift.columns)
    by_name = {column.name: column for column in features}
    return replace(
        drift,
        columns=tuple(
            add_encoding(column, by_name[column.column]) if column.column in by_name else column for column in columns
        ),
    )


def find_duplicates(
    plan: Plan,
    version: LoadedVersion,
    paths: Sequence[ShardPaths],
    results: Sequence[ShardResult],
    options: RunOptions,
) -> DuplicatesReport | None:
    """Count the duplicate ids of a run, from the ranges or the hashes of the ids of each shard.

    ``results`` has all shards in order, and ``paths`` has the paths of their files.

    Returns:
        The duplicates; None if the titles have no ids.

    Raises:
        InputError: there are duplicates, and ``options.unique_ids`` allows none.
    """
    if not plan.identity:
        return None
    # A shard whose file of hashes is empty has no ids.
    shards = [result for result, path in zip(results, paths, strict=True) if result.files.get(path.ids) != 0]
    if are_unique([result.id_range for result in shards]):
        return DuplicatesReport(0, 0, [])
    for shard, path, result in zip(plan.shards, paths, results, strict=True):
        if path.ids not in result.files:
            hash_shard(make_task(plan, shard.number, path), plan, version, result)
    ids, rows, hashes = count_duplicates([path.work / path.ids for path in paths])
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
