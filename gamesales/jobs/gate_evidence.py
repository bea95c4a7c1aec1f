"""Collect the evidence that the gate judges: evaluations, training data, and a comparison with the champion."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.files import escape_surrogates, hash_file
from gamesales.data.labeled_titles import read_titles
from gamesales.data.screen import RejectLimit
from gamesales.errors import InputError, InputNotFoundError, RegistryError
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
from gamesales.registry.gate import ChampionComparison, Finding
from gamesales.registry.refs import CHAMPION, format_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.bootstrap import derive_seed
from gamesales.training.evaluation import evaluate_predictions

HOLDOUT_HINT = "Name a file of titles that neither version saw: --holdout FILE"


@dataclass(frozen=True)
class Holdout:
    """A file of titles with known earnings, identified by its SHA-256."""

    path: Path
    sha256: str

    def check(self, sha256: str) -> None:
        """Compare the digest of the file on disk, or of what was read, with the expected digest.

        Raises:
            InputError: they differ.
        """
        if sha256 != self.sha256:
            raise InputError(
                f"{self.path} was changed: expected sha256 {self.sha256}, found {sha256}",
                hint=f"Restore it. {HOLDOUT_HINT}",
            )


class GateEvidence:
    """The evidence about a candidate that the gate judges.

    The holdout is the file that the candidate's training kept back, or the file that the user names. On a file that
    the user names, the candidate is evaluated at once. The evaluation is recorded, except in a dry run. Each version
    is scored once, even if the gate is asked again.
    """

    def __init__(
        self, registry: ModelRegistry, candidate: Version, loaded: LoadedVersion, path: Path | None, *, dry_run: bool
    ) -> None:
        self._registry = registry
        self._bundle = registry.open_bundle(candidate)
        self._evaluation: EvaluationResult | None = None
        # By the digest of the version: the row numbers in the file, ascending, and predicted minus actual.
        self._errors: dict[str, tuple[IntArray, FloatArray]] = {}
        self._holdout = self._evaluate(candidate, path, loaded, dry_run=dry_run) if path else self._find_holdout()

    def _find_holdout(self) -> Holdout | None:
        """Return the holdout that training kept back, or None if the manifest names none."""
        test = find_data(self._bundle.manifest, "test")
        path, digest = test.get("path"), test.get("sha256")
        return Holdout(Path(path), digest) if isinstance(path, str) and isinstance(digest, str) else None

    def _evaluate(self, candidate: Version, path: Path, loaded: LoadedVersion, *, dry_run: bool) -> Holdout:
        titles = read_titles(path, loaded.contract, RejectLimit())
        if titles.sha256 != training_digest(self._bundle.manifest):  # the gate refuses a holdout of training data
            measured = evaluate_predictions(titles, predict_labeled(loaded, titles), read_scaling(self._bundle))
            reason = "on the holdout of a promotion"
            self._evaluation = record_once(self._registry, candidate, titles, measured, reason, dry_run=dry_run)
        return Holdout(path, titles.sha256)

    def collect(self, state: State, candidate: Version) -> tuple[list[Finding], dict[str, Any]]:
        """Return the findings, and the details for the log: the holdout, and the comparison with the champion."""
        holdout = self._holdout
        if holdout is None:
            return [gate.check_evaluation_recorded(candidate.read_holdout_evaluations(), None, HOLDOUT_HINT)], {}
        details = {"holdout": {"path": escape_surrogates(str(holdout.path)), "sha256": holdout.sha256}}
        evaluated = self._check_evaluated(candidate, holdout)
        digests = {candidate.number: training_digest(self._bundle.manifest)}
        number = state.target_of(CHAMPION)
        if number is None:
            unseen = gate.check_holdout_unseen(holdout.sha256, digests, HOLDOUT_HINT)
            return [evaluated, unseen], {**details, "comparison": None}
        champion = state.read_version(number)
        digests = {**self._read_training_digest(champion), **digests}
        unseen = gate.check_holdout_unseen(holdout.sha256, digests, HOLDOUT_HINT)
        not_worse, comparison = self._check_not_worse(holdout, champion, candidate)
        numbers = {"champion": number, "candidate": candidate.number}
        compared = numbers | asdict(comparison) if comparison else None
        return [evaluated, unseen, not_worse], {**details, "comparison": compared}

    def _check_evaluated(self, candidate: Version, holdout: Holdout) -> Finding:
        ref = format_ref(self._registry.model, candidate.number)
        remedy = f"Evaluate it: gamesales evaluate {ref} --data {shlex.quote(str(holdout.path))}"
        finding = gate.check_evaluation_recorded(candidate.read_holdout_evaluations(), holdout.sha256, remedy)
        if finding.is_met or self._evaluation is None:
            return finding
        return Finding(gate.EVALUATED, True, f"{holdout.path}, {self._evaluation.rows:,} rows, would be recorded first")

    def _read_training_digest(self, champion: Version) -> Mapping[int, str | None]:
        """Return the digest of the training data. It is missing for a damaged version, which the comparison reports."""
        try:
            return {champion.number: training_digest(self._registry.open_bundle(champion).manifest)}
        except RegistryError:
            return {}

    def _check_not_worse(
        self, holdout: Holdout, champion: Version, candidate: Version
    ) -> tuple[Finding, ChampionComparison | None]:
        """Compare the two versions. If they can't be compared, the finding says why."""
        for version in (champion, candidate):
            try:
                self._score(holdout, version)
            except (InputError, RegistryError) as error:
                message = f"version {version.number} can't be scored on the holdout: {error}"
                return Finding(gate.NO_WORSE, False, message, error.hint), None
        (old_rows, old_errors), (rows, errors) = self._errors[champion.digest], self._errors[candidate.digest]
        rejected = np.setdiff1d(old_rows, rows, assume_unique=True)
        if len(rejected):
            message = (
                f"it rejects {len(rejected):,} rows of {holdout.path} that version {champion.number} scores; "
                f"the first is row {rejected[0]}"
            )
            return Finding(gate.NO_WORSE, False, message, "Correct or remove these rows"), None
        paired = errors[np.isin(rows, old_rows, assume_unique=True)]  # the rows that the champion can score
        comparison = gate.compare_with_champion(old_errors, paired, derive_seed(holdout.sha256))
        return gate.check_not_worse(comparison, champion.number), comparison

    def _score(self, holdout: Holdout, version: Version) -> None:
        """Score the holdout with a version, unless it was scored before."""
        if version.digest in self._errors:
            return
        if not holdout.path.is_file():
            raise InputNotFoundError(f"there is no file {holdout.path}", hint=HOLDOUT_HINT)
        holdout.check(hash_file(holdout.path))
        loaded = load_registered(self._registry, version)
        titles = read_titles(holdout.path, loaded.contract, RejectLimit())
        holdout.check(titles.sha256)
        self._errors[version.digest] = titles.rows, predict_labeled(loaded, titles) - titles.earnings
