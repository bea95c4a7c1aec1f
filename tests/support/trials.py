"""Trials of a search."""

from gamesales.search.trials import Trial
from gamesales.search.tune_job import Candidate

NETWORK = Candidate(units=(3,), activation="relu")


def make_trial(number=0, parameters=100, error=1e-4, state="complete", candidate=NETWORK, seconds=1.0):
    return Trial(number, candidate, parameters, state, () if state == "failed" else (error, error), seconds)
