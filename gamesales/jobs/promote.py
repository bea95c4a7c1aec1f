"""Promote a version, or roll an alias back.

Only ``champion`` is guarded by the gate. The gate judges findings about the candidate. This module collects them: is an
evaluation on the holdout recorded, is the holdout unseen, and is the candidate no worse than the champion on it?
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.files import escape_surrogates, hash_file
from gamesales.data.labeled_titles import read_titles
from gamesales.data.screen import RejectLimit
from gamesales.errors import InputError, InputNotFoundError, RegistryError, UsageError
from gamesales.jobs.evaluate import (
    EvaluationResult,
    find_data,
    predict_labeled,
    read_scaling,
    record_once,
    training_digest,
)
from gamesales.jobs.loading import load_registered
from gamesales.registry import gate
from gamesales.registry.event import Event
from gamesales.registry.gate import ChampionComparison, Finding
from gamesales.registry.refs import CHAMPION, Ref, check_alias, format_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.bootstrap import derive_seed
from gamesales.training.metrics import evaluate_predictions

HOLDOUT_HINT = "Name a file of titles that neither version saw: --holdout FILE"


@dataclass(frozen=True)
class Promotion:
    """The version that an alias names after a promotion or a rollback, the version before it, and the evidence.

    ``holdout`` and ``comparison`` are None if no versions were compared.
    """

    model: str
    alias: str
    version: int
    previous_version: int | None
    changed: bool
    dry_run: bool
    sequence: int | None
    forced: bool = False
    findings: list[dict[str, Any]] = field(default_factory=list)
    holdout: dict[str, str] | None = None
    comparison: dict[str, Any] | None = None


def promote(
    registry: ModelRegistry,
    ref: Ref,
    *,
    alias: str = CHAMPION,
    reason: str = "",
    force: bool = False,
    dry_run: bool = False,
    holdout: Path | None = None,
) -> Promotion:
    """Make an alias name a version.

    The version must verify and reproduce its golden rows, even with ``force``. For ``champion``, the gate is asked too.

    Args:
        registry: the registry of the model.
        ref: the version to promote.
        alias: the alias to set.
        reason: why, for the log.
        force: whether to promote even if the gate refuses.
        dry_run: whether to ask the gate and write nothing.
        holdout: a file to compare the versions on, instead of the holdout that training kept back.

    Raises:
        GateRefusedError: a condition of the gate does not hold.
        IntegrityError: the bundle was changed.
        SelfTestError: the version does not reproduce its golden rows.
        UsageError: ``force`` without a reason, or a holdout for another alias than ``champion``.
        InputError: the file ``holdout`` can't be used.
    """
    check_alias(alias)
    if force and not reason.strip():
        raise UsageError("--force needs a reason, for the log", hint='Add --reason "…"')
    if holdout and alias != CHAMPION:
        raise UsageError(
            f"--holdout is only for {CHAMPION}, found --alias {alias}; the gate guards no other alias",
            hint=f"Leave out --holdout, or promote to {CHAMPION}",
        )
    state = registry.read_state()
    version = registry.find(state, ref)
    loaded = _load_verified(registry, version)
    current = state.target_of(alias)
    if current == version.number:
        return Promotion(registry.model, alias, current, current, changed=False, dry_run=dry_run, sequence=None)

    gate_evidence = GateEvidence(registry, version, loaded, holdout, dry_run=dry_run) if alias == CHAMPION else None

    def judge(state: State, version: Version) -> Mapping[str, Any]:
        findings, details = gate_evidence.collect(state, version) if gate_evidence else ([], {})
        return gate.judge_findings(format_ref(registry.model, version.number), findings, force=force, details=details)

    if dry_run:
        evidence = judge(state, version)
        return Promotion(
            registry.model, alias, version.number, current, changed=True, dry_run=True, sequence=None, **evidence
        )
    event = registry.set_alias(alias, version.number, reason, judge)
    if event is None:  # another writer set the alias to the same version in the meantime
        same = Ref(registry.model, version=version.number)
        return promote(registry, same, alias=alias, reason=reason, force=force, holdout=holdout)
    return _read_promotion(registry, event)


def roll_back(registry: ModelRegistry, *, alias: str = CHAMPION, reason: str = "") -> Promotion:
    """Make an alias name its previous version. That version must be sound. The gate is not asked."""

    def judge(_state: State, version: Version) -> Mapping[str, Any]:
        _load_verified(registry, version)
        return {"findings": [], "forced": False}

    return _read_promotion(registry, registry.roll_back(alias, reason, judge))


def _load_verified(registry: ModelRegistry, version: Version) -> LoadedVersion:
    registry.open_bundle(version).verify()
    return load_registered(registry, version)


def _read_promotion(registry: ModelRegistry, event: Event) -> Promotion:
    body = event.body
    return Promotion(
        registry.model,
        body["alias"],
        body["version"],
        body["previous_version"],
        changed=True,
        dry_run=False,
        sequence=event.sequence,
        **body["evidence"],
    )


class GateEvidence:
    """The evidence about a candidate that the gate judges.

    The holdout is the file that the candidate's training kept back, or the file that the user names. On a file that
    the user names, the candidate is evaluated at once. The evaluation is recorded, except in a dry run.
    """

    def __init__(
        self, registry: ModelRegistry, candidate: Version, loaded: LoadedVersion, path: Path | None, *, dry_run: bool
    ) -> None:
        self._registry = registry
        self._candidate = candidate
        self._manifest = registry.open_bundle(candidate).manifest
        self._evaluation: EvaluationResult | None = None
        self._holdout = find_holdout(self._manifest) if path is None else self._evaluate(path, loaded, dry_run=dry_run)
        self._comparison = HoldoutComparison(registry, self._holdout) if self._holdout else None

    def _evaluate(self, path: Path, loaded: LoadedVersion, *, dry_run: bool) -> Holdout:
        titles = read_titles(path, loaded.contract, RejectLimit())
        if titles.sha256 != training_digest(self._manifest):  # the gate refuses a holdout of training data
            measured = evaluate_predictions(titles, predict_labeled(loaded, titles), read_scaling(self._manifest))
            reason = "on the holdout of a promotion"
            self._evaluation = record_once(self._registry, self._candidate, titles, measured, reason, dry_run=dry_run)
        return Holdout(path, titles.sha256)

    def collect(self, state: State, candidate: Version) -> tuple[list[Finding], dict[str, Any]]:
        """Return the findings, and the details for the log: the holdout, and the comparison with the champion."""
        champion = state.target_of(CHAMPION)
        if self._holdout is None or self._comparison is None:
            return [gate.check_evaluation_recorded(candidate.read_holdout_evaluations(), None, HOLDOUT_HINT)], {}
        holdout = {"path": escape_surrogates(str(self._holdout.path)), "sha256": self._holdout.sha256}
        findings = [self._check_evaluated(candidate, self._holdout)]
        if champion is None:
            findings.append(self._check_unseen(self._holdout, {candidate.number: self._manifest}))
            return findings, {"holdout": holdout, "comparison": None}
        current = state.read_version(champion)
        manifests = {**self._manifest_of(current), candidate.number: self._manifest}
        not_worse, comparison = _check_not_worse(self._comparison, current, candidate)
        findings += [self._check_unseen(self._holdout, manifests), not_worse]
        numbers = {"champion": champion, "candidate": candidate.number}
        return findings, {"holdout": holdout, "comparison": numbers | asdict(comparison) if comparison else None}

    def _check_evaluated(self, candidate: Version, holdout: Holdout) -> Finding:
        ref = format_ref(self._registry.model, candidate.number)
        remedy = f"Evaluate it: gamesales evaluate {ref} --data {shlex.quote(str(holdout.path))}"
        finding = gate.check_evaluation_recorded(candidate.read_holdout_evaluations(), holdout.sha256, remedy)
        if finding.holds or self._evaluation is None:
            return finding
        return Finding(gate.EVALUATED, True, f"{holdout.path}, {self._evaluation.rows:,} rows, would be recorded first")

    def _check_unseen(self, holdout: Holdout, manifests: Mapping[int, Mapping[str, Any]]) -> Finding:
        digests = {number: training_digest(manifest) for number, manifest in manifests.items()}
        return gate.check_holdout_unseen(holdout.sha256, digests, HOLDOUT_HINT)

    def _manifest_of(self, champion: Version) -> dict[int, Mapping[str, Any]]:
        """Return the manifest by version number. It is empty for a damaged version, which the comparison reports."""
        try:
            return {champion.number: self._registry.open_bundle(champion).manifest}
        except RegistryError:
            return {}


def _check_not_worse(
    holdout: HoldoutComparison, champion: Version, candidate: Version
) -> tuple[Finding, ChampionComparison | None]:
    """Compare the two versions. If they can't be compared, the finding says why."""
    for version in (champion, candidate):
        try:
            holdout.score(version)
        except (InputError, RegistryError) as error:
            message = f"version {version.number} can't be scored on the holdout: {error}"
            return Finding(gate.NO_WORSE, False, message, error.hint), None
    try:
        comparison = holdout.compare(champion, candidate)
    except InputError as error:
        return Finding(gate.NO_WORSE, False, str(error), error.hint), None
    return gate.check_not_worse(comparison, champion.number), comparison


@dataclass(frozen=True)
class Holdout:
    """A file of titles with known earnings, identified by its SHA-256."""

    path: Path
    sha256: str

    def check(self) -> None:
        """Check the file on disk.

        Raises:
            InputError: the file is missing or was changed.
        """
        if not self.path.is_file():
            raise InputNotFoundError(f"there is no file {self.path}", hint=HOLDOUT_HINT)
        self.check_digest(hash_file(self.path))

    def check_digest(self, sha256: str) -> None:
        """Compare the digest of what was read with the expected digest.

        Raises:
            InputError: they differ.
        """
        if sha256 != self.sha256:
            raise InputError(
                f"{self.path} was changed: expected sha256 {self.sha256}, found {sha256}",
                hint=f"Restore it. {HOLDOUT_HINT}",
            )


def find_holdout(manifest: Mapping[str, Any]) -> Holdout | None:
    """Return the holdout that training kept back, or None if the manifest names none."""
    test = find_data(manifest, "test")
    path, digest = test.get("path"), test.get("sha256")
    return Holdout(Path(path), digest) if isinstance(path, str) and isinstance(digest, str) else None


@dataclass(frozen=True)
class RowErrors:
    """The errors of a version.

    ``rows`` is int64 (n,), the row numbers in the file, ascending. ``errors`` is float64 (n,), predicted minus actual,
    in the target's unit.
    """

    rows: IntArray
    errors: FloatArray


class HoldoutComparison:
    """A comparison of versions on one holdout. Each version is scored once, even if the gate is asked again."""

    def __init__(self, registry: ModelRegistry, holdout: Holdout) -> None:
        self._registry = registry
        self._holdout = holdout
        self._errors: dict[str, RowErrors] = {}

    def compare(self, champion: Version, candidate: Version) -> ChampionComparison:
        """Compare two versions on the rows that the champion can score.

        Raises:
            InputError: the holdout is missing or was changed, or the candidate rejects rows that the champion scores.
            RegistryError: a version can't be loaded.
        """
        old, new = self.score(champion), self.score(candidate)
        rejected = np.setdiff1d(old.rows, new.rows, assume_unique=True)
        if len(rejected):
            raise InputError(
                f"it rejects {len(rejected):,} rows of {self._holdout.path} that version {champion.number} scores; "
                f"the first is row {rejected[0]}",
                hint="Correct or remove these rows",
            )
        paired = new.errors[np.isin(new.rows, old.rows, assume_unique=True)]
        return gate.compare_with_champion(old.errors, paired, derive_seed(self._holdout.sha256))

    def score(self, version: Version) -> RowErrors:
        """Score the holdout with a version, and return its errors."""
        if version.digest not in self._errors:
            self._holdout.check()
            loaded = load_registered(self._registry, version)
            titles = read_titles(self._holdout.path, loaded.contract, RejectLimit())
            self._holdout.check_digest(titles.sha256)
            errors = predict_labeled(loaded, titles) - titles.earnings
            self._errors[version.digest] = RowErrors(titles.rows, errors)
        return self._errors[version.digest]
