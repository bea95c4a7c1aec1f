"""A version becomes champion, if the gate lets it; or the champion before it becomes champion again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.files import escape_surrogates
from gamesales.data.labeled_titles import digest_of, read_titles
from gamesales.data.screen import RejectLimit
from gamesales.errors import InputError, InputNotFoundError, RegistryError, UsageError
from gamesales.jobs.evaluate import Evaluated, data_in, measure, predictions, record, scaling_in, trained_on
from gamesales.jobs.loading import load_registered
from gamesales.registry import gate
from gamesales.registry.gate import Comparison, Finding
from gamesales.registry.log import Event
from gamesales.registry.refs import CHAMPION, Ref, check_alias, short_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.bootstrap import seed_from


@dataclass(frozen=True)
class Promotion:
    """What an alias names after a promotion or a rollback, what it named before, and on what evidence.

    ``holdout`` and ``comparison`` are None where nothing was compared.
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

    The version must verify and reproduce its golden rows, whatever ``force`` says; ``champion`` asks the gate too.

    Args:
        registry: where the version is.
        ref: which version.
        alias: what is to name it.
        reason: why, for the log.
        force: whether it happens even if the gate refuses.
        dry_run: whether to ask the gate alone.
        holdout: what to compare on instead of the file that training held back.

    Raises: GateRefusedError: a condition does not hold. IntegrityError, SelfTestError: the version is not sound.
        UsageError: forced without a reason. InputError: the holdout that was given can't be used.
    """
    check_alias(alias)
    if force and not reason.strip():
        raise UsageError("--force needs a reason, for the log", hint='Add --reason "…"')
    if holdout and alias != CHAMPION:
        raise UsageError(f"--holdout is for {CHAMPION}, which alone the gate guards; {alias} is compared with nothing")
    state = registry.state()
    version = registry.find(state, ref)
    loaded = _sound(registry, version)
    current = state.aliased(alias)
    if current == version.number:
        return Promotion(registry.model, alias, current, current, changed=False, dry_run=dry_run, sequence=None)

    hearing = Hearing(registry, version, loaded, holdout, dry_run=dry_run) if alias == CHAMPION else None

    def judge(state: State, version: Version) -> Mapping[str, Any]:
        findings, details = hearing.hear(state, version) if hearing else ([], {})
        return gate.judge(short_ref(registry.model, version.number), findings, force=force, details=details)

    if dry_run:
        evidence = judge(state, version)
        return Promotion(
            registry.model, alias, version.number, current, changed=True, dry_run=True, sequence=None, **evidence
        )
    event = registry.set_alias(alias, version.number, reason, judge)
    if event is None:  # another writer set it to the same version meanwhile
        same = Ref(registry.model, version=version.number)
        return promote(registry, same, alias=alias, reason=reason, force=force, holdout=holdout)
    return _promotion(registry, event)


def roll_back(registry: ModelRegistry, *, alias: str = CHAMPION, reason: str = "") -> Promotion:
    """Make an alias name the version that it named before. The version must be sound; the gate is not asked."""

    def judge(_state: State, version: Version) -> Mapping[str, Any]:
        _sound(registry, version)
        return {"findings": [], "forced": False}

    return _promotion(registry, registry.roll_back(alias, reason, judge))


def _sound(registry: ModelRegistry, version: Version) -> LoadedVersion:
    registry.bundle(version).verify()
    return load_registered(registry, version)


def _promotion(registry: ModelRegistry, event: Event) -> Promotion:
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


class Hearing:
    """A candidate and its holdout: the one that its training kept back, or one that is given.

    On one that is given the candidate is evaluated at once, and that is recorded, except in a dry run.
    """

    def __init__(
        self, registry: ModelRegistry, candidate: Version, loaded: LoadedVersion, given: Path | None, *, dry_run: bool
    ) -> None:
        self._registry = registry
        self._candidate = candidate
        self._manifest = registry.bundle(candidate).manifest
        self._evaluated: Evaluated | None = None
        self._holdout = named_by(self._manifest) if given is None else self._evaluate(given, loaded, dry_run=dry_run)
        self._trial = Trial(registry, self._holdout) if self._holdout else None

    def _evaluate(self, given: Path, loaded: LoadedVersion, *, dry_run: bool) -> Holdout:
        titles = read_titles(given, loaded.contract, RejectLimit())
        if titles.sha256 != trained_on(self._manifest):  # that would be no evaluation, and the gate says so
            measured = measure(titles, predictions(loaded, titles), scaling_in(self._manifest))
            reason = "on the holdout of a promotion"
            self._evaluated = record(self._registry, self._candidate, titles, measured, reason, dry_run=dry_run)
        return Holdout(given, titles.sha256)

    def hear(self, state: State, candidate: Version) -> tuple[list[Finding], dict[str, Any]]:
        """Return the findings, and what else the log keeps: the holdout, and how the two versions compare."""
        champion = state.aliased(CHAMPION)
        if self._holdout is None or self._trial is None:
            return [gate.evaluation_is_recorded(candidate.held_out, None, REMEDY)], {}
        holdout = {"path": escape_surrogates(str(self._holdout.path)), "sha256": self._holdout.sha256}
        findings = [self._is_evaluated(candidate, self._holdout)]
        if champion is None:
            findings.append(self._is_unseen(self._holdout, {candidate.number: self._manifest}))
            return findings, {"holdout": holdout, "comparison": None}
        before = state.version(champion)
        manifests = {**self._manifest_of(before), candidate.number: self._manifest}
        no_worse, comparison = _compared(self._trial, before, candidate)
        findings += [self._is_unseen(self._holdout, manifests), no_worse]
        numbers = {"champion": champion, "candidate": candidate.number}
        return findings, {"holdout": holdout, "comparison": numbers | asdict(comparison) if comparison else None}

    def _is_evaluated(self, candidate: Version, holdout: Holdout) -> Finding:
        ref = short_ref(self._registry.model, candidate.number)
        remedy = f"Evaluate it: gamesales evaluate {ref} --data {shlex.quote(str(holdout.path))}"
        finding = gate.evaluation_is_recorded(candidate.held_out, holdout.sha256, remedy)
        if finding.holds or self._evaluated is None:
            return finding
        return Finding(gate.EVALUATED, True, f"{holdout.path}, {self._evaluated.rows:,} rows, would be recorded first")

    def _is_unseen(self, holdout: Holdout, manifests: Mapping[int, Mapping[str, Any]]) -> Finding:
        digests = {number: trained_on(manifest) for number, manifest in manifests.items()}
        return gate.holdout_is_unseen(holdout.sha256, digests, REMEDY)

    def _manifest_of(self, champion: Version) -> dict[int, Mapping[str, Any]]:
        """Return a manifest by its version; nothing if it is damaged, which the comparison tells."""
        try:
            return {champion.number: self._registry.bundle(champion).manifest}
        except RegistryError:
            return {}


def _compared(trial: Trial, champion: Version, candidate: Version) -> tuple[Finding, Comparison | None]:
    """Compare the two, or say why they can't be."""
    for version in (champion, candidate):
        try:
            trial.errors(version)
        except (InputError, RegistryError) as error:
            found = f"version {version.number} can't be scored on the holdout: {error}"
            return Finding(gate.NO_WORSE, False, found, error.hint), None
    try:
        comparison = trial.compare(champion, candidate)
    except InputError as error:
        return Finding(gate.NO_WORSE, False, str(error), error.hint), None
    return gate.is_no_worse(comparison, champion.number), comparison


REMEDY = "Name a file of titles that neither version saw: --holdout FILE"


@dataclass(frozen=True)
class Holdout:
    """A file of titles, known by its digest."""

    path: Path
    sha256: str

    def check(self) -> None:
        """Raises: InputError: the file is gone, or is another one by now."""
        if not self.path.is_file():
            raise InputNotFoundError(f"there is no file {self.path}", hint=REMEDY)
        self.require(digest_of(self.path))

    def require(self, found: str) -> None:
        """Hold a digest to the one that is expected."""
        if found != self.sha256:
            raise InputError(
                f"{self.path} was changed: expected sha256 {self.sha256}, found {found}",
                hint=f"Restore it. {REMEDY}",
            )


def named_by(manifest: Mapping[str, Any]) -> Holdout | None:
    """Return the holdout that training kept back, as the manifest names it."""
    test = data_in(manifest, "test")
    path, digest = test.get("path"), test.get("sha256")
    return Holdout(Path(path), digest) if isinstance(path, str) and isinstance(digest, str) else None


@dataclass(frozen=True)
class Errors:
    """By how many dollars a version is off: float64 (n,) for the rows of these numbers, int64 (n,), ascending."""

    rows: IntArray
    usd: FloatArray


class Trial:
    """Versions tried on one holdout. Each is scored once, however often the gate has to be asked."""

    def __init__(self, registry: ModelRegistry, holdout: Holdout) -> None:
        self._registry = registry
        self._holdout = holdout
        self._errors: dict[str, Errors] = {}

    def compare(self, champion: Version, candidate: Version) -> gate.Comparison:
        """Compare two versions on the rows that the champion can score.

        Raises: InputError: the holdout is gone or was changed, or the candidate rejects rows that the champion scores.
            RegistryError: a version can't be loaded.
        """
        before, after = self.errors(champion), self.errors(candidate)
        rejected = np.setdiff1d(before.rows, after.rows, assume_unique=True)
        if len(rejected):
            raise InputError(
                f"it rejects {len(rejected):,} rows of {self._holdout.path} that version {champion.number} scores; "
                f"the first is row {rejected[0]}",
                hint="Mend or remove these rows",
            )
        paired = after.usd[np.isin(after.rows, before.rows, assume_unique=True)]
        return gate.compare(before.usd, paired, seed_from(self._holdout.sha256))

    def errors(self, version: Version) -> Errors:
        """Score a version, and compare with what the titles earned."""
        if version.digest not in self._errors:
            self._holdout.check()
            loaded = load_registered(self._registry, version)
            titles = read_titles(self._holdout.path, loaded.contract, RejectLimit())
            self._holdout.require(titles.sha256)
            error = predictions(loaded, titles) - titles.earnings
            self._errors[version.digest] = Errors(titles.rows, error)
        return self._errors[version.digest]
