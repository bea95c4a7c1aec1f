"""Garbage collection: retire versions that nobody needs, and remove files that nothing uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gamesales.registry.registry import ModelRegistry
from gamesales.registry.retention import Retention, remove_garbage


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


def collect_garbage(registry: ModelRegistry, retention: Retention, *, dry_run: bool) -> CollectionResult:
    """Retire versions that the retention does not keep, and remove files that nothing uses.

    Args:
        registry: the registry of the model.
        retention: what to keep.
        dry_run: whether to change nothing, and only return what would go.
    """
    reason = f"gc: no alias named it for {retention.alias_days} days, and {retention.newest} newer versions are kept"
    done = remove_garbage(registry, retention, reason, datetime.now(UTC), dry_run=dry_run)
    return CollectionResult(
        model=registry.model,
        registry=registry.location,
        dry_run=dry_run,
        versions=done.garbage.versions,
        bundles=done.garbage.folders,
        files=done.files,
        temporary_files=done.stale_temp_files,
    )
