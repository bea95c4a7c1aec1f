"""Collect what a site shows about a model: its versions, the history of its aliases, its runs and its backtests."""

from __future__ import annotations

import json
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

from gamesales.errors import GamesalesError, TryAgainError
from gamesales.jobs.compare import collect_evaluations, list_settings, read_interval
from gamesales.jobs.site_folder import SiteFile
from gamesales.jobs.versions import METRIC_KEYS, choose_file, read_metric
from gamesales.registry.bundle import MANIFEST, REPORT_FILE, Bundle, find_data
from gamesales.registry.event import ALIAS_DELETED, ALIAS_SET, EVALUATION_RECORDED, Event
from gamesales.registry.refs import CHAMPION
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import BACKTEST, Evaluation, State, Version, replay
from gamesales.report.format import format_money
from gamesales.report.site_data import (
    AliasChange,
    MonthError,
    SiteBacktest,
    SiteEvaluation,
    SiteModel,
    SiteRun,
    SiteVersion,
)
from gamesales.scoring.recorded_runs import RecordedRun
from gamesales.stats.amounts import amounts_in, read_recorded_unit

# What the site shows of a manifest.
_KEYS = ("data", "metrics", "network", "training", "contract", "software", "git_commit")
# Simultaneous requests to an object store.
_READERS = 16


def collect_model(registry: ModelRegistry) -> tuple[SiteModel, list[SiteFile]]:
    """Collect the versions and the history of a model, without its runs.

    Returns:
        The model, and the pages of its versions.

    Raises:
        IntegrityError: an event of the log is damaged.
    """
    events = registry.read_events()
    state = replay(events)
    versions, files = list[SiteVersion](), list[SiteFile]()
    for version, pages in _read_versions(registry, state):
        versions.append(version)
        files += pages
    data, data_sha256 = choose_file(state)
    model = SiteModel(
        name=registry.model,
        events=len(events),
        as_of=events[-1].time,
        data=data,
        data_sha256=data_sha256,
        versions=versions,
        changes=_list_changes(events),
        backtests=_list_backtests(state, events),
        commands=_list_commands(registry, state),
        warnings=[f"Version {version.number} can't be read: {version.note}" for version in versions if version.note],
    )
    return model, files


def _read_versions(registry: ModelRegistry, state: State) -> Iterator[tuple[SiteVersion, list[SiteFile]]]:
    """Read all versions, newest first, each with its pages. A manifest takes much memory, so none is kept."""
    aliases: dict[int, list[str]] = {}
    for alias, number in state.read_targets().items():
        aliases.setdefault(number, []).append(alias)
    versions = [state.read_version(number) for number in reversed(state.numbers)]

    def read_version(version: Version) -> tuple[SiteVersion, list[SiteFile]]:
        return _read_version(registry, version, aliases.get(version.number, []))

    if not registry.is_remote:
        yield from map(read_version, versions)
        return
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(read_version, versions)


def _read_version(
    registry: ModelRegistry, version: Version, aliases: Sequence[str]
) -> tuple[SiteVersion, list[SiteFile]]:
    bundle, note = None, ""
    try:
        bundle = _open_bundle(registry, version)
    except TryAgainError:
        raise
    except GamesalesError as error:
        note = "" if registry.is_removed(version) else error.message
    manifest = bundle.manifest if bundle else {}
    settings = list_settings(manifest) if bundle else {}
    settings.pop("files", None)  # they differ in every version
    pages = _list_pages(bundle) if bundle else []
    page = next((page.path for page in pages if page.path.endswith(f"/{REPORT_FILE}")), "")
    site_version = SiteVersion(
        number=version.number,
        aliases=aliases,
        registered=version.registration.time,
        actor=version.registration.actor,
        reason=version.registration.reason,
        retired=version.retirement.time if version.retirement else "",
        digest=version.digest,
        page=page.removeprefix(f"{registry.model}/"),
        evaluations={
            sha256: _make_evaluation(evaluation)
            for sha256, evaluation in collect_evaluations(version, manifest).items()
        },
        settings={
            name: {key: _write_setting(value) for key, value in values.items()} for name, values in settings.items()
        },
        note=note,
    )
    return site_version, pages


def _open_bundle(registry: ModelRegistry, version: Version) -> Bundle:
    """Open a bundle with what the site shows. The intervals of an early release are in the large part of a manifest."""
    bundle = registry.open_bundle(version, _KEYS)
    evaluated = {evaluation.data_sha256 for evaluation in version.read_holdout_evaluations()}
    is_logged = find_data(bundle.manifest, "test").get("sha256") in evaluated
    return bundle if is_logged else registry.open_bundle(version, (*_KEYS, "evaluation"))


def _list_pages(bundle: Bundle) -> list[SiteFile]:
    """List the pages of a version, and the manifest, to which they link. They keep their places beside each other."""
    folder = bundle.folder
    small = replace(bundle, manifest={"files": bundle.files})
    pages = [name for name in bundle.files if name.endswith(".html")]
    files = [
        SiteFile(
            f"{folder}/{name}", bundle.files[name]["sha256"], partial(small.read, name), bundle.files[name]["size"]
        )
        for name in pages
    ]
    return [*files, SiteFile(f"{folder}/{MANIFEST}", bundle.digest, small.read_manifest)] if pages else []


def _make_evaluation(evaluation: Evaluation) -> SiteEvaluation:
    intervals = {key: bounds for key in METRIC_KEYS.values() if (bounds := read_interval(evaluation, key)) is not None}
    metrics = {key: read_metric(evaluation.metrics, key) for key in METRIC_KEYS.values()}
    return SiteEvaluation(evaluation.data, evaluation.rows, metrics, intervals, evaluation.unit)


def _write_setting(value: Any) -> str:
    """Write a value of a manifest as a text. Equal values have equal texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if type(value) is int else json.dumps(value, ensure_ascii=False)


def _list_changes(events: Iterable[Event]) -> list[AliasChange]:
    """List the events that set or delete an alias, newest first."""
    changes: list[AliasChange] = []
    until: dict[str, str] = {}
    for event in reversed([event for event in events if event.kind in (ALIAS_SET, ALIAS_DELETED)]):
        body, evidence = event.body, event.body.get("evidence")
        evidence = evidence if isinstance(evidence, Mapping) else {}
        changes.append(
            AliasChange(
                alias=body["alias"],
                time=event.time,
                until=until.get(body["alias"], ""),
                version=body["version"] if event.kind == ALIAS_SET else None,
                previous=body.get("previous_version"),
                actor=event.actor,
                reason=event.reason,
                is_rollback=body.get("rollback") is True,
                is_forced=bool(evidence.get("forced")),
                evidence=_describe_comparison(evidence.get("comparison")),
            )
        )
        until[body["alias"]] = event.time
    return changes


def _describe_comparison(comparison: Any) -> str:
    """Describe the average errors that the gate compared; empty if it compared none."""
    if not isinstance(comparison, Mapping):
        return ""
    candidate, champion = (read_metric(comparison, key) for key in ("candidate_mae", "champion_mae"))
    if candidate is None or champion is None:
        return ""
    with amounts_in(read_recorded_unit(comparison)):
        return f"{format_money(candidate, [champion])}, before {format_money(champion, [candidate])}"


def _list_backtests(state: State, events: Iterable[Event]) -> list[SiteBacktest]:
    """List the latest backtest of each version, newest version first."""
    latest = {
        event.body["version"]: event
        for event in events
        if event.kind == EVALUATION_RECORDED and event.body.get("kind") == BACKTEST
    }
    backtests = [_make_backtest(latest[number]) for number in sorted(latest, reverse=True) if number in state.numbers]
    return [backtest for backtest in backtests if backtest is not None]


def _make_backtest(event: Event) -> SiteBacktest | None:
    """Make a backtest from its event; None if another release wrote it in another form."""
    body = event.body
    try:
        first, last = str(body["first_date"]), str(body["last_date"])
        metrics = {key: read_metric(body["metrics"], key) for key in METRIC_KEYS.values()}
        months = body.get("months") or []
        periods = [_make_month(entry) for entry in months]
        if not periods and metrics["mae"] is not None:
            periods = [MonthError(first, last, body["rows"], metrics["mae"])]
        date.fromisoformat(first), date.fromisoformat(last)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    return SiteBacktest(
        version=body["version"],
        time=event.time,
        data=str(body["data"]),
        first_date=first,
        last_date=last,
        rows=body["rows"],
        metrics=metrics,
        bias=read_metric(body, "bias"),
        coverage=read_metric(body, "coverage"),
        periods=periods,
        unit=read_recorded_unit(body),
    )


def _make_month(entry: Mapping[str, Any]) -> MonthError:
    first = date.fromisoformat(f"{entry['month']}-01")
    last = first.replace(day=monthrange(first.year, first.month)[1])
    low, high = read_metric(entry, "mae_low"), read_metric(entry, "mae_high")
    return MonthError(first.isoformat(), last.isoformat(), int(entry["rows"]), float(entry["mae"]), low, high)


def _list_commands(registry: ModelRegistry, state: State) -> dict[str, str]:
    command: Callable[[str], str] = registry.format_command
    champion = state.target_of(CHAMPION)
    commands = {
        "List the versions": command("versions"),
        "Show everything about a version": command(f"show {champion or state.newest}"),
        "Compare two versions": command("compare A B"),
    }
    if champion != state.newest:
        commands["Promote the newest version"] = command(f"promote {state.newest} --reason TEXT")
    if state.previous_target(CHAMPION):
        commands["Go back to the previous champion"] = command("rollback --reason TEXT")
    return {**commands, "Check every file of the registry": command("verify")}


def make_run(run: RecordedRun, output: str, page: str) -> SiteRun:
    """Make a run as the site shows it. ``page`` is the path of its page from the page of the model."""
    report, day = run.report, "" if run.day is None else run.day.isoformat()
    if report is None:
        return SiteRun(output, day, "incomplete", run.note)
    release = report.release
    strongest = next(iter(report.drift.columns), None) if report.drift else None  # the largest comes first
    return SiteRun(
        output=output,
        date=day,
        state=run.state,
        note=f"released by {release.actor}: {release.reason}" if release else run.note,
        rows=report.rows_in,
        scored=report.rows_scored,
        rejected=report.rows_rejected,
        drifted=list(report.drift.drifted) if report.drift else None,
        strongest=(strongest.column, strongest.psi, strongest.limit) if strongest else None,
        version=report.model_version,
        digest=report.bundle_sha256,
        page=page,
        started=report.started,
    )
