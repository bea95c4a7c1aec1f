"""Retire versions, and remove the files of bundles that no version in use needs.

A version is retired, by an event, before its first file is removed. So all files of a version in use are there. Its
history stays forever. If ``gc`` is killed, the next run does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gamesales.errors import UsageError
from gamesales.registry.bundle import sort_for_removal
from gamesales.registry.event import Event, format_time
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import list_alias_spans, replay
from gamesales.report.format import format_count

# The time in the name of a bundle's folder, as write_bundle writes it.
_FOLDER_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class RetirementResult:
    """A retired version: when, by whom and why. ``changed`` is False if it was retired before."""

    model: str
    version: int
    changed: bool
    time: str
    actor: str
    reason: str


def retire(registry: ModelRegistry, ref: Ref, reason: str) -> RetirementResult:
    """Take a version out of use for good. Its history stays. Its files stay until garbage collection.

    Raises:
        UsageError: no reason is given, or an alias names the version.
    """
    if not reason.strip():
        raise UsageError("retiring a version needs a reason", hint='Add --reason "…"')
    number = registry.find(registry.read_state(), ref, allow_retired=True).number
    changed = registry.retire(number, reason) is not None
    event = registry.find(registry.read_state(), number, allow_retired=True).retirement
    assert event is not None  # the version was retired now or earlier, and a retirement is never undone
    return RetirementResult(registry.model, number, changed, event.time, event.actor, event.reason)


@dataclass(frozen=True)
class Retention:
    """The versions to keep: the newest, and every version that an alias named in the last days.

    Files that no event names are garbage from the age of ``orphan_days``. A writer may be about to name younger files.
    """

    newest: int = 10
    alias_days: int = 400
    orphan_days: int = 7

    def __post_init__(self) -> None:
        if self.newest < 0 or self.alias_days < 0 or self.orphan_days < 1:
            raise UsageError(
                f"expected 0 or more versions and days to keep, and 1 or more days for orphans, received {self}"
            )


@dataclass(frozen=True)
class CollectionResult:
    """The retired versions, the removed bundles and the numbers of removed files. In a dry run, nothing is removed."""

    model: str
    registry: str
    dry_run: bool
    versions: Sequence[int]
    bundles: Sequence[str]
    files: int
    temporary_files: int


def collect_garbage(
    registry: ModelRegistry,
    retention: Retention,
    *,
    dry_run: bool,
    confirm: Callable[[CollectionResult], bool] = lambda preview: True,
    now: datetime | None = None,
) -> CollectionResult:
    """Retire versions that the retention does not keep, and remove files that no version in use needs.

    Args:
        registry: the registry of the model.
        retention: what to keep.
        dry_run: find the garbage and change nothing.
        confirm: decides on the result of a dry run. If it returns False, nothing is changed. Garbage that appears
            later stays.
        now: the time, with its zone; None: the clock's.

    Raises:
        UnknownVersionError: the registry has no such model.
    """
    now = now or datetime.now(UTC)
    orphans_before = now - timedelta(retention.orphan_days)
    events, keys = registry.read_events(), registry.list_bundle_keys()
    if not keys:  # a writer that was killed may leave a bundle without an event
        registry.require_model()
    versions, folders = find_garbage(events, keys, retention, now)
    preview = CollectionResult(
        model=registry.model,
        registry=registry.location,
        dry_run=True,
        versions=versions,
        bundles=folders,
        files=len(_select_keys(keys, folders)),
        temporary_files=registry.sweep(orphans_before, dry_run=True),
    )
    if dry_run or not confirm(preview):
        return preview
    days, newest = format_count(retention.alias_days, "day"), format_count(retention.newest, "version")
    reason = f"gc: no alias named it for {days}, and it is not among the newest {newest}"
    versions = [number for number in versions if _retire_unused(registry, number, reason)]
    # Search again: an alias may name one of these versions by now.
    keys = registry.list_bundle_keys()
    _, garbage = find_garbage(registry.read_events(), keys, retention, now)
    folders = [folder for folder in folders if folder in garbage]
    keys = _select_keys(keys, folders)
    registry.remove(keys)
    return replace(
        preview,
        dry_run=False,
        versions=versions,
        bundles=folders,
        files=len(keys),
        temporary_files=registry.sweep(orphans_before, dry_run=False),
    )


def _select_keys(keys: Iterable[str], folders: Sequence[str]) -> list[str]:
    """Return the keys of files in folders of bundles, in the order in which they are removed."""
    removed = set(folders)
    return sort_for_removal(key for key in keys if _get_folder(key) in removed)


def _retire_unused(registry: ModelRegistry, number: int, reason: str) -> bool:
    try:
        return registry.retire(number, reason) is not None
    except UsageError:  # an alias names the version since a moment ago
        return False


def find_garbage(
    events: Sequence[Event], keys: Iterable[str], retention: Retention, now: datetime
) -> tuple[list[int], list[str]]:
    """Find the versions to retire, and the folders of bundles to remove, also the bundles of these versions.

    Args:
        events: the whole log.
        keys: the keys of all files of bundles.
        retention: what to keep.
        now: the time, with its zone.
    """
    state = replay(events)
    aliased = find_aliased_versions(events, format_time(now - timedelta(retention.alias_days)))
    in_use = [number for number in state.numbers if not state.is_retired(number)]
    kept = {*aliased, *in_use[len(in_use) - min(retention.newest, len(in_use)) :]}
    owners: dict[str, set[int]] = {}
    for number, version in state.read_versions().items():
        owners.setdefault(version.folder, set()).add(number)
    orphans_before = now - timedelta(retention.orphan_days)
    folders = [
        folder
        for folder in sorted(set(map(_get_folder, keys)))
        if (not owners[folder] & kept if folder in owners else _is_older(folder, orphans_before))
    ]
    return [number for number in in_use if number not in kept], folders


def find_aliased_versions(events: Iterable[Event], since: str) -> set[int]:
    """Find the versions that any alias named at any time from a moment on, which is written as the log writes times."""
    return {span.version for span in list_alias_spans(events) if span.until is None or span.until >= since}


def _get_folder(key: str) -> str:
    """Return the folder of a bundle's file: ``<model>/bundles/<name>``."""
    return "/".join(key.split("/")[:3])


def _is_older(folder: str, moment: datetime) -> bool:
    """Return whether a bundle was written before a moment. A folder without a time in its name is never older."""
    try:
        written = datetime.strptime(folder.rpartition("/")[2].partition("-")[0], _FOLDER_TIME).replace(tzinfo=UTC)
    except ValueError:
        return False
    return written < moment
