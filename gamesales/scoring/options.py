"""Options of a run that change no byte of its result."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from gamesales.data.screen import RejectLimit
from gamesales.scoring.drift import PSI_THRESHOLD
from gamesales.scoring.scorer import LoadedVersion


@dataclass(frozen=True)
class RunOptions:
    """How a run is done.

    Attributes:
        limit: how many rows may be rejected.
        workers: the number of threads that score; by default one per core.
        fresh: whether to score again what an earlier run scored.
        psi_threshold: the population stability index above which a column counts as drifted, before the allowance for
            chance.
        unique_ids: whether duplicate ids stop the run.
        shadow: a second version to compare with.
    """

    limit: RejectLimit = field(default_factory=RejectLimit)
    workers: int | None = None
    fresh: bool = False
    psi_threshold: float = PSI_THRESHOLD
    unique_ids: bool = False
    shadow: LoadedVersion | None = None

    @property
    def threads(self) -> int:
        """The number of threads that score."""
        return self.workers or count_cores()


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
