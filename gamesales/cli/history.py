"""history: who did what, when, why and on what evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from gamesales.cli.options import (
    NAME,
    REGISTRY,
    JsonOption,
    LimitOption,
    NameOption,
    RegistryOption,
    SinceOption,
    UntilOption,
    parse_span,
)
from gamesales.cli.output import moment, show_json, table
from gamesales.jobs import history as telling
from gamesales.jobs.loading import open_registry

Body = Mapping[str, Any]
# Of evidence that takes more, the rest is in the JSON.
_WIDTH = 60


def history(
    alias: Annotated[
        str | None, typer.Option("--alias", metavar="NAME", help="Only what became of this alias.")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Only what concerns this version.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only events such as alias.set, or all of alias.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="ACTOR", help="Only what this person did.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Tell who did what, when, why and on what evidence, newest first."""
    first, last = parse_span(since, until)
    wanted = telling.Wanted(alias, version, kind, by, first, last, limit)
    told = telling.history(open_registry(registry, name), wanted)
    if as_json:
        show_json(told)
    elif told.events:
        rows = [
            [str(e.sequence), moment(e.time), e.actor, _told(e.kind, e.body), _evidence(e.kind, e.body), e.reason]
            for e in told.events
        ]
        print(table(["event", "when", "by", "what", "evidence", "why"], rows))
    elif wanted == telling.Wanted(limit=limit):
        print(f"nothing has happened to {name} in {told.registry} yet. Train a version: gamesales train")
    else:
        print(f"nothing of that kind has happened to {name} in {told.registry}. See everything: gamesales history")


def _told(kind: str, body: Body) -> str:
    """Tell an event in words; of one that is not as this release knows it, only the kind."""
    try:
        return _WORDS[kind](body)
    except KeyError:
        return kind


def _alias_set(body: Body) -> str:
    verb = "rolled back to" if body["rollback"] else "set to"
    forced = ", forced past the gate" if _is_forced(body) else ""
    return f"{body['alias']} {verb} version {body['version']} (was {body['previous_version'] or 'unset'}){forced}"


_WORDS: dict[str, Callable[[Body], str]] = {
    "version.registered": lambda body: f"registered version {body['version']}",
    "version.retired": lambda body: f"retired version {body['version']}",
    "evaluation.recorded": lambda body: f"evaluated version {body['version']} on {body['data']}",
    "alias.set": _alias_set,
    "alias.deleted": lambda body: f"{body['alias']} deleted (was {body['previous_version']})",
}


def _evidence(kind: str, body: Body) -> str:
    """Tell in short what an event rests on: an evaluation's figures, or what the gate found."""
    if kind == "evaluation.recorded":
        return _figures(body)
    evidence = _mapping(body.get("evidence"))
    findings = [each for each in _list(evidence.get("findings")) if isinstance(each, Mapping)]
    failed = [each for each in findings if not each.get("holds")]
    compared = _compared(_mapping(evidence.get("comparison")))
    # What was found to hold says little beside the figures; what a promotion was forced past is told in any case.
    told = failed if failed or compared else findings
    found = "; ".join([*compared, *(str(each.get("found", "")) for each in told)]) or "-"
    return found if len(found) <= _WIDTH else f"{found[: _WIDTH - 1]}…"


def _compared(comparison: Body) -> list[str]:
    """Tell how far off the version and the champion before it were on the same titles, if they were compared."""
    ours, theirs = comparison.get("candidate_mae"), comparison.get("champion_mae")
    if not isinstance(ours, (int, float)) or not isinstance(theirs, (int, float)):
        return []
    return [f"MAE ${ours:,.0f}, champion's ${theirs:,.0f}"]


def _figures(body: Body) -> str:
    mae, rows = _mapping(body.get("metrics")).get("mae_usd"), body.get("rows")
    told = [f"MAE ${mae:,.0f}"] if isinstance(mae, (int, float)) else []
    return ", ".join([*told, *([f"{rows:,} rows"] if isinstance(rows, int) else [])]) or "-"


def _is_forced(body: Body) -> bool:
    return bool(_mapping(body.get("evidence")).get("forced"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


COMMANDS = (history,)
