"""The commands history and compare: the events of a registry, and two versions side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from gamesales.cli.render import show_result
from gamesales.cli.table import format_table
from gamesales.cli.terminal import paint, shorten, to_one_line
from gamesales.cli.values import NAME, REGISTRY
from gamesales.jobs.history import EventFilter, list_events
from gamesales.jobs.loading import open_ref, open_registry
from gamesales.registry.event import parse_span
from gamesales.registry.refs import format_command
from gamesales.report.format import format_count, format_minute
from gamesales.stats.amounts import amounts_in, read_recorded_unit, unit_of
from gamesales.stats.metrics import METRICS, format_money

if TYPE_CHECKING:
    import typer

    from gamesales.cli.completion import complete_aliases, complete_refs
    from gamesales.cli.options import JsonOption, LimitOption, NameOption, RegistryOption, SinceOption, UntilOption
    from gamesales.jobs.compare import (
        ComparedVersion,
        ConfidenceInterval,
        FileMetrics,
        ManifestEntry,
        VersionComparison,
    )
    from gamesales.jobs.history import EventList

Body = Mapping[str, Any]
# A terminal shows the first words of longer evidence.
_EVIDENCE_WIDTH = 60


def history(
    alias: Annotated[
        str | None,
        typer.Option(
            "--alias",
            metavar="NAME",
            help="Only events that set or delete this alias.",
            autocompletion=complete_aliases,
        ),
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Only events about this version.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="KIND", help="Only events of a kind such as alias.set, or of a group like alias."
        ),
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="ACTOR", help="Only events by this person.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """List who did what, when, why and on what evidence, newest first.

    Examples:
        gamesales history --alias champion
        gamesales history --kind evaluation --since 2026-11-01
    """
    first, last = parse_span(since, until)
    event_filter = EventFilter(alias, version, kind, by, first, last, limit)
    listed = list_events(open_registry(registry, name), event_filter)
    show_result(listed, _format_events, as_json=as_json)


def _format_events(listed: EventList) -> str:
    if listed.events:
        rows = [
            [
                str(event.sequence),
                format_minute(event.time),
                event.actor,
                _describe_event(event.kind, event.body),
                shorten(_describe_evidence(event.kind, event.body), _EVIDENCE_WIDTH),
                event.reason,
            ]
            for event in listed.events
        ]
        header = ["event", "when", "by", "what", "evidence", "why"]
        return format_table(header, rows, optional=("evidence", "by", "event"), states={"what"})
    every = format_command("history", listed.registry, listed.model)
    return f"no event of {listed.model} in {listed.registry} matches. See all: {every}"


def _describe_event(kind: str, body: Body) -> str:
    """Describe an event. An event of another release is described by its kind only."""
    try:
        return _DESCRIPTIONS[kind](body)
    except KeyError:
        return kind


def _describe_alias_set(body: Body) -> str:
    verb = "rolled back to" if body["rollback"] else "set to"
    forced = ", forced past the gate" if _read_mapping(body, "evidence").get("forced") else ""
    return f"{body['alias']} {verb} version {body['version']} (was {body['previous_version'] or 'unset'}){forced}"


def _describe_statement(body: Body) -> str:
    if body["purpose"] == "policy":
        return f"policy {str(body['digest'])[:12]}"
    return f"version {body['version']}" + (f" for @{body['alias']}" if body["alias"] else "")


_DESCRIPTIONS: dict[str, Callable[[Body], str]] = {
    "version.registered": lambda body: f"registered version {body['version']}",
    "version.retired": lambda body: f"retired version {body['version']}",
    "evaluation.recorded": lambda body: (
        f"{'backtested' if body.get('kind') == 'backtest' else 'evaluated'} version {body['version']} on {body['data']}"
    ),
    "alias.set": _describe_alias_set,
    "alias.deleted": lambda body: f"{body['alias']} deleted (was {body['previous_version']})",
    "signature.recorded": lambda body: f"signed {_describe_statement(body)} with the key {str(body['key'])[:12]}",
    "policy.set": lambda body: (
        f"policy set: {body['policy']['approvals']} of {format_count(len(body['policy']['keys']), 'key')} must approve"
    ),
}


def _describe_evidence(kind: str, body: Body) -> str:
    """Describe the evidence of an event in short: the metrics of an evaluation, or the findings of the gate."""
    if kind == "evaluation.recorded":
        with amounts_in(read_recorded_unit(body)):
            return _describe_evaluation(body)
    evidence = _read_mapping(body, "evidence")
    findings = evidence.get("findings")
    findings = [finding for finding in findings if isinstance(finding, Mapping)] if isinstance(findings, list) else []
    failed = [finding for finding in findings if not finding.get("is_met")]
    comparison = _describe_comparison(_read_mapping(evidence, "comparison"))
    # Findings that hold add little to the metrics. Findings that a promotion was forced past are always shown.
    shown = failed if failed or comparison else findings
    return "; ".join([*comparison, *(str(finding.get("observation", "")) for finding in shown)]) or "-"


def _describe_evaluation(body: Body) -> str:
    mae, rows = _read_mapping(body, "metrics").get("mae"), body.get("rows")
    parts = [f"MAE {format_money(mae)}"] if isinstance(mae, (int, float)) else []
    return ", ".join([*parts, *([format_count(rows, "row")] if isinstance(rows, int) else [])]) or "-"


def _describe_comparison(comparison: Body) -> list[str]:
    """Describe the errors of a version and of the champion before it on the same titles, if they were compared."""
    candidate, champion = comparison.get("candidate_mae"), comparison.get("champion_mae")
    if not isinstance(candidate, (int, float)) or not isinstance(champion, (int, float)):
        return []
    with amounts_in(read_recorded_unit(comparison)):
        return [f"MAE {format_money(candidate)}, champion's {format_money(champion)}"]


def _read_mapping(body: Body, key: str) -> Body:
    value = body.get(key)
    return value if isinstance(value, Mapping) else {}


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A version, such as 4 or champion.", autocompletion=complete_refs)
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another version.", autocompletion=complete_refs)],
    everything: Annotated[bool, typer.Option("--all", help="Show equal values too.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Show how two versions differ: data, metrics on the same titles, network, contract, software and files.

    Examples:
        gamesales compare champion 4
        gamesales compare 3 4 --all
    """
    from gamesales.jobs.compare import compare as run

    sides = [open_ref(registry, text, name) for text in (first, second)]
    show_result(run(*sides, everything=everything), _format_comparison, as_json=as_json)


def _format_comparison(comparison: VersionComparison) -> str:
    versions = comparison.first, comparison.second
    is_one_model = comparison.first.model == comparison.second.model
    names = [f"version {side.version}" + ("" if is_one_model else f" of {side.model}") for side in versions]
    summary = [
        f"{names[0]} and {names[1]}" + (f" of {comparison.first.model}" if is_one_model else ""),
        *(_describe_version(side, label) for side, label in zip(versions, names, strict=True)),
        f"training data  {_describe_sameness(comparison.same_training_data)}",
        f"holdout        {_describe_sameness(comparison.same_holdout)}",
    ]
    changes = [to_one_line(f"  {change.column}: {change.change}") for change in comparison.changed_columns]
    summary += ["changed columns", *changes] if changes else []
    return "\n\n".join(["\n".join(summary), *_format_metrics(comparison, names), *_format_sections(comparison, names)])


def _describe_version(version: ComparedVersion, label: str) -> str:
    marks = [*version.aliases, *(["retired"] if version.retired else [])]
    suffix = f" ({paint(to_one_line(', '.join(marks)))})" if marks else ""
    reason = f": {version.reason}" if version.reason else ""
    registered = f"registered {format_minute(version.registered)} UTC by {version.actor}{reason}"
    return f"{label}{suffix}, {to_one_line(registered)}"


def _describe_sameness(same: bool | None) -> str:
    return "unknown" if same is None else "the same" if same else "different"


def _format_metrics(comparison: VersionComparison, names: list[str]) -> list[str]:
    """Lay out the metrics on each file that both versions were evaluated on, or say that there is no such file."""
    if not comparison.metrics_by_file:
        sides = zip((comparison.first, comparison.second), names, strict=True)
        files = "; ".join(f"{label} on {_list_files(version)}" for version, label in sides)
        return [to_one_line(f"The versions were evaluated on different data, so metrics can't be compared: {files}.")]
    return [
        _format_file_metrics(file, names, (comparison.first, comparison.second)) for file in comparison.metrics_by_file
    ]


def _list_files(version: ComparedVersion) -> str:
    return ", ".join(f"{path} (sha256 {digest[:12]})" for digest, path in version.evaluated_on.items()) or "none"


def _format_file_metrics(file: FileMetrics, names: list[str], versions: Sequence[ComparedVersion]) -> str:
    label = to_one_line(f"on {file.data}, {format_count(file.rows, 'row')}, sha256 {file.data_sha256[:12]}")
    if not file.entries:
        return f"The same metrics {label}."
    rows = [
        [
            METRICS[pair.name].heading,
            _format_value(pair.name, pair.first, versions[0], pair.first_interval),
            _format_value(pair.name, pair.second, versions[1], pair.second_interval),
            _format_value(pair.name, pair.difference, versions[0]),
        ]
        for pair in file.entries
    ]
    return f"Metrics {label}:\n" + format_table(["", *names, "difference"], rows)


def _format_value(
    key: str, value: float | None, version: ComparedVersion, interval: ConfidenceInterval | None = None
) -> str:
    if value is None:
        return "-"
    write = METRICS[key].format
    with amounts_in(unit_of(version)):
        return write(value) + (f" ({write(interval[0])} to {write(interval[1])})" if interval else "")


def _format_sections(comparison: VersionComparison, names: list[str]) -> list[str]:
    tables = [
        format_table(
            [section.name, *names],
            [
                [entry.name, _format_cell(entry, entry.first), _format_cell(entry, entry.second)]
                for entry in section.entries
            ],
        )
        for section in comparison.sections
        if section.entries
    ]
    return tables or ["Nothing else differs. To show equal values too: --all"]


def _format_cell(entry: ManifestEntry, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):  # a category may have thousands of values
        is_values = entry.name.endswith(".values")
        return format_count(len(value), "value") if is_values else ", ".join(map(str, value))
    return str(value)[:12] if entry.name.endswith("sha256") else str(value)
