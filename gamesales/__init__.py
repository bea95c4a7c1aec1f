"""Predict what each new title will earn.

Past titles become a version in a registry, the gate promotes a version to champion, and the champion scores new titles.

    from gamesales import Registry, score, train

    registry = Registry("registry")
    registry.promote(train("jobs/train.toml").version)
    registry.load("@champion").predict([{"critic_rating": 4.5, "is_action": 1, …}])  # in the unit of the target
    score("data/new_titles.csv", "predictions")  # files

``gamesales.api`` is the Python API and ``gamesales.cli`` the command line. Both call ``gamesales.jobs``, one module for
each verb. The subjects below are ``data``, ``stats``, ``training``, ``search``, ``diagnostics``, ``registry``,
``scoring``, ``backtesting`` and ``report``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
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
_MODULES = {
    "Predictor": "predictor",
    "Registry": "registry",
    **dict.fromkeys(("check_contract", "init"), "tables"),
    **dict.fromkeys(("crossvalidate", "preprocess", "simulate", "train", "tune"), "training"),
    **dict.fromkeys(("preview_run", "release_run", "report_run", "runs", "score"), "scoring"),
    **dict.fromkeys(("backtest", "read_predictions", "vacuum"), "results"),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``import gamesales`` stays cheap."""
    if name == "errors":
        return import_module("gamesales.errors")
    if name in _MODULES:
        return getattr(import_module(f"gamesales.api.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'gamesales' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
