"""A command under strace: the system calls that it made, and the same command killed at one of them.

strace counts each system call by its own name and in each thread, so a place to kill at is a name and a number. If
several threads make calls of the same name, the first of them would be hit. There the number is among the calls with
the same path.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest

from support.sampling import sample

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: apt-get install strace")
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")
_QUOTED = re.compile(r'"([^"]*)"')
_OPEN = re.compile(r"\d+<([^>]*)>")


@dataclass(frozen=True)
class Call:
    """One system call: its thread, its name, and all that strace wrote.

    ``number`` counts the calls of this name in the thread, ``number_at_path`` the calls that also have the same path.
    """

    thread: str
    name: str
    number: int
    number_at_path: int
    text: str

    @property
    def paths(self):
        """The paths that were given."""
        return _QUOTED.findall(self.text)

    @property
    def path(self):
        """The first path, or the path of the descriptor."""
        return _find_path(self.text)

    @property
    def done(self):
        """Whether it did what was asked."""
        return self.text.endswith(" = 0")

    @property
    def opened(self):
        """The path of the descriptor that was given."""
        return _OPEN.match(self.text)[1]


def traced(command, trace, kill=None, calls="%file,%desc", folder=None, *, at_path=False):
    """Run a command in a folder, killed just before the call ``kill`` if it is set; return what ran, and its calls.

    With ``at_path``, the kill is aimed by the path of its call, and only calls with this path are returned.
    """
    aim = []
    if kill:
        number = kill.number_at_path if at_path else kill.number
        aim = [*(["-P", kill.path] if at_path else []), "-e", f"inject={kill.name}:signal=SIGKILL:when={number}"]
    strace = ["strace", "-f", "-y", "-qq", "-o", str(trace), "-e", f"trace={calls}", *aim]
    ran = subprocess.run([*strace, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return ran, list(_calls(trace.read_text()))


def _calls(text):
    counts = Counter()
    for thread, name, rest in filter(None, map(_match, text.splitlines())):
        path = _find_path(rest)
        counts.update([(thread, name), (thread, name, path)])
        yield Call(thread, name, counts[thread, name], counts[thread, name, path], rest)


def _match(line):
    match = _CALL.match(line)
    return match and match.groups()


def _find_path(text):
    match = _QUOTED.search(text) or _OPEN.match(text)
    return match and match[1]


def touching(calls, folder):
    """Keep the calls that touch a folder: by a path, or by something in it that is open."""
    return [call for call in calls if str(folder) in call.text and call.name != "execve"]


def sample_kills(name, calls, is_vital, count):
    """Choose calls to kill at: each vital call and the call after it, and a sample of the others."""
    vital = {place + step for place, call in enumerate(calls) if is_vital(call) for step in (0, 1)} - {len(calls)}
    others = [place for place in range(len(calls)) if place not in vital]
    return [calls[place] for place in sorted(vital.union(sample(name, others, count)))]
