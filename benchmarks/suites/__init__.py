"""What is measured, and how it is shown. Each suite is a module.

run(bench)      measure, and return what the results keep: ``runs``, ``skipped`` and more, as JSON can hold it
show(result)    make a ``Section`` from that alone
"""

from __future__ import annotations

import importlib
from types import ModuleType

# In the order of the page.
NAMES = ("scoring", "startup", "growth", "limits", "network", "training", "registry")
# A quick run takes these unless it is told which: what a smaller network does is not what one looks up.
QUICK = tuple(name for name in NAMES if name != "network")


def load(name: str) -> ModuleType:
    """Return a suite by its name."""
    return importlib.import_module(f"{__name__}.{name}")
