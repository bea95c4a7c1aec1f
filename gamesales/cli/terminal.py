"""What a terminal shows: its width, colors, lines wrapped between words, and no control characters.

Text is laid out for the current screen, which belongs to the stream that the text goes to. A file or a pipe gets every
column, one line per row, without colors.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TextIO

BOLD, DIM = "1", "2"
# Words that name a state, and their color as a parameter of the escape sequence.
_COLORS = {
    "champion": "1;32",
    "passes": "32",
    "challenger": "36",
    "retired": DIM,
    "pruned": DIM,
    "drifted": "33",
    "forced": "33",
    "incomplete": "33",
    "withheld": "33",
    "warning:": "33",
    "failed": "31",
    "refused": "31",
    "rejected": "31",
    "worse": "31",
    "error:": "1;31",
}
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
# A word of a line, or a whole command, which people copy.
_WORD = re.compile(r"(?:(?<=: )|(?<=  )|^)gamesales [a-z][^;]*;?|\S+")
# The label of a line such as "bundle      registry/…".
_LABEL = re.compile(r"\S*(?:error|warning):\S* (?=\S)|\s*(?:\S+ )*\S+ {2,}(?=\S)")
_WIDEST_LABEL = 20
# Unicode categories: control characters, line and paragraph separators, surrogates.
_HARMFUL_CATEGORIES = {"Cc", "Zl", "Zp", "Cs"}
# Characters that change the direction of writing, so that a text reads as another text.
_DIRECTION_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@dataclass(frozen=True)
class Screen:
    """A place for text.

    Attributes:
        width: The number of characters in a line. None for no limit, as in a file or a pipe.
        has_color: Whether it shows colors.
        left_out: The headings of columns that a table left out, because they did not fit.
    """

    width: int | None = None
    has_color: bool = False
    left_out: dict[str, None] = field(default_factory=dict)


_SCREEN: ContextVar[Screen] = ContextVar("screen")
# Whether the command line has --wide.
_IS_WIDE: ContextVar[bool] = ContextVar("is_wide", default=False)


def get_screen() -> Screen:
    """Return the screen that text is laid out for; outside ``use_screen_of``, that of a file."""
    return _SCREEN.get(Screen())


@contextmanager
def use_screen_of(stream: TextIO | None) -> Iterator[Screen]:
    """Lay out the text of the body for a stream."""
    screen = find_screen(stream)
    token = _SCREEN.set(screen)
    try:
        yield screen
    finally:
        _SCREEN.reset(token)


@contextmanager
def allow_wide_lines(is_wide: bool) -> Iterator[None]:
    """Show all columns of all tables in the body, as wide as they are, also on a terminal."""
    token = _IS_WIDE.set(is_wide)
    try:
        yield
    finally:
        _IS_WIDE.reset(token)


def find_screen(stream: TextIO | None) -> Screen:
    """Return the screen of a stream."""
    is_terminal = is_a_terminal(stream)
    width = _find_width(stream) if stream is not None and is_terminal and not _IS_WIDE.get() else None
    return Screen(width, _find_color(is_terminal))


def is_a_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is an open terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def _find_width(stream: TextIO) -> int | None:
    """Return the width of a terminal: the variable COLUMNS, or what the terminal says. None if neither is known."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _find_color(is_terminal: bool) -> bool:
    """Return whether colors are shown: on a terminal, unless a variable of the environment says otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(variable, "0") not in ("", "0") for variable in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return is_terminal and os.environ.get("TERM") != "dumb" and os.environ.get("CLICOLOR") != "0"


def paint(text: str) -> str:
    """Color the words of a text that name a state, if the screen shows colors."""
    return re.sub(r"\w+:?", lambda word: set_color(word[0], _COLORS.get(word[0])), text)


def set_color(text: str, color: str | None) -> str:
    """Color a text if it has a color and the screen shows colors."""
    return f"\x1b[{color}m{text}\x1b[0m" if color and get_screen().has_color else text


def measure(text: str) -> int:
    """Return the number of columns that a text takes on a terminal. Many letters of East Asia take two."""
    plain = _ESCAPE.sub("", text) if "\x1b" in text else text
    if plain.isascii():
        return len(plain)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in plain
    )


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Break a text between words into lines. Only a line that ends with a longer word, or command, exceeds the width.

    Args:
        text: The text, without line breaks. Its blanks between words are kept where the text is not broken.
        width: The number of characters in a line.
        indent: What each line but the first begins with.
    """
    lines, end = [""], 0
    for word in _WORD.finditer(text):
        longer = f"{lines[-1]}{text[end : word.start()]}{word[0]}"
        is_hopeless = measure(indent + word[0]) > width and measure(lines[-1]) <= len(indent)
        if measure(longer) <= width or is_hopeless:
            lines[-1] = longer
        else:
            lines.append(indent + word[0])
        end = word.end()
    return lines


def shorten(text: str, width: int) -> str:
    """Cut a longer text between words, if the screen has a limited width."""
    if get_screen().width is None or len(text) <= width:
        return text
    return f"{wrap(text, width - 2)[0]} …"


def fit_lines(text: str, screen: Screen) -> str:
    """Break the lines of a text that are wider than the screen. They continue below the value of their label."""
    width = screen.width
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        if measure(line) <= width:
            lines.append(line)
            continue
        label = _LABEL.match(line)
        blanks = measure(label[0]) if label else width
        if blanks > min(_WIDEST_LABEL, width // 2):
            blanks = len(line) - len(line.lstrip()) + 2
        lines += wrap(line, width, " " * blanks)
    return "\n".join(lines)


def to_one_line(text: str) -> str:
    """Replace line breaks and control characters, so that a reason can't forge another line of output."""
    if text.isprintable():
        return text
    return "".join(" " if _is_harmful(character) else character for character in text)


def _is_harmful(character: str) -> bool:
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    return category in _HARMFUL_CATEGORIES or direction in _DIRECTION_CONTROLS
