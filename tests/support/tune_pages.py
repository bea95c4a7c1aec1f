"""The page of a small search, to render."""

import numpy as np

from gamesales.report.tune_page import TrialSummary

ACTIVATIONS = ("relu", "silu")


def make_search(best, smallest, trials, **changes):
    """Return the document of a search with these trials as the best and the smallest."""
    return {
        "study": "0" * 64,
        "settings": {"search": {"tolerance": 0.1, "folds": 5, "seed": 1}},
        "optuna": "4.0",
        "trials": trials,
        "complete": 26,
        "pruned": 13,
        "failed": 1,
        "seconds": 60.0,
        "chosen": "smallest",
        "best": {"trial": best},
        "smallest": {"trial": smallest},
        "front": [{"trial": number} for number in dict.fromkeys([smallest, best])],
        "importances": {"learning_rate": 0.7, "units": 0.25, "activation": 0.05},
        **changes,
    }


def make_tune_page(size=40, **changes):
    """Return the content of a page: large networks and low rates have lower errors; the last but one trial failed."""
    random = np.random.default_rng(7)
    summaries = []
    for number in range(size):
        units, rate = int(random.integers(4, 100)), float(10 ** random.uniform(-3, -1.5))
        error = float(1e-5 * (1 + 10 / units + 20 * rate) * random.uniform(1, 1.5))
        state = "failed" if number == size - 2 else "pruned" if number % 3 == 2 else "complete"
        hyperparameters = {
            "layers": 1,
            "units_1": units,
            "activation": ACTIVATIONS[number % 2],
            "learning_rate": rate,
            "l2": 0.0,
        }
        summaries.append(
            TrialSummary(
                number=number,
                state=state,
                parameters=11 * units + 1,
                error=None if state == "failed" else error,
                final_error=1.1 * error if number in (1, 4) else None,
                network=f"{units} {ACTIVATIONS[number % 2]}",
                hyperparameters=hyperparameters,
            )
        )
    best, smallest = sorted((1, 4), key=lambda number: summaries[number].parameters, reverse=True)
    search = make_search(best, smallest, size, **changes)
    return {"model": "game-earnings", "titles": "train.csv, 1,000 rows", "search": search, "trials": summaries}
