"""Progress: one line with the time left on a terminal, which no other output damages, and plain lines in a log."""

import io
import re
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.cli import progress, progress_line
from gamesales.cli.progress_line import format_duration, show_line
from gamesales.search.tune_job import SearchSpec
from gamesales.training.fit import Epoch
from support.terminals import read_screen, terminals
from support.trials import NETWORK, make_trial

COSINE = NETWORK.model_copy(update={"schedule": "CosineDecay", "units": (7, 5)})
EPOCH = Epoch(3, 50, 1e-5, None, 0.001)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, so that no line is too early."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def read_line(err):
    """Return the line of progress, which is the last line that was drawn."""
    return err.getvalue().rpartition("\x1b[K")[2]


# --- The line.


def test_quick_command_shows_no_line(clock):
    """A command that ends within a second shows no progress."""
    with terminals(80, color=True) as (_, err):
        with show_line() as line:
            line.update("reading", 3)
        assert err.getvalue() == ""


def test_time_left(clock):
    """The line shows a bar, what is done and the time left, which goes down while nothing happens."""
    with terminals(80, color=True) as (_, err), show_line() as line:
        clock[0] += 20
        line.update("40 of 120 rows", 60)
        assert read_line(err) == "[#####...............]  25%  40 of 120 rows  about 1 min left"
        clock[0] += 40
        line.draw()
        assert read_line(err) == "[###############.....]  75%  40 of 120 rows  about 20 s left"
        clock[0] += 40
        line.draw()
        assert read_line(err) == "[####################]  100%  40 of 120 rows  almost done"


def test_time_without_estimate(clock):
    """Without an estimate, the line shows the time since the start, and no bar."""
    with terminals(80, color=True) as (_, err), show_line() as line:
        clock[0] += 72
        line.update("starting TensorFlow")
        assert read_line(err) == "starting TensorFlow  1 min 12 s so far"


def interrupt(clock):
    """Print a warning and half a line while the line of progress is shown, until Ctrl-C."""
    with show_line() as line:
        clock[0] += 5
        line.update("working", 5)
        for text in ("a warning\n", "half a ", "line\n"):
            sys.stderr.write(text)
            line.draw()
        raise KeyboardInterrupt


def test_line_vanishes(clock):
    """Other output stands above the line, and the line is gone at the end, also after an error."""
    with terminals(80, color=True) as (_, err):
        with pytest.raises(KeyboardInterrupt):
            interrupt(clock)
        assert sys.stderr is err
    assert err.getvalue().count("working") == 3
    assert read_screen(err) == "a warning\nhalf a line\n"


def test_line_is_redrawn(monkeypatch):
    """While a command is busy, the line is drawn again every second."""
    monkeypatch.setattr(progress_line, "_QUIET_SECONDS", 0.0)
    with terminals(80, color=True) as (_, err), show_line() as line:
        line.update("working", 100)
        drawn = err.getvalue().count("working")
        end = time.monotonic() + 20
        while err.getvalue().count("working") == drawn and time.monotonic() < end:
            time.sleep(0.05)
        assert err.getvalue().count("working") > drawn


@given(
    st.text("ab 1,", min_size=1, max_size=90), st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.integers(20, 120)
)
def test_line_fits(text, elapsed, left, width):
    """The line is never wider than the terminal, unless a single word is."""
    line = progress_line._format_line(text, elapsed, left, width)
    assert len(line) <= width or " " not in line.strip()
    assert "\n" not in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.6, "1 s"), (8, "8 s"), (42, "40 s"), (58, "1 min"), (200, "3 min"), (4800, "1 h 20 min")],
)
def test_durations(seconds, text):
    """A duration has the precision of an estimate."""
    assert format_duration(seconds) == text


def train_an_epoch():
    with progress.show_training() as (on_stage, on_epoch):
        on_stage("training")
        on_epoch(Epoch(50, 50, 1e-5, 2e-5, 0.001))


def test_logs_have_no_line(capsys):
    """A pipe and a dumb terminal get plain lines: no bar and no escape sequence."""
    with terminals(80) as (_, err):
        train_an_epoch()
    train_an_epoch()
    assert capsys.readouterr().err == err.getvalue()
    assert err.getvalue() == "training\n  epoch 50/50  loss 1.00e-05  validation 2.00e-05\n"


# --- Training, scoring and searching.


def test_training(clock):
    """The time left of a training is that of the other epochs, and half of the start for the evaluation."""
    with terminals(80, color=True) as (_, err), progress.show_training() as (on_stage, on_epoch):
        for stage in ("searching for hours", "reading", "starting", "training"):
            clock[0] += {"reading": 5000, "training": 20}.get(stage, 5)
            on_stage(stage)
        clock[0] += 5
        on_epoch(Epoch(1, 100, 1e-3, None, 0.001))
        assert "about" not in read_line(err)
        clock[0] += 9
        on_epoch(Epoch(10, 100, 1e-3, None, 0.001))
        assert read_line(err) == "[###################.]  98%  epoch 10 of 100, loss 1.00e-03  about 2 min left"
    assert read_screen(err).splitlines()[-1] == "training"


def test_scoring(clock):
    """The time left of a backfill is that of all dates."""
    with terminals(80, color=True) as (_, err), progress.show_scoring("text", 2) as callbacks:
        callbacks["on_plan"](1000, 1, "game-earnings/1")
        clock[0] += 10
        callbacks["on_rows"](500)
        assert read_line(err) == "[#####...............]  25%  500 of 1,000 rows, date 1 of 2  about 30 s left"
        callbacks["on_done"](None)
        callbacks["on_plan"](2000, 1, "game-earnings/1")
        clock[0] += 20
        callbacks["on_rows"](1000)
        assert read_line(err) == "[###############.....]  75%  1,000 of 2,000 rows, date 2 of 2  about 10 s left"
        callbacks["on_hook_line"]("a line of a hook")
    assert read_screen(err) == "a line of a hook\n"


def report_trials(callbacks):
    callbacks.on_stage("searching [1/2]")
    callbacks.on_trial(make_trial(0, error=3e-5))
    callbacks.on_trial(make_trial(1, error=2e-5, candidate=COSINE))
    callbacks.on_trial(make_trial(2, state="pruned"))
    callbacks.on_start(make_trial(3, parameters=12_345, error=9e-5))


def test_searching(clock):
    """A terminal shows each trial that is better than all before it, the budget, and then the training."""
    with terminals(120, color=True) as (_, err), progress.show_search(SearchSpec(trials=9)) as callbacks:
        clock[0] += 5
        report_trials(callbacks)
        clock[0] += 1
        callbacks.on_start(make_trial(3))
        assert re.match(r"\[#+\.+\] +\d+%  3 of 9 trials: 2 complete, 1 pruned, 0 failed  about \d+", read_line(err))
        clock[0] += 5
        callbacks.on_epoch(EPOCH)
        assert read_line(err) == "epoch 3 of 50, loss 1.00e-05  11 s so far"
    text = read_screen(err)
    assert text.startswith("searching [1/2]\n")
    assert re.findall(r"^  trial \d", text, re.MULTILINE) == ["  trial 0", "  trial 1"]


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [({"trials": 9}, 6 * 4 + 5 * 4), ({"minutes": 1}, 60 - 12 + 5 * 4), ({"trials": 9, "minutes": 1}, 6 * 4 + 5 * 4)],
)
def test_time_left_of_a_search(spec, seconds):
    """The time left of a search is that of the first limit, and of the final."""
    shown = progress._SearchProgress(SearchSpec(**spec), progress_line.ProgressLine(io.StringIO()))
    assert shown._estimate_left() is None
    for number in range(3):
        shown.add_trial(make_trial(number, error=1e-5, seconds=4.0, state="pruned"))
    assert shown._estimate_left() == seconds


def test_log_has_line_for_trial():
    """Without a terminal, each trial is a line."""
    with pytest.MonkeyPatch.context() as patch:
        err = io.StringIO()
        patch.setattr(sys, "stderr", err)
        with progress.show_search(SearchSpec(trials=9)) as callbacks:
            report_trials(callbacks)
            callbacks.on_trial(make_trial(4, state="failed"))
    text = err.getvalue()
    assert "searching [1/2]" == text.splitlines()[0]
    assert 5 == len(text.splitlines())
    assert re.search(r"  trial 1  complete  2\.00e-05 +100 parameters  7-5 relu, learning rate 0\.001 cosine, ", text)
    assert re.search(r"  trial 4  failed           - +100 parameters", text)
