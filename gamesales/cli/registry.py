"""The commands versions, show, verify and gc: the versions of a registry and their files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from gamesales.cli.render import OPTIONAL_METRICS, format_metrics_table, show_result, show_text
from gamesales.cli.table import format_table
from gamesales.cli.terminal import paint, to_one_line
from gamesales.cli.values import NAME, REGISTRY, parse_as_of
from gamesales.jobs.history import show as run_show
from gamesales.jobs.loading import open_ref, open_registry
from gamesales.jobs.retention import Retention, collect_garbage
from gamesales.jobs.versions import ORDERS, VersionFilter, list_versions, parse_condition
from gamesales.jobs.versions import verify as run_verify
from gamesales.registry.event import parse_span
from gamesales.registry.refs import format_command
from gamesales.report.format import format_count, format_minute
from gamesales.stats.amounts import amounts_in, unit_of
from gamesales.stats.metrics import HEADINGS, format_metrics

if TYPE_CHECKING:
    import typer

    from gamesales.cli.completion import complete_aliases, complete_choices, complete_refs
    from gamesales.cli.options import (
        AsOfOption,
        JsonOption,
        LimitOption,
        NameOption,
        RefArgument,
        RegistryOption,
        SinceOption,
        UntilOption,
    )
    from gamesales.jobs.history import VersionDetails
    from gamesales.jobs.retention import CollectionResult
    from gamesales.jobs.versions import VerificationResult, VersionList, VersionRow

_DEFAULT_RETENTION = Retention()
# Columns of the list that a narrow screen leaves out, the least important first.
_OPTIONAL = ("scaled MSE", "RMSE", "by", "R2", "MAPE", "registered", "reason")


def versions(
    alias: Annotated[
        str | None,
        typer.Option(
            "--alias", metavar="NAME", help="Only the version that this alias names.", autocompletion=complete_aliases
        ),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="ACTOR", help="Only versions that this person registered.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", metavar="CONDITION", help="Only versions with metrics like this: 'mae<5000'; repeatable."
        ),
    ] = None,
    retired: Annotated[bool, typer.Option("--retired", help="List retired versions too.")] = False,
    order: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            help=f"Sort newest or best first, by {', '.join(ORDERS)}.",
            autocompletion=complete_choices(*ORDERS),
        ),
    ] = "version",
    is_reversed: Annotated[bool, typer.Option("--reverse", help="Reverse the order: oldest or worst first.")] = False,
    limit: LimitOption = None,
    as_of: AsOfOption = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """List the versions in use, newest first, with their metrics on the same file.

    Examples:
        gamesales versions --sort mae --limit 5
        gamesales versions --where 'mae<5000' --retired
    """
    first, last = parse_span(since, until)
    version_filter = VersionFilter(
        alias=alias,
        since=first,
        until=last,
        actor=by,
        retired=retired,
        where=tuple(map(parse_condition, where or [])),
        order=order,
        is_reversed=is_reversed,
        limit=limit,
        as_of=parse_as_of(as_of),
    )
    listed = list_versions(open_registry(registry, name), version_filter)
    show_result(listed, lambda listed: _format_versions(listed, version_filter), as_json=as_json)


def _format_versions(listed: VersionList, version_filter: VersionFilter) -> str:
    model = f"{listed.model} in {listed.registry}"
    every = format_command("versions --retired", listed.registry, listed.model)
    if listed.versions:
        header = ["version", "aliases", "registered", "by", *HEADINGS, "reason"]
        rows = [_format_row(row) for row in listed.versions]
        with amounts_in(unit_of(listed.versions[0])):  # aligns its amounts
            table = format_table(header, rows, optional=_OPTIONAL, states={"aliases"})
        file = f"metrics on {listed.data}, sha256 {listed.data_sha256[:12]}" if listed.data_sha256 else "no metrics yet"
        text = f"{to_one_line(file)}\n{table}"
    elif not listed.registered:
        text = f"no version of {model} at that time. See all: {every}"
    else:
        text = f"no version of {model} matches. See all: {every}"
    return "\n\n".join([text, *_make_notes(listed, version_filter)])


def _format_row(row: VersionRow) -> list[str]:
    marks = [*row.aliases, *(["(retired)"] if row.retired else [])]
    return [
        str(row.version),
        ", ".join(marks) or "-",
        format_minute(row.registered),
        row.actor,
        *format_metrics(row.listed_metrics or {}, row),
        row.reason,
    ]


def _make_notes(listed: VersionList, version_filter: VersionFilter) -> list[str]:
    notes = []
    elsewhere = [str(row.version) for row in listed.versions if row.metrics and row.listed_metrics is None]
    if elsewhere:
        data = shlex.quote(listed.data or "FILE")
        evaluate = format_command(f"evaluate {elsewhere[0]} --data {data}", listed.registry, listed.model)
        notes.append(to_one_line(f"evaluated on other files only: {', '.join(elsewhere)}. To compare: {evaluate}"))
    backtests = [f"{row.version} on {row.backtest}" for row in listed.versions if row.backtest]
    if backtests:
        show = format_command("show N", listed.registry, listed.model)
        notes.append(to_one_line(f"backtests, not in the table: {'; '.join(backtests)}. Their metrics: {show}"))
    if listed.retired_left_out and version_filter.alias is None:
        notes.append(f"{listed.retired_left_out:,} retired, not listed without --retired")
    return notes


def show(
    ref: RefArgument,
    as_of: AsOfOption = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Show one version in full.

    Examples:
        gamesales show champion
        gamesales show 4 --as-of 2026-11-01
    """
    details = run_show(*open_ref(registry, ref, name), parse_as_of(as_of))
    show_result(details, _format_details, as_json=as_json)


def _format_details(details: VersionDetails) -> str:
    aliases = "".join(f", {paint(to_one_line(alias))}" for alias in details.aliases)
    as_of = f" (as of {_format_second(details.as_of)})" if details.as_of else ""
    first = f"version {details.version} of {details.model}{aliases}{as_of}"
    sections = ["\n".join([first, *map(to_one_line, _list_details(details))])]
    if details.warnings:
        sections.append("\n".join(f"{paint('warning:')} {to_one_line(text)}" for text in details.warnings))
    if details.evaluations:
        sections.append(_format_evaluations(details))
    if details.manifest is not None:
        version = f"version {details.version}"
        metrics = {version: details.manifest.get("metrics", {}), **details.manifest.get("baselines", {})}
        sections.append(format_metrics_table(metrics))
    return "\n\n".join(sections)


def _list_details(details: VersionDetails) -> list[str]:
    retired = details.retired
    return [
        f"registered  {_format_origin(details.registered, details.actor, details.reason)}",
        *([f"copied      {_format_copy(details.origin)}"] if details.origin else []),
        *([f"retired     {_format_origin(retired.time, retired.actor, retired.reason)}"] if retired else []),
        *(_format_span(span.alias, span.since, span.until) for span in details.spans),
        *([f"weights     the same as version {details.same_weights_as}"] if details.same_weights_as else []),
        f"bundle      {details.bundle}" + (" (removed)" if details.manifest is None else ""),
        f"digest      {details.digest}",
        *([] if details.manifest is None else _format_manifest(details.manifest)),
    ]


def _format_origin(time: str, actor: str, reason: str) -> str:
    return f"{format_minute(time)} UTC by {actor}" + (f": {reason}" if reason else "")


def _format_copy(origin: Mapping[str, Any]) -> str:
    first = _format_origin(str(origin.get("time")), str(origin.get("actor")), str(origin.get("reason") or ""))
    return f"from version {origin.get('version')} in {origin.get('registry')}, registered {first}"


def _format_span(alias: str, since: str, until: str | None) -> str:
    end = f" to {_format_second(until)}" if until else ", until now"
    return f"{alias:<11} from {_format_second(since)}{end}"


def _format_second(time: str) -> str:
    """Shorten a time of the log to the second, because an alias can move several times in a minute."""
    return f"{time[:10]} {time[11:19]} UTC"


def _format_manifest(manifest: Mapping[str, Any]) -> list[str]:
    return [
        *(
            f"{role:<11} {data['path']}, {format_count(data['rows'], 'row')}, sha256 {data['sha256'][:12]}"
            for role, data in manifest.get("data", {}).items()
        ),
        f"git commit  {manifest.get('git_commit') or '-'}",
        f"software    {', '.join(f'{key} {value}' for key, value in manifest.get('software', {}).items()) or '-'}",
    ]


def _format_evaluations(details: VersionDetails) -> str:
    rows = [
        [
            format_minute(evaluation["time"]),
            evaluation["data"],
            f"{evaluation['rows']:,}",
            evaluation["kind"],
            evaluation["data_sha256"][:12],
            *format_metrics(evaluation["metrics"]),
        ]
        for evaluation in details.evaluations
    ]
    header = ["evaluated", "on", "rows", "kind", "sha256", *HEADINGS]
    return format_table(header, rows, optional=("sha256", *OPTIONAL_METRICS, "kind", "rows", "evaluated"))


def verify(
    ref: Annotated[
        str | None,
        typer.Argument(metavar="REF", help="One version; all versions by default.", autocompletion=complete_refs),
    ] = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Check every event of the log and every file of the bundles against their digests.

    Examples:
        gamesales verify
        gamesales verify 4
    """
    opened, parsed = open_ref(registry, ref, name) if ref else (open_registry(registry, name), None)
    show_result(run_verify(opened, parsed), _format_verification, as_json=as_json)


def _format_verification(result: VerificationResult) -> str:
    events, files = format_count(result.events, "event"), format_count(result.files, "file")
    return f"{result.model} in {result.registry} is sound: {events}, {files} checked"


def gc(
    newest: Annotated[
        int, typer.Option("--keep-newest", min=0, metavar="N", help="Keep the N newest versions.")
    ] = _DEFAULT_RETENTION.newest,
    alias_days: Annotated[
        int,
        typer.Option(
            "--keep-days", min=0, metavar="DAYS", help="Keep versions that an alias named in the last DAYS days."
        ),
    ] = _DEFAULT_RETENTION.alias_days,
    orphan_days: Annotated[
        int,
        typer.Option("--orphan-days", min=1, metavar="DAYS", help="Remove files that no event names, after DAYS days."),
    ] = _DEFAULT_RETENTION.orphan_days,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal; with --json, gc never asks.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Retire versions that are no longer needed, and remove their files; their history stays.

    Examples:
        gamesales gc --dry-run
        gamesales gc --keep-newest 5 --keep-days 90
    """
    retention = Retention(newest, alias_days, orphan_days)
    asks = not (yes or as_json) and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    result = collect_garbage(
        open_registry(registry, name),
        retention,
        dry_run=dry_run,
        confirm=_confirm if asks else lambda preview: True,
    )
    is_declined = result.dry_run and not dry_run
    show_result(
        result, lambda result: "nothing was changed" if is_declined else _format_collection(result), as_json=as_json
    )


def _confirm(preview: CollectionResult) -> bool:
    """List the garbage and ask whether to remove it, if there is any."""
    if not (preview.versions or preview.bundles or preview.temporary_files):
        return True
    # Not typer.confirm, which writes to stdout too.
    show_text(lambda: _list_garbage(preview), sys.stderr)
    print("Remove them for good? [y/N]: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _format_collection(result: CollectionResult) -> str:
    return f"{_list_garbage(result)}\nnothing was changed" if result.dry_run else _list_garbage(result)


def _list_garbage(result: CollectionResult) -> str:
    versions = ", ".join(map(str, result.versions)) or "none"
    files, temporary = format_count(result.files, "file"), format_count(result.temporary_files, "temporary file")
    retire, remove = ("would retire", "would remove") if result.dry_run else ("retired", "removed")
    return "\n".join(
        [
            f"{retire:<13} {versions}",
            *(f"{remove:<13} {folder}" for folder in result.bundles),
            f"{remove:<13} {files} of bundles and {temporary}",
        ]
    )
