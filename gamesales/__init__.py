"""Predict what each new title will earn.

Past titles become a version in a registry, the gate promotes a version to champion, and the champion scores new titles.

    from gamesales import Registry, score

    Registry("registry").load("game-earnings@champion").predict(titles)  # US dollars
    score("data/new_titles.csv", "predictions")  # files

``gamesales.api`` is the Python API and ``gamesales.cli`` the command line. Both call ``gamesales.jobs``, one module for
each verb. The subjects below are ``data``, ``stats``, ``training``, ``search``, ``diagnostics``, ``registry``,
``scoring``, ``backtesting`` and ``report``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
__all__ = ["Predictor", "Registry", "__version__", "read_predictions", "score"]


def __getattr__(name: str) -> Any:
    """Load the API at the first use of a public name, so that ``import gamesales`` stays cheap."""
    if name in __all__:
        return getattr(import_module("gamesales.api"), name)
    raise AttributeError(f"module 'gamesales' has no attribute {name!r}")
