"""Real processes that start at the same moment, for tests of what happens when many work on one registry at once.

    outputs = race(SCRIPT, [["registry", 1], ["registry", 2]])

A script begins with its imports and then ``wait_for_start()``, which this module puts in front of it.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

_START = """
import sys
def wait_for_start():
    print("ready", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def racing(script, each):
    """Start one process for each list of arguments, let all go at once, and wait for them at the end.

    Yields: the processes; at the end their ``output`` is what they printed. A process that fails fails the test.
    """
    with _started(script, each) as processes:
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        yield processes
        for process in processes:
            process.output, errors = process.communicate(timeout=170)
            assert process.returncode == 0, errors


def race(script, each):
    """The same without a look at them while they run: return what each printed."""
    with racing(script, each) as processes:
        pass
    return [process.output for process in processes]


@contextmanager
def _started(script, each):
    processes = []
    try:
        for arguments in each:
            command = [sys.executable, "-c", _START + script, *map(str, arguments)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            processes.append(subprocess.Popen(command, text=True, **pipes))
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()
