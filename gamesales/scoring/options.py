"""How a run is done; none of it changes a byte of the result."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from gamesales.data.screen import RejectLimit
from gamesales.scoring.drift import PSI_THRESHOLD
from gamesales.scoring.scorer import LoadedVersion


@dataclass(frozen=True)
class Options:
    """``shadow`` is a second version to compare with; ``unique_ids`` refuses ids that come more than once."""

    limit: RejectLimit = field(default_factory=RejectLimit)
    workers: int | None = None
    fresh: bool = False
    psi_threshold: float = PSI_THRESHOLD
    unique_ids: bool = False
    shadow: LoadedVersion | None = None

    @property
    def threads(self) -> int:
        """As many as asked for, or as there are cores."""
        return self.workers or cores()


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
