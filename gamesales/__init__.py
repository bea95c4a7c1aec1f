"""gamesales: what will each new title earn?

data/       what a table of titles is: contract, files, a simulated store
model/      past titles become a network, its figures and one scoring graph
registry/   every version ever trained, and a log that says which one is live
scoring/    titles become dollars, with every row accounted for
report/     the pages that people look at
jobs/       these four introduced to one another: train, promote, score
cli/        the command line; api.py, the Python API

from gamesales import Registry

Registry("registry").load("game-earnings@champion").predict(titles)  # US dollars
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamesales.release import RELEASE

if TYPE_CHECKING:
    from gamesales.api import Predictor, Registry, read_predictions

__version__ = RELEASE
__all__ = ["Predictor", "Registry", "__version__", "read_predictions"]


def __getattr__(name: str) -> Any:
    """Load the API when it is first asked for, so that importing gamesales costs nothing."""
    if name in ("Predictor", "Registry", "read_predictions"):
        from gamesales import api

        return getattr(api, name)
    raise AttributeError(f"module 'gamesales' has no attribute {name!r}")
