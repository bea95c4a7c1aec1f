"""What the registry knows of a version whose predictions are judged, and what it is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gamesales.data.contract import Contract
from gamesales.data.files import escape_surrogates
from gamesales.errors import InputError, RegistryError
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import BACKTEST, Evaluation, Version
from gamesales.scoring.results import Past

_SHIPPED = Path("data/contract.toml")


@dataclass(frozen=True)
class Known:
    """A version as the registry has it; ``refused`` says why nothing can be recorded of it, empty if it can."""

    version: Version | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""

    @property
    def holdout(self) -> Evaluation | None:
        """Its latest evaluation on titles that it never saw."""
        return self.version.evaluation if self.version else None

    @property
    def target_coverage(self) -> float | None:
        """Which share of earnings its intervals promise to hold; None: it promises none."""
        promised = self.manifest.get("interval")
        share = promised.get("coverage") if isinstance(promised, Mapping) else None
        return share if isinstance(share, float) else None


def look_up(registry: ModelRegistry, past: Past) -> Known:
    """Find the version that made a result, by its number, and hold it to the digest that the result names."""
    if past.model != registry.model:
        return Known(refused=f"{past.place} is of model {past.model}, not {registry.model}: give --name {past.model}")
    try:
        version = registry.find(registry.state(), Ref(registry.model, version=past.version), retired=True)
    except RegistryError as error:
        return Known(refused=error.message)
    if version.digest != past.digest:
        return Known(
            refused=f"{past.place} was scored by a bundle with digest {past.digest[:12]}, but version "
            f"{past.version} in {registry.location} has {version.digest[:12]}"
        )
    try:
        manifest = registry.bundle(version).manifest
    except RegistryError as error:  # a retired version's bundle may be gone
        return Known(version, refused=error.message)
    return Known(version, manifest, "it is retired" if version.retired else "")


def find_contract(known: Sequence[Known]) -> Contract:
    """Return the contract of the versions, or the one that is at hand where the registry has none.

    Raises: InputError: two versions know titles by other columns, or no column identifies a title.
    """
    contracts = [Contract.from_json(one.manifest["contract"]) for one in known if one.manifest]
    if not contracts:
        contracts = [_shipped(known[0].refused)]
    keys = {(one.identity, one.target.name) for one in contracts}
    if len(keys) > 1:
        names = " and ".join(", ".join([*identity, target]) for identity, target in sorted(keys))
        raise InputError(f"the versions differ in identity or target: {names}", hint="Backtest their dates apart")
    if not contracts[0].identity:
        raise InputError(
            "the contract names no identity columns, by which predictions could be found",
            hint='Add identity = ["title_id"] to data/contract.toml, and train again',
        )
    return contracts[0]


def _shipped(refused: str) -> Contract:
    if not _SHIPPED.exists():
        raise RegistryError(
            f"{refused}; and there is no {_SHIPPED} that says which columns identify a title",
            hint="Give --registry PATH",
        )
    return Contract.from_toml(_SHIPPED)


def is_recorded(version: Version, evidence: Mapping[str, Any]) -> bool:
    """Tell whether the log has the same figures on the same actual earnings already."""
    keys = ("data_sha256", "rows", "metrics")
    backtests = [one for one in version.evaluations if one.kind == BACKTEST]
    return any(all(getattr(one, key) == evidence[key] for key in keys) for one in backtests)


def make_evidence(
    actuals: tuple[Path, str], rows: int, metrics: Mapping[str, float | None], details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the log keeps of a backtest.

    Args: actuals: their path and SHA-256. rows: predictions that were joined. details: what else is told of them.
    """
    path, sha256 = actuals
    return {
        "kind": BACKTEST,
        "data": escape_surrogates(str(path)),
        "data_sha256": sha256,
        "rows": rows,
        "metrics": dict(metrics),
        **details,
    }
