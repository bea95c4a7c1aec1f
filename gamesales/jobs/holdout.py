"""The holdout: the titles on which a candidate and the champion are compared, neither having seen them before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.errors import InputError, InputNotFoundError
from gamesales.jobs.evaluate import data_in, predictions
from gamesales.jobs.loading import load_registered
from gamesales.jobs.titles import digest_of, read_titles
from gamesales.registry import gate
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.resampling import seed_from
from gamesales.registry.state import Version
from gamesales.scoring.counts import RejectLimit

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

    rows: npt.NDArray[np.int64]
    usd: npt.NDArray[np.float64]


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
            error = predictions(loaded, titles) - titles.earnings_usd
            self._errors[version.digest] = Errors(titles.rows, error)
        return self._errors[version.digest]
