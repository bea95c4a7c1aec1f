"""What is measured, and how it is shown. Each suite is a module.

run(bench)      measure, and return what the results keep: ``runs``, ``skipped`` and more, as JSON can hold it
show(result)    make a ``Section`` from that alone
"""

from __future__ import annotations

import importlib
from types import ModuleType

# In the order of the page.
NAMES = ("scoring", "startup", "growth", "limits", "network", "training", "registry")
# A quick run takes these unless it is told which: what a smaller network does is not what one looks up. Each has so
# many seconds, 9.5 minutes in all, and makes as many rounds as fit, so that a slow machine has fewer of them; two,
# however long they take.
QUICK = {"scoring": 230, "startup": 30, "growth": 90, "limits": 100, "training": 100, "registry": 20}


def load(name: str) -> ModuleType:
    """Return a suite by its name."""
    return importlib.import_module(f"{__name__}.{name}")
