"""versions, show, history, verify: what is there and what happened."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

import typer

from gamesales.cli.options import (
    NAME,
    REGISTRY,
    JsonOption,
    NameOption,
    RefArgument,
    RegistryOption,
)
from gamesales.cli.output import metric_cells, metrics_table, moment, show_json, table
from gamesales.jobs import listing
from gamesales.jobs.loading import open_registry
from gamesales.registry.refs import parse_ref

# Control characters, line and paragraph separators, halves of characters.
_NOT_IN_A_LINE = {"Cc", "Zl", "Zp", "Cs"}


def versions(registry: RegistryOption = REGISTRY, name: NameOption = NAME, as_json: JsonOption = False) -> None:
    """List all versions, newest first, with their latest evaluation."""
    listed = listing.list_versions(open_registry(registry, name))
    if as_json:
        show_json(listed)
    elif not listed.versions:
        print(f"no version of {name} in {listed.registry} yet. Train one: gamesales train")
    else:
        header = [
            "version",
            "aliases",
            "registered",
            "by",
            "scaled MSE",
            "MAE",
            "RMSE",
            "R2",
            "MAPE",
            "reason",
        ]
        print(table(header, [_version_cells(row) for row in listed.versions]))


def _version_cells(row: listing.VersionRow) -> list[str]:
    aliases = ", ".join(row.aliases) or "-"
    return [
        str(row.version),
        aliases,
        moment(row.registered),
        _line(row.actor),
        *metric_cells(row.metrics or {}),
        _line(row.reason),
    ]


def show(
    ref: RefArgument,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Tell all about one version."""
    parsed = parse_ref(ref, name)
    shown = listing.show(open_registry(registry, parsed.model), parsed)
    if as_json:
        show_json(shown)
        return
    manifest = shown.manifest
    print(f"version {shown.version} of {shown.model}" + (f", {', '.join(shown.aliases)}" if shown.aliases else ""))
    because = f": {shown.reason}" if shown.reason else ""
    print(_line(f"registered  {moment(shown.registered)} UTC by {shown.actor}{because}"))
    print(f"bundle      {shown.bundle}")
    print(f"digest      {shown.digest}")
    for role, data in manifest.get("data", {}).items():
        print(f"{role:<11} {data['path']}, {data['rows']:,} rows, sha256 {data['sha256'][:12]}")
    print(f"git commit  {manifest.get('git_commit') or '-'}")
    print(f"software    {', '.join(f'{key} {value}' for key, value in manifest.get('software', {}).items())}\n")
    print(metrics_table({f"version {shown.version}": manifest.get("metrics", {}), **manifest.get("baselines", {})}))


def history(registry: RegistryOption = REGISTRY, name: NameOption = NAME, as_json: JsonOption = False) -> None:
    """Tell who did what, when and why, newest first."""
    told = listing.history(open_registry(registry, name))
    if as_json:
        show_json(told)
    elif not told.events:
        print(f"nothing has happened to {name} in {told.registry} yet. Train a version: gamesales train")
    else:
        rows = [[str(e.sequence), moment(e.time), e.actor, _told(e.kind, e.body), e.reason] for e in told.events]
        print(table(["event", "when", "by", "what", "why"], [[_line(cell) for cell in row] for row in rows]))


def _line(text: str) -> str:
    """Bring a text of the log into one line: a line break or an escape in a reason must not forge another event."""
    return "".join(" " if unicodedata.category(one) in _NOT_IN_A_LINE else one for one in text)


def _told(kind: str, body: dict[str, Any]) -> str:
    """Tell an event in words."""
    if kind == "version.registered":
        return f"registered version {body['version']}"
    if kind == "evaluation.recorded":
        verb = "backtested" if body.get("kind") == "backtest" else "evaluated"
        return f"{verb} version {body['version']} on {body['data']}"
    if kind == "alias.set":
        before = body["previous_version"]
        verb = "rolled back to" if body["rollback"] else "set to"
        forced = ", forced past the gate" if body["evidence"].get("forced") else ""
        return f"{body['alias']} {verb} version {body['version']} (was {before or 'unset'}){forced}"
    return kind


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


COMMANDS = (versions, show, history, verify)
