"""What a person sees of a search while it is under way."""

import io
import re

import pytest

from gamesales.cli import search_progress
from gamesales.search.tune_job import SearchSpec
from gamesales.training.fit import Epoch
from support.trials import NETWORK, make_trial

COSINE = NETWORK.model_copy(update={"schedule": "CosineDecay", "units": (7, 5)})


class Terminal(io.StringIO):
    """Where stderr goes to a person."""

    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """Watch a search on a terminal, or elsewhere, and return what was printed without colours and cursor moves."""

    def watch(stream, do, **spec):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setenv("TERM", "xterm")
        with search_progress.watching(SearchSpec(**{"trials": 9, **spec})) as watching:
            do(watching)
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", stream.getvalue())

    return watch


def some_trials(watch):
    watch.stage("searching [1/2]")
    watch.trial(make_trial(0, error=3e-5))
    watch.trial(make_trial(1, error=2e-5, candidate=COSINE))
    watch.trial(make_trial(2, state="pruned"))
    watch.running(make_trial(3, parameters=12_345, error=9e-5))


def test_a_terminal_shows_the_best_first_the_one_under_way_and_the_budget(shown):
    text = shown(Terminal(), some_trials, minutes=10)
    last = text[text.rindex("trial ") :].splitlines()
    assert re.match(r"1 +complete +2\.00e-05 +100 +7-5 relu +0\.001 cosine +32 +50 +0 +0", last[1])
    assert re.match(r"0 +complete +3\.00e-05 +100 +3 relu +0\.001 +32", last[2])
    assert re.match(r"3 +fold 2/5 +9\.00e-05 +12,345", last[3])
    assert "3 of 9 trials: 2 complete, 1 pruned, 0 failed; 0.0 of 10 minutes" in last[4]
    assert "searching [1/2]" in text


def test_a_terminal_shows_the_winner_s_training(shown):
    text = shown(Terminal(), lambda watch: watch.epoch(Epoch(3, 50, 1e-5, None, 0.001)))
    assert "epoch 3/50  loss 1.00e-05" in text


def test_elsewhere_each_trial_is_a_line(shown):
    text = shown(io.StringIO(), lambda watch: (some_trials(watch), watch.trial(make_trial(4, state="failed"))))
    assert "searching [1/2]" == text.splitlines()[0]
    assert 5 == len(text.splitlines())
    assert re.search(r"  trial 1  complete  2\.00e-05 +100 parameters  7-5 relu, learning rate 0\.001 cosine, ", text)
    assert re.search(r"  trial 4  failed           - +100 parameters", text)
