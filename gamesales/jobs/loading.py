"""A registered version becomes one that can score: every byte checked, nothing unpickled."""

from __future__ import annotations

from pathlib import Path

from gamesales.registry.registry import ModelRegistry, Ref
from gamesales.registry.state import Version
from gamesales.registry.store import LocalStore
from gamesales.scoring.scorer import GRAPH_FILE, LoadedVersion, load_version


def open_registry(path: str | Path, model: str) -> ModelRegistry:
    """Open one model's part of the registry at a path; nothing is created before something is published."""
    return ModelRegistry(LocalStore(path), model)


def load(registry: ModelRegistry, ref: Ref) -> LoadedVersion:
    """Resolve a reference once, and load the version that it names at this moment."""
    version, _ = registry.resolve(ref)
    return load_registered(registry, version)


def load_registered(registry: ModelRegistry, version: Version) -> LoadedVersion:
    """Load a version: of its bundle, only the manifest and the scoring graph are read."""
    bundle = registry.bundle(version)
    graph = bundle.read(GRAPH_FILE)
    return load_version(registry.model, version.number, version.digest, bundle.manifest, graph)
