"""The gate: the conditions under which a version may become ``champion``.

The gate judges findings; the promotion collects them and does the scoring. A refusal can be overridden with a reason,
and the event records it forever. A version that fails verification never reaches the gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.errors import GateRefusedError
from gamesales.registry.state import Evaluation
from gamesales.stats.amounts import format_amount
from gamesales.stats.bootstrap import bootstrap_percentiles, count_resamples

# A candidate passes if, with this confidence, its error exceeds the champion's by at most this share.
# docs/decisions/ has the reason for both.
CONFIDENCE = 0.975
MARGIN = 0.05
# Resamples of fewer rows are too similar to show the spread: of one row, all are equal.
MIN_ROWS = 30


def format_percent(share: float) -> str:
    """Format a share: 0.975 as ``97.5%``."""
    return f"{share * 100:g}%"


EVALUATED = "an evaluation on the holdout is recorded"
UNSEEN = "the holdout is no training data of candidate or champion"
INPUTS_FIT = "the newest inputs of the scoring job have the columns that it needs"
NO_WORSE = f"it is shown to be at most {format_percent(MARGIN)} worse than the champion on the holdout"


@dataclass(frozen=True)
class Finding:
    """One condition of the gate: whether it is met, the observation that shows it, and what to type if it is not."""

    condition: str
    is_met: bool
    observation: str
    remedy: str = field(default="", compare=False)


@dataclass(frozen=True)
class ChampionComparison:
    """The mean absolute errors of a candidate and the champion on the same rows, in the unit of their predictions.

    ``difference`` is the candidate's error minus the champion's. ``bound`` is its upper bound with ``confidence``, and
    ``limit`` the largest bound that passes: ``margin`` times the champion's error. ``resamples`` is 0 if the bound is
    that of a normal distribution. With the same spread, the candidate would pass at ``passing_error`` or less. With the
    same difference, it would pass on ``passes_with_rows`` rows. None means never.
    """

    rows: int
    candidate_mae: float
    champion_mae: float
    difference: float
    bound: float
    limit: float
    passes: bool
    passing_error: float | None
    passes_with_rows: int | None
    confidence: float
    margin: float
    resamples: int
    seed: int


def compare_with_champion(champion_errors: FloatArray, candidate_errors: FloatArray, seed: int) -> ChampionComparison:
    """Compare a candidate with the champion by their errors on the same rows, with a paired bootstrap test.

    Args:
        champion_errors: float64 (n,), n > 0. Signs do not matter.
        candidate_errors: float64 (n,), for the same rows.
        seed: of the resampling.
    """
    champion, candidate = np.abs(champion_errors), np.abs(candidate_errors)
    differences = candidate - champion
    rows, difference, limit = len(differences), float(differences.mean()), MARGIN * float(champion.mean())
    (bound,) = bootstrap_percentiles(differences, [CONFIDENCE], seed)
    spread = bound - difference
    passing_error = float(champion.mean()) + limit - spread
    return ChampionComparison(
        rows=rows,
        candidate_mae=float(candidate.mean()),
        champion_mae=float(champion.mean()),
        difference=difference,
        bound=bound,
        limit=limit,
        passes=bound <= limit and rows >= MIN_ROWS,
        passing_error=passing_error if rows >= MIN_ROWS and passing_error > 0 else None,
        passes_with_rows=_count_rows_to_pass(rows, spread, limit - difference),
        confidence=CONFIDENCE,
        margin=MARGIN,
        resamples=count_resamples(rows),
        seed=seed,
    )


def _count_rows_to_pass(rows: int, spread: float, room: float) -> int | None:
    """Return the number of rows at which the spread fits the room. It shrinks with the square root of the rows."""
    return max(MIN_ROWS, math.ceil(rows * (spread / room) ** 2)) if room > 0 else None


def check_evaluation_recorded(evaluations: Sequence[Evaluation], holdout: str | None, remedy: str) -> Finding:
    """Check that the version's error on the holdout is recorded.

    Args:
        evaluations: of the version, oldest first.
        holdout: the SHA-256 of the holdout; None: it is unknown.
        remedy: what to type if it is not recorded.
    """
    if holdout is None:
        return Finding(EVALUATED, False, "its manifest names no holdout", remedy)
    matches = [evaluation for evaluation in evaluations if evaluation.data_sha256 == holdout]
    if not matches:
        others = f" ({len(evaluations):,} on other data)" if evaluations else ""
        return Finding(EVALUATED, False, f"none is recorded{others}", remedy)
    last = matches[-1]
    return Finding(EVALUATED, True, f"{last.data}, {last.rows:,} rows, recorded {last.time}")


def check_holdout_unseen(holdout: str, training_data: Mapping[int, str | None], remedy: str) -> Finding:
    """Check that no compared version was trained on the holdout.

    Args:
        holdout: the SHA-256 of the holdout.
        training_data: the SHA-256 of the training data, by version; None: it is unknown.
        remedy: what to type if a version was trained on the holdout.
    """
    trained = [str(number) for number, digest in training_data.items() if digest == holdout]
    if trained:
        return Finding(UNSEEN, False, f"it is the training data of version {' and '.join(trained)}", remedy)
    unknown = [str(number) for number, digest in training_data.items() if digest is None]
    note = f"; the training data of version {' and '.join(unknown)} is unknown" if unknown else ""
    return Finding(UNSEEN, True, f"sha256 {holdout[:12]} is not that of training data{note}")


def check_not_worse(comparison: ChampionComparison, champion: int) -> Finding:
    """Check that the bound of the difference in error does not exceed the limit. ``champion`` is its number."""
    confidence = format_percent(comparison.confidence)
    amounts = comparison.candidate_mae, comparison.champion_mae, comparison.difference, comparison.bound
    mae, champion_mae, difference, bound = map(_format_amount, amounts)
    observation = (
        f"its mean absolute error on {comparison.rows:,} rows is {mae}, against {champion_mae} for version {champion}: "
        f"the difference is {difference}, at most {bound} with {confidence} confidence, and the limit is "
        f"{_format_amount(comparison.limit)}"
    )
    if not comparison.passes:
        observation += f"; {describe_passing(comparison)}"
    return Finding(NO_WORSE, comparison.passes, observation)


def describe_passing(comparison: ChampionComparison) -> str:
    """Describe what a refused candidate needs to pass."""
    if comparison.rows < MIN_ROWS:
        return f"at least {MIN_ROWS} rows are needed"
    ways = [] if comparison.passing_error is None else [f"at {_format_amount(comparison.passing_error)} or less"]
    if comparison.passes_with_rows is not None:
        ways.append(f"with this difference on about {comparison.passes_with_rows:,} rows")
    return f"it would pass {', or '.join(ways)}" if ways else "no candidate can pass on so few rows"


def _format_amount(amount: float) -> str:
    return format_amount(amount, 2, significant=4, sign="")


def describe_refusal(findings: Sequence[Finding]) -> str:
    """Describe the findings that are not met. The text is empty if all are met."""
    return "; ".join(finding.observation for finding in findings if not finding.is_met)


def describe_new_columns(columns: Sequence[str], champion: int) -> str:
    """Describe the columns that the candidate needs and the champion does not."""
    return (
        f"this version needs {', '.join(columns)}, which version {champion} does not need; scoring runs fail if their "
        "inputs lack a column"
    )


def describe_changed_columns(changes: Sequence[str], champion: int) -> str:
    """Describe the columns that the candidate reads in another way than the champion. Each change is a text."""
    return f"this version reads columns in another way than version {champion}: {'; '.join(changes)}"


def judge_findings(
    ref: str, findings: Sequence[Finding], *, command: str, force: bool, details: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Return the evidence for the log, or refuse.

    Args:
        ref: the version, as people name it.
        findings: one for each condition.
        command: the command that promotes the version.
        force: promote even if a condition is not met.
        details: more evidence for the log.

    Raises:
        GateRefusedError: a condition is not met, and ``force`` is False.
    """
    failed = [finding for finding in findings if not finding.is_met]
    evidence = {
        "findings": [
            {"condition": finding.condition, "is_met": finding.is_met, "observation": finding.observation}
            for finding in findings
        ],
        "forced": bool(failed),
        **(details or {}),
    }
    if failed and not force:
        reasons = "; ".join(f"expected that {finding.condition}, but {finding.observation}" for finding in failed)
        remedy = next((finding.remedy for finding in failed if finding.remedy), "Train again")
        raise GateRefusedError(
            f"version {ref} may not be promoted: {reasons}",
            hint=f'{remedy}, or override: {command} --force --reason "…"',
            evidence={**evidence, "forced": False},
        )
    return evidence
