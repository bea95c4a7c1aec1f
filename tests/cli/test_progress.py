"""The progress of a search on a terminal and in a log."""

import io
import re

import pytest

from gamesales.cli import progress
from gamesales.search.tune_job import SearchSpec
from gamesales.training.fit import Epoch
from support.trials import NETWORK, make_trial

COSINE = NETWORK.model_copy(update={"schedule": "CosineDecay", "units": (7, 5)})


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def show(monkeypatch):
    """Return a function that shows a search on a stream and returns the text without colors and cursor moves."""

    def run(stream, do, **spec):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setenv("TERM", "xterm")
        with progress.show_search(SearchSpec(**{"trials": 9, **spec})) as callbacks:
            do(callbacks)
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", stream.getvalue())

    return run


def report_trials(callbacks):
    callbacks.on_stage("searching [1/2]")
    callbacks.on_trial(make_trial(0, error=3e-5))
    callbacks.on_trial(make_trial(1, error=2e-5, candidate=COSINE))
    callbacks.on_trial(make_trial(2, state="pruned"))
    callbacks.on_start(make_trial(3, parameters=12_345, error=9e-5))


def test_terminal_shows_trials(show):
    """A terminal shows the best trials first, then the running trial and the budget."""
    text = show(Terminal(), report_trials, minutes=10)
    last = text[text.rindex("trial ") :].splitlines()
    assert re.match(r"1 +complete +2\.00e-05 +100 +7-5 relu +0\.001 cosine +32 +50 +0 +0", last[1])
    assert re.match(r"0 +complete +3\.00e-05 +100 +3 relu +0\.001 +32", last[2])
    assert re.match(r"3 +running +9\.00e-05 +12,345", last[3])
    assert "3 of 9 trials: 2 complete, 1 pruned, 0 failed; 0.0 of 10 minutes" in last[4]
    assert "searching [1/2]" in text


def test_terminal_shows_epochs(show):
    """A terminal shows the training of the winner."""
    text = show(Terminal(), lambda callbacks: callbacks.on_epoch(Epoch(3, 50, 1e-5, None, 0.001)))
    assert "epoch 3/50  loss 1.00e-05" in text


def test_log_has_line_for_trial(show):
    """Without a terminal, each trial is a line."""
    text = show(
        io.StringIO(), lambda callbacks: (report_trials(callbacks), callbacks.on_trial(make_trial(4, state="failed")))
    )
    assert "searching [1/2]" == text.splitlines()[0]
    assert 5 == len(text.splitlines())
    assert re.search(r"  trial 1  complete  2\.00e-05 +100 parameters  7-5 relu, learning rate 0\.001 cosine, ", text)
    assert re.search(r"  trial 4  failed           - +100 parameters", text)
