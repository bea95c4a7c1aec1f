# The public names for type checkers. At run time they load at their first use.

from gamesales.api import Predictor as Predictor
from gamesales.api import Registry as Registry
from gamesales.api import read_predictions as read_predictions
from gamesales.api import score as score

__version__: str
__all__ = ["Predictor", "Registry", "__version__", "read_predictions", "score"]
