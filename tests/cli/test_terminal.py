"""The width and the colors of a terminal, and lines that are broken between words."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.cli.terminal import Screen, find_screen, fit_lines, measure, paint, use_screen_of, wrap
from support.terminals import Terminal, terminals

VARIABLES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM", "COLUMNS")


@pytest.mark.parametrize(
    ("stream", "variables", "has_color"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (None, {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"CLICOLOR": "0"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"CLICOLOR_FORCE": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "0"}, False),
        (Terminal(), {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        (Terminal(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_color_follows_environment(monkeypatch, stream, variables, has_color):
    """Colors are for terminals. NO_COLOR forbids them, and FORCE_COLOR and CLICOLOR_FORCE ask for them."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert find_screen(stream).has_color == has_color


@pytest.mark.parametrize(("columns", "width"), [("77", 77), ("0", None), ("wide", None)])
def test_width_follows_environment(monkeypatch, columns, width):
    """COLUMNS is the width of a terminal. A pipe has no limit, and neither has a terminal of unknown width."""
    monkeypatch.setenv("COLUMNS", columns)
    assert (find_screen(Terminal()).width, find_screen(io.StringIO()).width) == (width, None)


def test_states_have_colors():
    """The words of states have colors, and other words have none."""
    with terminals(80, color=True) as (out, _), use_screen_of(out):
        assert paint("champion, spare (retired)") == "\x1b[1;32mchampion\x1b[0m, spare (\x1b[2mretired\x1b[0m)"
        assert measure(paint("champion")) == 8
    assert paint("champion") == "champion"


LINES = {
    "a reason that is longer than thirty characters": "a reason that is longer than\n  thirty characters",
    "test        titles.csv, 400 rows, 42": "test        titles.csv, 400\n            rows, 42",
    "error: no version 7 of game-earnings here": "error: no version 7 of\n       game-earnings here",
    "See: gamesales versions --registry 'my registry'": "See:\n  gamesales versions --registry 'my registry'",
    "digest      46e760268d14370a6073b64668f426": "digest      46e760268d14370a6073b64668f426",
}


@pytest.mark.parametrize("line", LINES)
def test_lines_continue_below_their_value(line):
    """A line continues below the value of its label. A command or a long word is never broken."""
    assert fit_lines(line, Screen(30)) == LINES[line]
    assert fit_lines(line, Screen()) == line


@given(st.text("ab :-é漢", max_size=200), st.integers(10, 40), st.sampled_from(["", "    "]))
def test_wrapped_words_stay(text, width, indent):
    """Wrapping keeps all words in order, and exceeds the width only by a single word."""
    lines = wrap(text, width, indent)
    assert " ".join(lines).split() == text.split()
    for line in lines:
        assert measure(line) <= width or measure(indent + line.split()[-1]) > width
