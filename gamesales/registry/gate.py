"""The gate: what must be true of a version before ``champion`` may name it.

The gate judges findings that it is given; whoever promotes does the scoring. A refusal can be overridden with a
reason, and then the event says so for ever. What fails verification is no matter of judgement: it never gets here.
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
from gamesales.stats.bootstrap import mean_percentiles, resamples_of

# A candidate passes if, with this confidence, it is not worse by more than this share of the champion's error.
# docs/decisions.md says why these two.
CONFIDENCE = 0.975
MARGIN = 0.05
# Resamples of fewer rows are too much alike to tell how far chance goes: of one row, all are the same.
FEWEST_ROWS = 30


def percent(share: float) -> str:
    """Write a share as people do: ``97.5 %``."""
    return f"{share * 100:g} %"


EVALUATED = "an evaluation on the holdout is recorded"
UNSEEN = "the holdout is no training data of candidate or champion"
NO_WORSE = f"it is shown to be at most {percent(MARGIN)} worse than the champion on the holdout"


@dataclass(frozen=True)
class Finding:
    """One condition of the gate: whether it holds, the figures that say so, and what to type if it does not."""

    condition: str
    holds: bool
    found: str
    remedy: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return what the log keeps."""
        return {"condition": self.condition, "holds": self.holds, "found": self.found}


@dataclass(frozen=True)
class Comparison:
    """Two versions' mean absolute errors on the same rows, in the unit of what they predict.

    ``difference`` is the candidate's less the champion's; ``bound`` is the most that chance leaves possible, with
    ``confidence``; ``limit`` is the most that is let through, ``margin`` times the champion's. ``resamples`` is 0 where
    the bound is that of a normal distribution. With the same spread the candidate would pass at an error of
    ``passes_at`` or less, and with the same difference on ``passes_with_rows``; None: at none.
    """

    rows: int
    candidate_mae: float
    champion_mae: float
    difference: float
    bound: float
    limit: float
    passes: bool
    passes_at: float | None
    passes_with_rows: int | None
    confidence: float
    margin: float
    resamples: int
    seed: int


def compare(champion_errors: FloatArray, candidate_errors: FloatArray, seed: int) -> Comparison:
    """Compare two versions by their errors on the same rows, by the paired bootstrap.

    Args: champion_errors, candidate_errors: float64 (n,), row by row, n > 0; signs do not matter.
    """
    champion, candidate = np.abs(champion_errors), np.abs(candidate_errors)
    more = candidate - champion
    rows, difference, limit = len(more), float(more.mean()), MARGIN * float(champion.mean())
    (bound,) = mean_percentiles(more, [CONFIDENCE], seed)
    chance = bound - difference
    return Comparison(
        rows=rows,
        candidate_mae=float(candidate.mean()),
        champion_mae=float(champion.mean()),
        difference=difference,
        bound=bound,
        limit=limit,
        passes=bound <= limit and rows >= FEWEST_ROWS,
        passes_at=_positive(float(champion.mean()) + limit - chance) if rows >= FEWEST_ROWS else None,
        passes_with_rows=_rows_for(rows, chance, limit - difference),
        confidence=CONFIDENCE,
        margin=MARGIN,
        resamples=resamples_of(rows),
        seed=seed,
    )


def _positive(error: float) -> float | None:
    return error if error > 0 else None


def _rows_for(rows: int, chance: float, room: float) -> int | None:
    """Return how many rows make chance small enough: it shrinks as their square root grows."""
    return max(FEWEST_ROWS, math.ceil(rows * (chance / room) ** 2)) if room > 0 else None


def evaluation_is_recorded(evaluations: Sequence[Evaluation], holdout: str | None, remedy: str) -> Finding:
    """The version's error on titles that it never saw is known.

    Args: holdout: the SHA-256 of the holdout; None: nobody says what it is.
    """
    if holdout is None:
        return Finding(EVALUATED, False, "its manifest names no holdout", remedy)
    on_it = [one for one in evaluations if one.data_sha256 == holdout]
    if not on_it:
        others = f" ({len(evaluations):,} on other data)" if evaluations else ""
        return Finding(EVALUATED, False, f"none is recorded{others}", remedy)
    last = on_it[-1]
    return Finding(EVALUATED, True, f"{last.data}, {last.rows:,} rows, recorded {last.time}")


def holdout_is_unseen(holdout: str, trained_on: Mapping[int, str | None], remedy: str) -> Finding:
    """No version that is compared has learnt from the file that it is compared on.

    Args: trained_on: by version, the SHA-256 of its training data; None where it does not say.
    """
    saw = [number for number, digest in trained_on.items() if digest == holdout]
    if saw:
        return Finding(
            UNSEEN, False, f"it is the very file that version {' and '.join(map(str, saw))} learnt from", remedy
        )
    silent = [str(number) for number, digest in trained_on.items() if digest is None]
    unsaid = f"; version {' and '.join(silent)} does not say what it learnt from" if silent else ""
    return Finding(UNSEEN, True, f"sha256 {holdout[:12]} is not that of training data{unsaid}")


def is_no_worse(comparison: Comparison, champion: int) -> Finding:
    """The candidate's error is not above the champion's by more than the limit, as far as the rows can tell."""
    one = comparison
    found = (
        f"its mean absolute error on {one.rows:,} rows is {one.candidate_mae:,.2f} against {one.champion_mae:,.2f} of "
        f"version {champion}: a difference of {one.difference:,.2f}, and of at most {one.bound:,.2f} with "
        f"{percent(one.confidence)} confidence, where the limit is {one.limit:,.2f}"
    )
    return Finding(NO_WORSE, one.passes, found if one.passes else f"{found}; {would_pass(one)}")


def would_pass(one: Comparison) -> str:
    """Tell what would have to be different for a candidate to pass."""
    if one.rows < FEWEST_ROWS:
        return f"{FEWEST_ROWS} rows or more are needed to tell"
    ways = [] if one.passes_at is None else [f"at {one.passes_at:,.2f} or less"]
    ways += [] if one.passes_with_rows is None else [f"with this difference on about {one.passes_with_rows:,} rows"]
    return f"it would pass {', or '.join(ways)}" if ways else "on so few rows nothing would pass"


def judge(
    ref: str, findings: Sequence[Finding], *, force: bool, details: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Return the evidence for the log, or refuse.

    Args:
        ref: the version, as a command takes it.
        findings: one for each condition.
        force: promote whatever was found.
        details: what else the log keeps, beside the findings.

    Raises: GateRefusedError: a condition does not hold, and nobody forces it.
    """
    failed = [finding for finding in findings if not finding.holds]
    evidence = {"findings": [one.as_dict() for one in findings], "forced": bool(failed), **(details or {})}
    if failed and not force:
        reasons = "; ".join(f"expected that {finding.condition}, but {finding.found}" for finding in failed)
        remedy = next((finding.remedy for finding in failed if finding.remedy), "Train again")
        raise GateRefusedError(
            f"version {ref} may not be promoted: {reasons}",
            hint=f'{remedy}, or override: gamesales promote {ref} --force --reason "…"',
            evidence={**evidence, "forced": False},
        )
    return evidence
