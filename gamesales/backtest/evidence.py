"""The registry's side of a backtest: the version that made a prediction, and the evidence that the log keeps."""

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
from gamesales.scoring.results import PublishedRun

_SHIPPED_CONTRACT = Path("data/contract.toml")


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry. ``refused`` says why no evidence can be recorded for it. It is empty if it can."""

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


def find_registered(registry: ModelRegistry, run: PublishedRun) -> RegisteredVersion:
    """Find the version that made a run, by its number. Its digest must be the digest in the run's report."""
    if run.model != registry.model:
        return RegisteredVersion(
            refused=f"{run.path} is of model {run.model}, not {registry.model}: give --name {run.model}"
        )
    try:
        version = registry.find(registry.read_state(), Ref(registry.model, version=run.version), allow_retired=True)
    except RegistryError as error:
        return RegisteredVersion(refused=error.message)
    if version.digest != run.digest:
        return RegisteredVersion(
            refused=f"{run.path} was scored by a bundle with digest {run.digest[:12]}, but version "
            f"{run.version} in {registry.location} has {version.digest[:12]}"
        )
    try:
        manifest = registry.open_bundle(version).manifest
    except RegistryError as error:  # the bundle of a retired version may be removed
        return RegisteredVersion(version, refused=error.message)
    return RegisteredVersion(version, manifest, "it is retired" if version.retirement else "")


def find_contract(versions: Sequence[RegisteredVersion]) -> Contract:
    """Return the contract of the versions, or ``data/contract.toml`` if the registry has no contract.

    Raises:
        InputError: two versions identify titles by different columns, or no column identifies a title.
        RegistryError: there is no contract.
    """
    contracts = [Contract.from_json(version.manifest["contract"]) for version in versions if version.manifest]
    if not contracts:
        contracts = [_read_shipped_contract(versions[0].refused)]
    keys = {(contract.identity, contract.target.name) for contract in contracts}
    if len(keys) > 1:
        names = " and ".join(", ".join([*identity, target]) for identity, target in sorted(keys))
        raise InputError(
            f"the versions differ in identity or target: {names}", hint="Backtest the dates of each version separately"
        )
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


def make_evidence(
    actuals: tuple[Path, str], rows: int, metrics: Mapping[str, float | None], details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the log keeps of a backtest.

    Args:
        actuals: the path and the SHA-256 of the actual earnings.
        rows: the number of predictions with actual earnings.
        metrics: the metrics of these predictions.
        details: more about the predictions.
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


def is_recorded(version: Version, evidence: Mapping[str, Any]) -> bool:
    """Whether the log has the same metrics on the same actual earnings."""
    keys = ("data_sha256", "rows", "metrics")
    backtests = [evaluation for evaluation in version.read_evaluations() if evaluation.kind == BACKTEST]
    return any(all(getattr(backtest, key) == evidence[key] for key in keys) for backtest in backtests)
