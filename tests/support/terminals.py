"""A stream that says it is a terminal, and commands that print to it."""

from __future__ import annotations

import io
import re
import sys
from contextlib import contextmanager

import pytest


class Terminal(io.StringIO):
    """A stream of text that is a terminal."""

    def isatty(self):
        return True


@contextmanager
def terminals(width, *, color=False):
    """Make standard output and standard error terminals of a width in the body. Yields both."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"):
            patch.delenv(variable, raising=False)
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "xterm" if color else "dumb")
        out, err = Terminal(), Terminal()
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        yield out, err


def read_screen(terminal):
    """Return what a terminal shows at the end: the text without lines that were erased."""
    return re.sub(r"[^\n]*\r\x1b\[K", "", terminal.getvalue())
