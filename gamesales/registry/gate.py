"""The gate: what must be true of a version before ``champion`` may name it.

The gate judges findings that it is given; whoever promotes does the scoring. A refusal can be overridden with a
reason, and then the event says so for ever. What fails verification is no matter of judgement: it never gets here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gamesales.errors import GateRefusedError
from gamesales.registry.state import Version


@dataclass(frozen=True)
class Finding:
    """One condition of the gate: whether it holds, and the figures that say so."""

    condition: str
    holds: bool
    found: str


def evaluation_is_recorded(version: Version) -> Finding:
    """The version's error on titles that it never saw is known."""
    condition = "an evaluation on the holdout is recorded"
    last = version.evaluation
    if last is None:
        return Finding(condition, False, "none is recorded")
    return Finding(condition, True, f"{last.data}, {last.rows:,} rows, recorded {last.time}")


def judge(version: Version, findings: Sequence[Finding], *, force: bool) -> Mapping[str, Any]:
    """Return the evidence for the log, or refuse.

    Raises: GateRefusedError: a condition does not hold, and nobody forces it.
    """
    failed = [finding for finding in findings if not finding.holds]
    if failed and not force:
        reasons = "; ".join(f"expected that {finding.condition}, but {finding.found}" for finding in failed)
        raise GateRefusedError(
            f"version {version.number} may not be promoted: {reasons}",
            hint=f'Train again, or override: gamesales promote {version.number} --force --reason "…"',
        )
    return {"findings": [asdict(finding) for finding in findings], "forced": bool(failed)}
