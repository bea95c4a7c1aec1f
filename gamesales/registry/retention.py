"""What a registry may forget: versions that nobody needs any more, and files that no event names.

A version is retired, by an event, before its first file goes: whoever finds one in use finds all of it. Its history
stays for ever. Killed in the midst, ``gc`` has done a part of its work, and the next one does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gamesales.errors import UsageError
from gamesales.registry.bundle import manifest_first
from gamesales.registry.index import spans
from gamesales.registry.log import Event
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import replay
from gamesales.registry.times import utc

# The time in a bundle's folder, as write_bundle names it.
_FOLDER_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Retention:
    """What is kept: every version that an alias names or named in the last days, and the newest ones.

    ``orphan_days`` is the age from which files that no event names are nobody's: somebody may be about to name younger
    ones.
    """

    newest: int = 10
    held_days: int = 400
    orphan_days: int = 7

    def __post_init__(self) -> None:
        if self.newest < 0 or self.held_days < 0 or self.orphan_days < 1:
            raise UsageError(
                f"expected days and versions to keep of 0 or more, and orphans of a day or more, received {self}"
            )


@dataclass(frozen=True)
class Waste:
    """What may go: versions to retire, and folders of bundles to remove, those of the versions among them."""

    versions: Sequence[int]
    folders: Sequence[str]


@dataclass(frozen=True)
class Forgotten:
    """What went, or would go: ``files`` of bundles, and ``leavings``, temporary files of writers that were killed."""

    waste: Waste
    files: int
    leavings: int


def forget(registry: ModelRegistry, retention: Retention, reason: str, now: datetime, *, dry_run: bool) -> Forgotten:
    """Retire the versions that nobody needs any more, and remove files that nothing in use needs.

    Args:
        registry: of one model.
        retention: what is kept.
        reason: why, for the log.
        now: the time, with its zone.
        dry_run: find them, and change nothing.
    """
    waste = find_waste(registry.events(), registry.bundle_keys(), retention, now)
    if not dry_run:
        retired = [number for number in waste.versions if _retire_unused(registry, number, reason)]
        # Again: of what was found, somebody may have made use meanwhile.
        left = find_waste(registry.events(), registry.bundle_keys(), retention, now)
        waste = Waste(retired, left.folders)
    doomed = set(waste.folders)
    keys = manifest_first(key for key in registry.bundle_keys() if _folder(key) in doomed)
    if not dry_run:
        registry.remove(keys)
    leavings = registry.sweep(now - timedelta(retention.orphan_days), dry_run=dry_run)
    return Forgotten(waste, len(keys), leavings)


def _retire_unused(registry: ModelRegistry, number: int, reason: str) -> bool:
    try:
        return registry.retire(number, reason) is not None
    except UsageError:  # an alias names it since a moment ago
        return False


def find_waste(events: Sequence[Event], keys: Iterable[str], retention: Retention, now: datetime) -> Waste:
    """Find what a registry may forget.

    Args:
        events: the whole log.
        keys: those of all files of bundles.
        retention: what is kept.
        now: the time, with its zone.
    """
    state = replay(events)
    needed = held_since(events, utc(now - timedelta(retention.held_days)))
    in_use = [number for number in state.numbers if not state.is_retired(number)]
    kept = {*needed, *in_use[len(in_use) - min(retention.newest, len(in_use)) :]}
    owners: dict[str, set[int]] = {}
    for number, version in state.versions.items():
        owners.setdefault(version.folder, set()).add(number)
    orphans_before = now - timedelta(retention.orphan_days)
    folders = sorted(set(map(_folder, keys)))
    return Waste(
        versions=[number for number in in_use if number not in kept],
        folders=[
            folder
            for folder in folders
            if (not owners[folder] & kept if folder in owners else _is_older(folder, orphans_before))
        ],
    )


def held_since(events: Iterable[Event], since: str) -> set[int]:
    """Return the versions that any alias named at any time from a moment on, which is written as the log does."""
    return {span.version for span in spans(events) if span.until is None or span.until >= since}


def _folder(key: str) -> str:
    """Return the bundle of a file: ``<model>/bundles/<name>``."""
    return "/".join(key.split("/")[:3])


def _is_older(folder: str, than: datetime) -> bool:
    """Tell whether a bundle was written before a moment; of what has no time in its name nobody knows."""
    try:
        written = datetime.strptime(folder.rpartition("/")[2].partition("-")[0], _FOLDER_TIME).replace(tzinfo=UTC)
    except ValueError:
        return False
    return written < than
