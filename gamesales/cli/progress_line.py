"""One line of progress on a terminal: what is done, and about how long the rest takes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from gamesales.cli.terminal import find_screen, is_a_terminal, wrap

# A command that ends sooner shows no line.
_QUIET_SECONDS = 1.0
_SECONDS_BETWEEN_DRAWINGS = 0.2
_USUAL_WIDTH, _BAR_WIDTH = 80, 20
_ERASE = "\r\x1b[K"


def can_show_line() -> bool:
    """Return whether standard error is a terminal that can redraw a line."""
    return is_a_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


@contextmanager
def show_line() -> Iterator[ProgressLine]:
    """Keep a line of progress at the bottom of the terminal while the body runs.

    Everything that the body prints on standard error stands above it.
    """
    line = ProgressLine(sys.stderr)
    ended = threading.Event()

    def redraw() -> None:
        while not ended.wait(1.0):
            line.draw()

    thread = threading.Thread(target=redraw, daemon=True)
    sys.stderr = line
    thread.start()
    try:
        yield line
    finally:
        ended.set()
        thread.join()
        sys.stderr = line.stream
        line.erase()


class ProgressLine:
    """A stream for standard error, which erases the line of progress before it prints, and draws it again later.

    Attributes:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._lock = threading.RLock()
        self._started = self._updated = time.monotonic()
        self._drawn = 0.0
        self._text = ""
        self._seconds_left: float | None = None
        self._is_shown, self._is_at_start = False, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Print a text above the line of progress."""
        with self._lock:
            self.erase()
            self._is_at_start = text.endswith("\n") if text else self._is_at_start
            return self.stream.write(text)

    def update(self, text: str, seconds_left: float | None = None) -> None:
        """Change what the line says.

        Args:
            text: What is done.
            seconds_left: The estimate of the time that is left. None if there is none.
        """
        with self._lock:
            self._text, self._seconds_left, self._updated = text, seconds_left, time.monotonic()
            if not self._is_shown or self._updated - self._drawn >= _SECONDS_BETWEEN_DRAWINGS:
                self.draw()

    def draw(self) -> None:
        """Draw the line, unless the command has just begun or another text has not ended its line."""
        now = time.monotonic()
        with self._lock:
            if now - self._started < _QUIET_SECONDS or not self._is_at_start or not self._text:
                return
            width = find_screen(self.stream).width or _USUAL_WIDTH
            self.stream.write(_ERASE + _format_line(self._text, now - self._started, self._find_left(now), width - 1))
            self.stream.flush()
            self._drawn, self._is_shown = now, True

    def _find_left(self, now: float) -> float | None:
        return None if self._seconds_left is None else max(self._seconds_left - (now - self._updated), 0.0)

    def erase(self) -> None:
        """Erase the line from the terminal."""
        with self._lock:
            if self._is_shown:
                self.stream.write(_ERASE)
                self.stream.flush()
                self._is_shown = False


def _format_line(text: str, elapsed: float, left: float | None, width: int) -> str:
    """Write a line that fits: what is done, and the time left with a bar, or else the time since the start."""
    if left is None:
        minutes, seconds = divmod(int(elapsed), 60)
        return _join([text, f"{f'{minutes} min ' if minutes else ''}{seconds} s so far"], width)
    share = elapsed / (elapsed + left) if elapsed + left else 1.0
    done = int(share * _BAR_WIDTH)
    bar = f"[{'#' * done}{'.' * (_BAR_WIDTH - done)}]"
    rest = f"about {format_duration(left)} left" if left >= 1 else "almost done"
    return _join([bar, f"{share:.0%}", text, rest], width)


def _join(parts: list[str], width: int) -> str:
    """Join parts, without the bar if it does not fit, and without the end of the text if it still does not fit."""
    line = "  ".join(parts)
    if len(line) > width and parts[0].startswith("["):
        line = "  ".join(parts[1:])
    return wrap(line, width)[0]


def format_duration(seconds: float) -> str:
    """Write a duration with the precision of an estimate: ``8 s``, ``40 s``, ``3 min`` or ``1 h 20 min``."""
    if seconds < 10:
        return f"{seconds:.0f} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
