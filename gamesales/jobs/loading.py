"""A registered version becomes one that can score: every byte checked, nothing unpickled."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gamesales.registry.bundle import Bundle
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Version
from gamesales.registry.store import open_store
from gamesales.registry.times import utc
from gamesales.scoring.scorer import GRAPH_FILE, LoadedVersion, load_version


def open_registry(location: str | Path, model: str) -> ModelRegistry:
    """Open one model's part of the registry at a path or URL; nothing is created before something is published."""
    return ModelRegistry(open_store(location), model)


def load(registry: ModelRegistry, ref: Ref, as_of: datetime | None = None) -> LoadedVersion:
    """Resolve a reference once, and load the version that it names now, or named at a moment."""
    return _loaded(registry.model, *registry.resolve(ref, as_of=None if as_of is None else utc(as_of)))


def load_registered(registry: ModelRegistry, version: Version) -> LoadedVersion:
    """Load a version that was found before."""
    return _loaded(registry.model, version, registry.bundle(version))


def _loaded(model: str, version: Version, bundle: Bundle) -> LoadedVersion:
    """Load a version: of its bundle, only the manifest and the scoring graph are read.

    Raises: IntegrityError: its bytes were changed. SelfTestError: it does not reproduce its golden rows here.
    """
    loaded = load_version(model, version.number, version.digest, bundle.manifest, bundle.read(GRAPH_FILE))
    loaded.self_test()
    return loaded
