"""A command under strace: the system calls that it made, and the same command killed at one of them.

strace counts each system call by its own name and in each thread, so a place to kill at is a name and a number.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: apt-get install strace")
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")
_QUOTED = re.compile(r'"([^"]*)"')
_OPEN = re.compile(r"\d+<([^>]*)>")


@dataclass(frozen=True)
class Call:
    """One system call: in which thread, its name, the how manieth of that name there, and all that strace wrote."""

    thread: str
    name: str
    number: int
    text: str

    @property
    def paths(self):
        """The paths that were given."""
        return _QUOTED.findall(self.text)

    @property
    def done(self):
        """Whether it did what was asked."""
        return self.text.endswith(" = 0")

    @property
    def opened(self):
        """The path of the descriptor that was given."""
        return _OPEN.match(self.text)[1]


def traced(command, trace, kill=None, calls="%file,%desc", folder=None):
    """Run a command in a folder, killed just before one call if that is given; return what ran, and its calls."""
    aim = ["-e", f"inject={kill.name}:signal=SIGKILL:when={kill.number}"] if kill else []
    strace = ["strace", "-f", "-y", "-qq", "-o", str(trace), "-e", f"trace={calls}", *aim]
    ran = subprocess.run([*strace, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return ran, list(_calls(trace.read_text()))


def _calls(text):
    counts = Counter()
    for thread, name, rest in filter(None, map(_match, text.splitlines())):
        counts[thread, name] += 1
        yield Call(thread, name, counts[thread, name], rest)


def _match(line):
    match = _CALL.match(line)
    return match and match.groups()


def touching(calls, folder):
    """Keep the calls that touch a folder: by a path, or by something in it that is open."""
    return [call for call in calls if str(folder) in call.text and call.name != "execve"]
