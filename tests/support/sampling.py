"""Samples of long sweeps: CI runs a part of each, chosen anew by each commit; ``make test-exhaustive`` runs all.

for byte in sample("bytes of a bundle", range(size), 60): ...              inside a test
@pytest.mark.parametrize("name", some("layers", LAYERS, 10))               the others are marked slow
"""

from __future__ import annotations

import os
import random
import subprocess
from functools import cache

import pytest
from hypothesis import settings

from support.versions import ROOT

IS_EXHAUSTIVE = os.environ.get("GAMESALES_TESTS") == "exhaustive"


@cache
def commit():
    """Return the commit that seeds all samples, so that one commit always has the same."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "no commit"


def sample(name, values, count):
    """Return a part of the values in their order; all of them in an exhaustive run."""
    values = list(values)
    if IS_EXHAUSTIVE or count >= len(values):
        return values
    return [values[place] for place in sorted(random.Random(f"{commit()} {name}").sample(range(len(values)), count))]


def many(whole, sampled):
    """Return how often to do something: the whole number in an exhaustive run, and otherwise a sample's."""
    return whole if IS_EXHAUSTIVE else sampled


def seed(name):
    """Return a seed that each commit has anew."""
    return random.Random(f"{commit()} {name}").getrandbits(32)


def some(name, values, count):
    """Return parameters of a test: a part of the values runs in ``make test``, the others in ``make test-full``."""
    values = list(values)
    chosen = set(sample(name, range(len(values)), count))
    return [
        value if place in chosen else pytest.param(*_as_tuple(value), marks=pytest.mark.slow)
        for place, value in enumerate(values)
    ]


def _as_tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def load_profile():
    """Choose how many examples Hypothesis draws where a test does not say: ``ci`` or ``thorough``."""
    # A test that is right on a slow machine is right, so no example has a deadline. CI draws the same examples each
    # time, so that a change is not refused for a fault that it did not make.
    settings.register_profile("ci", deadline=None, max_examples=50, derandomize="CI" in os.environ)
    settings.register_profile("thorough", deadline=None, max_examples=500)
    settings.load_profile("thorough" if IS_EXHAUSTIVE else "ci")
