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
from gamesales.cli.render import metric_cells, moment, one_line, show_json, table
from gamesales.jobs import compare as comparison
from gamesales.jobs import history as telling
from gamesales.jobs.compare import Figures, Interval
from gamesales.jobs.loading import open_registry
from gamesales.registry.refs import parse_ref

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
    "evaluation.recorded": lambda body: (
        f"{'backtested' if body.get('kind') == 'backtest' else 'evaluated'} version {body['version']} on {body['data']}"
    ),
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
    mae, rows = _mapping(body.get("metrics")).get("mae"), body.get("rows")
    told = [f"MAE ${mae:,.0f}"] if isinstance(mae, (int, float)) else []
    return ", ".join([*told, *([f"{rows:,} rows"] if isinstance(rows, int) else [])]) or "-"


def _is_forced(body: Body) -> bool:
    return bool(_mapping(body.get("evidence")).get("forced"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_NAMES = {"scaled_mse": "scaled MSE", "mae": "MAE", "rmse": "RMSE", "r2": "R2", "mape_percent": "MAPE"}


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A version, as in show.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    everything: Annotated[bool, typer.Option("--all", help="What is the same, too.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Tell in what two versions differ: data, figures on the same titles, network, contract, software, files."""
    refs = parse_ref(first, name), parse_ref(second, name)
    one, two = ((open_registry(registry, ref.model), ref) for ref in refs)
    compared = comparison.compare(one, two, everything=everything)
    if as_json:
        show_json(compared)
        return
    names = _names(compared)
    print(f"{names[0]} and {names[1]}" + ("" if _of_two_models(compared) else f" of {compared.first.model}"))
    for side, who in zip((compared.first, compared.second), names, strict=True):
        print(one_line(_side(side, who)))
    print(f"training data  {_verdict(compared.same_training_data)}")
    print(f"holdout        {_verdict(compared.same_holdout)}")
    for part in [*_metric_tables(compared, names), *_sections(compared, names)]:
        print(f"\n{part}")


def _of_two_models(compared: comparison.Comparison) -> bool:
    return compared.first.model != compared.second.model


def _names(compared: comparison.Comparison) -> list[str]:
    return [
        f"version {side.version}" + (f" of {side.model}" if _of_two_models(compared) else "")
        for side in (compared.first, compared.second)
    ]


def _side(side: comparison.Side, who: str) -> str:
    marks = [*side.aliases, *(["retired"] if side.retired else [])]
    because = f": {side.reason}" if side.reason else ""
    named = f" ({', '.join(marks)})" if marks else ""
    return f"{who}{named}, registered {moment(side.registered)} UTC by {side.actor}{because}"


def _verdict(same: bool | None) -> str:
    return "not known of both" if same is None else "the same" if same else "different"


def _metric_tables(compared: comparison.Comparison, names: list[str]) -> list[str]:
    """Tell the figures on each file that both were evaluated on, or that there is none."""
    if not compared.figures:
        sides = zip((compared.first, compared.second), names, strict=True)
        on = "; ".join(f"{who} on {_files(side)}" for side, who in sides)
        return [one_line(f"Their figures are on different data and can't be compared: {on}.")]
    return [_figures_on(each, names) for each in compared.figures]


def _files(side: comparison.Side) -> str:
    return ", ".join(f"{path} (sha256 {digest[:12]})" for digest, path in side.evaluated_on.items()) or "none"


def _figures_on(figures: Figures, names: list[str]) -> str:
    on = one_line(f"on {figures.data}, {figures.rows:,} rows, sha256 {figures.data_sha256[:12]}")
    if not figures.entries:
        return f"The same figures {on}."
    rows = [
        [
            _NAMES[entry.name],
            _figure(entry.name, entry.first, entry.first_interval),
            _figure(entry.name, entry.second, entry.second_interval),
            _figure(entry.name, entry.difference, None),
        ]
        for entry in figures.entries
    ]
    return f"Figures {on}:\n" + table(["", *names, "difference"], rows)


def _figure(name: str, value: float | None, interval: Interval | None) -> str:
    told = _written(name, value)
    return f"{told} ({_written(name, interval[0])} to {_written(name, interval[1])})" if interval else told


def _written(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    minus = "-" if value < 0 else ""  # before the currency: -$15
    return minus + metric_cells({name: abs(value)})[list(_NAMES).index(name)]


def _sections(compared: comparison.Comparison, names: list[str]) -> list[str]:
    shown = [
        table([section.name, *names], [[e.name, _cell(e, e.first), _cell(e, e.second)] for e in section.entries])
        for section in compared.sections
        if section.entries
    ]
    return shown or ["Nothing else differs; what is the same: --all"]


def _cell(entry: comparison.Entry, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)[:12] if entry.name.endswith("sha256") else str(value)


COMMANDS = (history, compare)
