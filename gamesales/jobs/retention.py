"""A registry forgets what nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gamesales.registry.registry import ModelRegistry
from gamesales.registry.retention import Retention, forget


@dataclass(frozen=True)
class Collected:
    """What was retired and removed, or would be: versions, folders of bundles, and files in all."""

    model: str
    registry: str
    dry_run: bool
    versions: Sequence[int]
    bundles: Sequence[str]
    files: int
    temporary_files: int


def collect(registry: ModelRegistry, retention: Retention, *, dry_run: bool) -> Collected:
    """Retire versions beyond the retention, and remove the files of what is out of use.

    Args: retention: what is kept. dry_run: tell what would go, and change nothing.
    """
    reason = f"gc: no alias named it for {retention.held_days} days, and {retention.newest} newer versions are kept"
    done = forget(registry, retention, reason, datetime.now(UTC), dry_run=dry_run)
    return Collected(
        model=registry.model,
        registry=registry.location,
        dry_run=dry_run,
        versions=done.waste.versions,
        bundles=done.waste.folders,
        files=done.files,
        temporary_files=done.leavings,
    )
