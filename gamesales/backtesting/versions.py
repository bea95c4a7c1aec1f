"""The versions whose predictions are backtested: their published runs, and their entries in the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from gamesales.data.contract import Contract
from gamesales.errors import InputError, RegistryError
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Evaluation, Version
from gamesales.scoring.results import PublishedRun

_SHIPPED_CONTRACT = Path("data/contract.toml")


@dataclass(frozen=True)
class VersionRuns:
    """The published runs of one version, oldest first, and the version in the registry.

    ``refused`` says why no evidence can be recorded for the version. It is empty if evidence can be recorded.
    """

    runs: Sequence[PublishedRun]
    version: Version | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""

    @property
    def holdout(self) -> Evaluation | None:
        """The latest evaluation on a holdout."""
        return self.version.read_last_holdout_evaluation() if self.version else None

    @property
    def target_coverage(self) -> float | None:
        """The share of earnings that the prediction intervals should contain, or None if there are no intervals."""
        interval = self.manifest.get("interval")
        share = interval.get("coverage") if isinstance(interval, Mapping) else None
        return share if isinstance(share, float) else None


def group_by_version(registry: ModelRegistry, runs: Sequence[PublishedRun]) -> list[VersionRuns]:
    """Group runs by bundle digest. The same version number may be another bundle in another registry."""

    def version_of(run: PublishedRun) -> tuple[str, int, str]:
        return run.model, run.version, run.digest

    ordered = sorted(runs, key=lambda run: (*version_of(run), run.day))
    return [_find_registered(registry, list(group)) for _, group in groupby(ordered, key=version_of)]


def _find_registered(registry: ModelRegistry, runs: Sequence[PublishedRun]) -> VersionRuns:
    """Find the version that made the runs, by its number. Its digest must be the digest in their reports."""
    run = runs[0]
    if run.model != registry.model:
        return VersionRuns(
            runs, refused=f"{run.path} is of model {run.model}, not {registry.model}: give --name {run.model}"
        )
    try:
        version = registry.find(registry.read_state(), run.version, allow_retired=True)
    except RegistryError as error:
        return VersionRuns(runs, refused=error.message)
    if version.digest != run.digest:
        return VersionRuns(
            runs,
            refused=f"{run.path} was scored by a bundle with digest {run.digest[:12]}, but version "
            f"{run.version} in {registry.location} has {version.digest[:12]}",
        )
    try:
        manifest = registry.open_bundle(version).manifest
    except RegistryError as error:  # the bundle of a retired version may be removed
        return VersionRuns(runs, version, refused=error.message)
    return VersionRuns(runs, version, manifest, "it is retired" if version.retirement else "")


def find_contract(versions: Sequence[VersionRuns]) -> Contract:
    """Return the contract of the versions, or ``data/contract.toml`` if the registry has no contract.

    Raises:
        InputError: two versions identify titles by different columns or predict different units, or no column
            identifies a title.
        RegistryError: there is no contract.
    """
    contracts = [Contract.from_json(version.manifest["contract"]) for version in versions if version.manifest]
    if not contracts:
        contracts = [_read_shipped_contract(versions[0].refused)]
    hint = "Backtest the dates of each version separately"
    keys = {(contract.identity, contract.target.name) for contract in contracts}
    if len(keys) > 1:
        names = " and ".join(", ".join([*identity, target]) for identity, target in sorted(keys))
        raise InputError(f"the versions differ in identity or target: {names}", hint=hint)
    units = sorted({contract.unit for contract in contracts})
    if len(units) > 1:
        raise InputError(f"the versions predict different units: {' and '.join(map(repr, units))}", hint=hint)
    if not contracts[0].identity:
        raise InputError(
            "the contract has no identity columns; they are needed to match predictions with earnings",
            hint='Add identity = ["title_id"] to data/contract.toml, and train again',
        )
    return contracts[0]


def _read_shipped_contract(refused: str) -> Contract:
    if not _SHIPPED_CONTRACT.exists():
        raise RegistryError(
            f"{refused}; and there is no {_SHIPPED_CONTRACT} to say which columns identify a title",
            hint="Give --registry PATH",
        )
    return Contract.from_toml(_SHIPPED_CONTRACT)
