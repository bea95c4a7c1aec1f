"""The report or the preview of a scoring run as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from gamesales.cli.render import format_size
from gamesales.cli.table import format_table
from gamesales.cli.terminal import paint
from gamesales.jobs.score import RunPreview
from gamesales.report.format import format_count
from gamesales.scoring.column_drift import ColumnDrift
from gamesales.scoring.familiarity import OutsideColumn
from gamesales.scoring.output import is_table, parse_output
from gamesales.scoring.run_report import RunReport
from gamesales.scoring.shadow import ShadowDifferences, ShadowReport
from gamesales.stats.amounts import amounts_in, format_amount

# Inputs that a preview lists.
_SHOWN_INPUTS = 20


def format_run(item: RunReport | RunPreview) -> str:
    """Describe what a run did, or what it would do."""
    if not isinstance(item, RunReport):
        return _format_preview(item)
    with amounts_in(item.unit):
        return _format_report(item)


def _format_report(report: RunReport) -> str:
    lines = []
    if report.already_done and not report.is_withheld:
        lines.append(f"{report.run_date} is already done: same version, same inputs. To score again: --fresh")
    if report.already_done and report.is_withheld:
        lines.append(f"{report.run_date} is already scored, by the same version from the same inputs, and withheld")
    if report.release:
        lines.append(f"released by {report.release.actor}: {report.release.reason}")
    scored = f"{report.rows_scored:,} of {format_count(report.rows_in, 'title')} scored"
    resumed = (
        f", {report.shards_resumed} of {format_count(report.shards, 'shard')} resumed" if report.shards_resumed else ""
    )
    lines.append(f"{scored} by version {report.model_version} in {report.seconds:.2f} s{resumed}")
    if report.rows_blank:
        lines.append(f"{format_count(report.rows_blank, 'blank row')} skipped")
    if report.rows_rejected:
        lines.append(f"{report.rows_rejected:,} {paint('rejected')}, with reasons: {report.rejects}")
    if report.rows_outside_training_range:
        lines.append(f"{report.rows_outside_training_range:,} outside the range of the training titles (flagged)")
    if report.outside_columns:
        lines.append(f"\n{_format_outside(report.outside_columns)}\n")
    if report.rows_unfamiliar:
        lines.append(f"{report.rows_unfamiliar:,} unlike the training titles (flagged as unfamiliar)")
    if report.rows_without_interval:
        lines.append(f"{report.rows_without_interval:,} without a prediction interval")
    if report.rows_clipped:
        lines.append(f"{format_count(report.rows_clipped, 'prediction')} clipped to the allowed range of the target")
    if report.duplicate_ids and report.duplicate_ids.ids:
        duplicates = report.duplicate_ids
        examples = ", ".join(duplicates.examples)
        ids, rows = format_count(duplicates.ids, "duplicate id"), format_count(duplicates.rows, "extra row")
        lines.append(f"{ids}, {rows}: {examples}")
    if report.drift and report.drift.drifted:
        lines += [f"drift in {', '.join(report.drift.drifted)}\n", _format_drift(report.drift.columns) + "\n"]
        lines += [column.change for column in report.drift.columns if column.drifted and column.change]
    if report.shadow:
        lines.append(_format_shadow(report.shadow))
    if report.explanations:
        from gamesales.cli.explanation_text import format_top_titles

        lines.append(f"\n{format_top_titles(report.explanations)}\n")
    written = f"{paint('withheld')} because of drift; not written" if report.is_withheld else "written"
    date = f", run_date={report.run_date}" if is_table(parse_output(report.output)) else ""
    return "\n".join([*lines, f"{written} to {report.output}{date}"])


def _format_outside(columns: Sequence[OutsideColumn]) -> str:
    """Lay out the features outside their training range, a line for each."""
    rows = [
        [
            column.column,
            f"{column.rows:,}",
            column.write_values(),
            column.write_training_values(),
            column.likely_cause,
        ]
        for column in columns
    ]
    return format_table(["column", "outside", "tonight", "in training", "likely cause"], rows)


def _format_drift(columns: Sequence[ColumnDrift]) -> str:
    """Lay out drift, a line for each column."""
    rows = [
        [
            column.column,
            f"{column.psi:.3f}",
            f"{column.psi_by_chance:.3f}",
            f"{column.limit:.3f}",
            "-" if column.share_outside is None else f"{column.share_outside:.1%}",
            "drifted" if column.drifted else "",
        ]
        for column in columns
    ]
    header = ["column", "PSI", "by chance", "limit", "outside", ""]
    return format_table(header, rows, optional=("by chance", "outside"), states={""})


def _format_shadow(shadow: ShadowReport) -> str:
    """Write in a line how the predictions of the shadow differ. The report has the details."""
    version = f"shadow: version {shadow.model_version}"
    if not isinstance(shadow, ShadowDifferences):
        return f"{version} scored no title"
    mean, absolute = shadow.mean_difference, shadow.mean_absolute_difference
    direction = "higher" if mean >= 0 else "lower"
    beyond = ", ".join(f"{share:.1%} of titles by more than {by}" for by, share in shadow.share_beyond.items())
    missing = f"; {format_count(shadow.rows_not_scored, 'title')} not scored" if shadow.rows_not_scored else ""
    return (
        f"{version} predicts {format_amount(abs(mean))} {direction} on average; "
        f"mean absolute difference {format_amount(absolute)}; "
        f"{beyond}{missing}"
    )


def _format_preview(preview: RunPreview) -> str:
    rows, files = format_count(preview.rows, "row"), format_count(len(preview.inputs), "file")
    first = f"{preview.run_date}: {rows} in {files}, by version {preview.model_version}"
    if preview.is_withheld:
        return (
            f"{first}\nalready scored, and withheld because of drift; nothing would be written to {preview.output}\n"
            f"to publish it: --release {preview.run_date} --reason TEXT"
        )
    if preview.already_done:
        return f"{first}\nalready done; nothing would be written to {preview.output}"
    inputs = [
        f"  {file['name']}  {format_count(file['rows'], 'row')}, {format_size(file['size'])}" for file in preview.inputs
    ]
    resumed = f", {preview.shards_resumed} of them resumed" if preview.shards_resumed else ""
    passthrough = ", ".join(preview.passthrough_columns) or "none"
    lines = [
        first,
        *inputs[:_SHOWN_INPUTS],
        *(["  …"] if len(inputs) > _SHOWN_INPUTS else []),
        f"in {format_count(preview.shards, 'shard')}{resumed}; columns copied from the inputs: {passthrough}",
    ]
    if preview.estimated_seconds is not None:
        lines.append(f"about {preview.estimated_seconds:.1f} s, to {preview.output}")
    return "\n".join(lines)
