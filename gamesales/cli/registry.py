"""versions, show, verify: what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gamesales.cli.options import (
    NAME,
    REGISTRY,
    AsOfOption,
    JsonOption,
    LimitOption,
    NameOption,
    RefArgument,
    RegistryOption,
    SinceOption,
    UntilOption,
    parse_as_of,
    parse_span,
)
from gamesales.cli.render import metric_cells, metrics_table, moment, one_line, show_json, table
from gamesales.jobs import versions as listing
from gamesales.jobs import versions as showing
from gamesales.jobs.loading import open_registry
from gamesales.jobs.retention import Collected, collect
from gamesales.jobs.versions import FIGURES, parse_condition
from gamesales.registry.refs import parse_ref
from gamesales.registry.retention import Retention

_HEADER = ["version", "aliases", "registered", "by", "scaled MSE", "MAE", "RMSE", "R2", "MAPE", "reason"]


def versions(
    alias: Annotated[str | None, typer.Option("--alias", metavar="NAME", help="Only the one that it names.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    by: Annotated[str | None, typer.Option("--by", metavar="ACTOR", help="Only what this person registered.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="CONDITION", help="Only where it holds: 'mae<5000'; may be repeated."),
    ] = None,
    retired: Annotated[bool, typer.Option("--retired", help="Those that were retired, too.")] = False,
    order: Annotated[
        str, typer.Option("--sort", metavar="COLUMN", help=f"Newest or best first, by {', '.join(listing.ORDERS)}.")
    ] = "version",
    is_reversed: Annotated[bool, typer.Option("--reverse", help="Oldest or worst first.")] = False,
    limit: LimitOption = None,
    as_of: AsOfOption = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """List the versions that are in use, newest first, with their latest evaluation."""
    first, last = parse_span(since, until)
    wanted = listing.Wanted(
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
    listed = listing.list_versions(open_registry(registry, name), wanted)
    if as_json:
        show_json(listed)
        return
    if listed.versions:
        print(table(_HEADER, [_version_cells(row) for row in listed.versions]))
    elif not listed.registered:
        print(f"no version of {name} in {listed.registry} yet. Train one: gamesales train")
    else:
        print(f"no version of {name} in {listed.registry} is one of these. See all: gamesales versions --retired")
    for remark in _remarks(listed, wanted):
        print(f"\n{remark}")


def _remarks(listed: listing.Versions, wanted: listing.Wanted) -> list[str]:
    remarks = []
    files = len({row.data_sha256 for row in listed.versions} - {None})
    if files > 1 and (wanted.order in FIGURES or wanted.where):
        remarks.append(f"These figures are of {files} different files of titles. To be sure: gamesales compare A B")
    if listed.retired_left_out and wanted.alias is None:
        remarks.append(f"{listed.retired_left_out:,} retired, not listed without --retired")
    return remarks


def _version_cells(row: listing.VersionRow) -> list[str]:
    marks = [*row.aliases, *(["(retired)"] if row.retired else [])]
    return [
        str(row.version),
        ", ".join(marks) or "-",
        moment(row.registered),
        row.actor,
        *metric_cells(row.metrics or {}),
        row.reason,
    ]


def show(
    ref: RefArgument,
    as_of: AsOfOption = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Tell all about one version; of an alias, the version that it names or named then."""
    parsed = parse_ref(ref, name)
    shown = showing.show(open_registry(registry, parsed.model), parsed, parse_as_of(as_of))
    if as_json:
        show_json(shown)
        return
    for line in _lines(shown):
        print(one_line(line))
    if shown.evaluations:
        print("\n" + _evaluations_table(shown))
    if shown.manifest is not None:
        metrics = {f"version {shown.version}": shown.manifest.get("metrics", {}), **shown.manifest.get("baselines", {})}
        print("\n" + metrics_table(metrics))


def _lines(shown: showing.Shown) -> list[str]:
    then = f" (as of {_moment(shown.as_of)})" if shown.as_of else ""
    named = f", {', '.join(shown.aliases)}" if shown.aliases else ""
    retired = shown.retired
    return [
        f"version {shown.version} of {shown.model}{named}{then}",
        f"registered  {_who(shown.registered, shown.actor, shown.reason)}",
        *([f"retired     {_who(retired.time, retired.actor, retired.reason)}"] if retired else []),
        *(_span_words(each.alias, each.since, each.until) for each in shown.spans),
        f"bundle      {shown.bundle}" + (" (removed)" if shown.manifest is None else ""),
        f"digest      {shown.digest}",
        *([] if shown.manifest is None else _manifest_lines(shown.manifest)),
    ]


def _manifest_lines(manifest: Mapping[str, Any]) -> list[str]:
    return [
        *(
            f"{role:<11} {data['path']}, {data['rows']:,} rows, sha256 {data['sha256'][:12]}"
            for role, data in manifest.get("data", {}).items()
        ),
        f"git commit  {manifest.get('git_commit') or '-'}",
        f"software    {', '.join(f'{key} {value}' for key, value in manifest.get('software', {}).items())}",
    ]


def _who(time: str, actor: str, reason: str) -> str:
    return f"{moment(time)} UTC by {actor}" + (f": {reason}" if reason else "")


def _span_words(alias: str, since: str, until: str | None) -> str:
    return f"{alias:<11} from {_moment(since)}" + (f" to {_moment(until)}" if until else ", until now")


def _moment(time: str) -> str:
    """Shorten a time of the log to the second, in which much can happen to an alias."""
    return f"{time[:10]} {time[11:19]} UTC"


def _evaluations_table(shown: showing.Shown) -> str:
    header = ["evaluated", "on", "rows", "sha256", "scaled MSE", "MAE", "RMSE", "R2", "MAPE"]
    rows = [
        [
            moment(each["time"]),
            each["data"],
            f"{each['rows']:,}",
            each["data_sha256"][:12],
            *metric_cells(each["metrics"]),
        ]
        for each in shown.evaluations
    ]
    return table(header, rows)


def verify(
    ref: Annotated[str | None, typer.Argument(metavar="REF", help="One version; without it, all of them.")] = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Check every event of the log and every file of the bundles against the digests that name them."""
    parsed = parse_ref(ref, name) if ref else None
    checked = listing.verify(open_registry(registry, parsed.model if parsed else name), parsed)
    if as_json:
        show_json(checked)
    else:
        counted = f"{checked.events:,} events, {checked.files:,} files checked"
        print(f"{checked.model} in {checked.registry} is sound: {counted}")


_KEPT = Retention()


def gc(
    newest: Annotated[
        int, typer.Option("--keep-newest", min=0, metavar="N", help="Keep so many of the newest versions.")
    ] = _KEPT.newest,
    held_days: Annotated[
        int, typer.Option("--keep-days", min=0, metavar="DAYS", help="Keep what an alias named in the last days.")
    ] = _KEPT.held_days,
    orphan_days: Annotated[
        int,
        typer.Option("--orphan-days", min=1, metavar="DAYS", help="Remove what no event names from this age on."),
    ] = _KEPT.orphan_days,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Retire versions that nobody needs any more, and remove their files; their history stays."""
    done = collect(open_registry(registry, name), Retention(newest, held_days, orphan_days), dry_run=dry_run)
    if as_json:
        show_json(done)
    else:
        print(_told(done))


def _told(done: Collected) -> str:
    would = "would be " if done.dry_run else ""
    lines = [f"retired     {_listed([str(number) for number in done.versions])}", *_bundles(done.bundles)]
    lines.append(f"{done.files:,} files of bundles and {done.temporary_files:,} temporary files {would}removed")
    if done.dry_run:
        lines.append("nothing was changed")
    return "\n".join(lines)


def _bundles(folders: Sequence[str]) -> list[str]:
    return [f"bundle      {folder}" for folder in folders]


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def export(
    ref: RefArgument,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="keras, h5, onnx, savedmodel or tfserving.")],
    output: Annotated[
        Path, typer.Option(metavar="PATH", help="The file or folder to make; for tfserving, the model's folder.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there, whole.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Write a version for other programs: raw columns in, dollars out."""
    from gamesales.jobs.export import export as run
    from gamesales.jobs.loading import open_registry

    parsed = parse_ref(ref, name)
    done = run(open_registry(registry, parsed.model), parsed, form, output, force=force)
    if as_json:
        show_json(done)
        return
    print(
        f"wrote version {done.version} of {done.model} to {done.output}; loaded again, it is within "
        f"${done.largest_difference:.4f} of the scorer on {done.rows_checked:,} rows"
    )
    if done.config:
        print(f"\nFor tensorflow_model_server --model_config_file=FILE:\n\n{done.config}", end="")


COMMANDS = (versions, show, verify, gc, export)
