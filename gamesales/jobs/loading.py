"""Open a registry, and load versions for scoring. Every byte is checked, and nothing is unpickled."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.errors import RegistryError, UsageError
from gamesales.registry.bundle import compute_sha256
from gamesales.registry.event import format_time
from gamesales.registry.refs import Ref, parse_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Version
from gamesales.storage.store import open_store

if TYPE_CHECKING:
    from gamesales.arrays import FloatArray
    from gamesales.scoring.scorer import LoadedVersion


def open_registry(location: str | Path, model: str) -> ModelRegistry:
    """Open the registry of a model at a path or URL. Nothing is created before a version is published.

    Raises:
        UsageError: the location is empty, or its URL is of an unknown kind.
    """
    if not str(location):
        raise UsageError("expected the path or URL of a registry, received an empty text", hint="Give --registry PATH")
    return ModelRegistry(open_store(location), model)


def open_ref(location: str | Path, text: str, model: str) -> tuple[ModelRegistry, Ref]:
    """Parse a reference, which may name another model than ``model``, and open the registry of its model."""
    ref = parse_ref(text, model, str(location))
    return open_registry(location, ref.model), ref


def load(
    registry: ModelRegistry, ref: Ref, as_of: datetime | None = None, public_key: Path | None = None
) -> LoadedVersion:
    """Resolve a reference, now or as of a moment, and load its version.

    Args:
        registry: The registry of the model.
        ref: The reference.
        as_of: The moment. None: now.
        public_key: A key that must have signed the promotion to the alias of the reference, or the use of its version.

    Raises:
        NotApprovedError: The key has not signed it.
    """
    state = registry.read_state(None if as_of is None else format_time(as_of))
    version = registry.find(state, ref)
    if public_key is not None:
        from gamesales.registry.policy import require_pinned_signature
        from gamesales.registry.signature import read_public_key

        require_pinned_signature(registry.model, state, version, ref.alias, read_public_key(public_key))
    return load_registered(registry, version)


def find_same_weights(registry: ModelRegistry, graph: bytes, weights_digest: str) -> int | None:
    """Find the first version with the same scoring graph or the same weights. Damaged versions are skipped.

    Manifests of earlier releases have no digest of the weights.
    """
    from gamesales.scoring.scorer import GRAPH_FILE

    graph_digest = compute_sha256(graph)
    for version in registry.read_state().read_versions().values():
        with suppress(RegistryError):
            manifest = registry.open_bundle(version).manifest
            same_graph = manifest["files"].get(GRAPH_FILE, {}).get("sha256") == graph_digest
            if same_graph or manifest.get("weights_sha256") == weights_digest:
                return version.number
    return None


def load_registered(registry: ModelRegistry, version: Version) -> LoadedVersion:
    """Load a version from its manifest and its scoring graph, and run its self-test.

    Raises:
        IntegrityError: Bytes differ from the digest in the log.
        SelfTestError: The golden rows do not reproduce on this machine.
    """
    from gamesales.scoring.scorer import GRAPH_FILE, load_version  # commands that do not score start without NumPy

    bundle = registry.open_bundle(version)
    loaded = load_version(registry.model, version.number, version.digest, bundle.manifest, bundle.read(GRAPH_FILE))
    loaded.run_self_test()
    return loaded


def load_references(registry: ModelRegistry, version: LoadedVersion) -> FloatArray:
    """Load the reference titles of a version: float64 (r, k), in the order of its contract.

    Raises:
        NoReferenceTitlesError: The version has none.
        IntegrityError: Bytes differ from the digest in the log.
    """
    from gamesales.scoring.reference_titles import REFERENCES_FILE, make_no_references_error, parse_references

    if not version.reference_titles:
        raise make_no_references_error(version)
    bundle = registry.open_bundle(registry.find_version(version.number))
    return parse_references(bundle.read(REFERENCES_FILE), version.contract, f"{bundle.location}/{REFERENCES_FILE}")
