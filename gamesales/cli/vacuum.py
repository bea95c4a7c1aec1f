"""The command vacuum: remove the files of a Delta table that no retained version needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from gamesales.cli.render import format_size, show_result
from gamesales.errors import UsageError
from gamesales.report.format import format_count

if TYPE_CHECKING:
    import typer

    from gamesales.cli.options import JsonOption
    from gamesales.jobs.vacuum import VacuumResult

_DAYS = re.compile(r"([0-9]{1,5})d")


def vacuum(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The folder or the URL of a Delta table of results.")],
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS",
            help="Keep all versions of the last DAYS, such as 90d; by default as the table says, 30d in a new table.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the files of a Delta table that no retained version needs.

    Examples:
        gamesales vacuum predictions --dry-run
        gamesales vacuum s3://bucket/predictions --older-than 90d
    """
    from gamesales.jobs.vacuum import vacuum as run
    from gamesales.lake.location import TableLocation
    from gamesales.scoring.output import parse_output

    days = None if older_than is None else _parse_days(older_than)
    result = run(TableLocation(str(parse_output(table))), days, dry_run=dry_run)
    show_result(result, _format_result, as_json=as_json)


def _parse_days(text: str) -> int:
    match = _DAYS.fullmatch(text)
    if not match:
        raise UsageError(f"--older-than expects a number of days, such as 30d, received {text!r}")
    return int(match[1])


def _format_result(result: VacuumResult) -> str:
    remove = "would remove" if result.dry_run else "removed"
    removed = _format_files(result.parts_removed, result.records_removed, result.bytes_removed)
    kept = _format_files(result.parts_kept, result.records_kept, result.bytes_kept)
    versions = f"versions {result.oldest_version} to {result.newest_version}"
    lines = [
        f"{remove:<13} {removed}; {format_count(result.temporary_files, 'temporary file')}",
        f"{'kept':<13} {kept} with the log",
        f"{'readable':<13} {versions}: all versions of the last {format_count(result.retention_days, 'day')}",
    ]
    return "\n".join([*lines, "nothing was changed"] if result.dry_run else lines)


def _format_files(parts: int, records: int, size: int) -> str:
    return f"{format_count(parts, 'part')} and {format_count(records, 'file')} about runs, {format_size(size)}"
