"""The sections of docs/benchmarks.md. Each suite is a module.

run(bench)               measure, and return ``runs``, ``skipped`` and more, as JSON can hold it
build_section(result)    make a ``Section`` from this result alone
"""

# In the order of the page.
NAMES = ("scoring", "startup", "growth", "limits", "network", "training", "registry", "engines", "earlier")
FULL = NAMES[:-2]  # without the suites that need other engines or another checkout
# The suites of a quick run, each with its seconds: together 9.5 minutes. At least two rounds are always measured.
QUICK = {"scoring": 230, "startup": 30, "growth": 90, "limits": 100, "training": 100, "registry": 20}
