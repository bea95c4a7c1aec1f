"""Fresh processes, the modules that they load, and a limit of this process."""

import json
import resource
import subprocess
import sys
from contextlib import contextmanager

LIST = """
import json, sys
loaded = {}
for name, code in json.loads(sys.argv[1]).items():
    exec(code, {})
    loaded[name] = sorted({module.partition(".")[0] for module in sys.modules})
sys.stderr.write(json.dumps(loaded))
"""


def loaded_by(folder, code):
    """The top-level modules that a fresh process holds at its end."""
    return loaded_after(folder, {"code": code})["code"]


def loaded_after(folder, steps, **options):
    """The top-level modules that a fresh process holds after each of several steps, by the name of the step.

    Args:
        folder: Where the process runs.
        steps: Python code by name, in order.
        options: Those of ``subprocess.run``.
    """
    command = [sys.executable, "-c", LIST, json.dumps(steps)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True, **options)
    return {name: set(modules) for name, modules in json.loads(ran.stderr.splitlines()[-1]).items()}


@contextmanager
def limit_file_size(size):
    """Let the operating system refuse to write files beyond a size, like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
