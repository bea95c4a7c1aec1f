# The public names for type checkers. At run time they load at their first use.

from gamesales import errors as errors
from gamesales.api.predictor import Predictor as Predictor
from gamesales.api.registry import Registry as Registry
from gamesales.api.results import backtest as backtest
from gamesales.api.results import read_predictions as read_predictions
from gamesales.api.results import vacuum as vacuum
from gamesales.api.scoring import preview_run as preview_run
from gamesales.api.scoring import release_run as release_run
from gamesales.api.scoring import report_run as report_run
from gamesales.api.scoring import runs as runs
from gamesales.api.scoring import score as score
from gamesales.api.tables import check_contract as check_contract
from gamesales.api.tables import init as init
from gamesales.api.training import crossvalidate as crossvalidate
from gamesales.api.training import preprocess as preprocess
from gamesales.api.training import simulate as simulate
from gamesales.api.training import train as train
from gamesales.api.training import tune as tune

__version__: str
__all__ = [
    "Predictor",
    "Registry",
    "__version__",
    "backtest",
    "check_contract",
    "crossvalidate",
    "errors",
    "init",
    "preprocess",
    "preview_run",
    "read_predictions",
    "release_run",
    "report_run",
    "runs",
    "score",
    "simulate",
    "train",
    "tune",
    "vacuum",
]
