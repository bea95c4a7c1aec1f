"""Processes that start in a moment with their libraries imported: forks of a process that imported them once.

Importing TensorFlow and its kin takes four seconds, and the libraries of scoring half a second. A test about a process
that trains, exports, searches or scores, and is stopped or killed in the midst of it, does not need to see this import
again. ``start`` takes the place of ``subprocess.Popen([sys.executable, "-m", "gamesales", ...])`` and ``run`` of
``subprocess.run``.

Each test process has one server for each set of libraries. A server ends when the test process does.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from functools import cache
from pathlib import Path

from support.versions import ROOT

# What scoring imports; not gamesales.cli.main, which would hide the function of this name.
SCORING = (
    "gamesales.cli.score",
    "gamesales.jobs.score",
    "gamesales.scoring.run",
    "onnxruntime",
    "pyarrow.csv",
    "pyarrow.parquet",
)
# What training, tuning and exporting import.
TRAINING = (
    "pandas",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.preprocessing",
    "onnx",
    "onnxruntime",
    "tf2onnx",
    "optuna",
    "jinja2",
    "matplotlib.figure",
    "scipy.special",
    "pyarrow.csv",
    "pyarrow.parquet",
    "gamesales.jobs.train",
    "gamesales.jobs.tune",
    "gamesales.jobs.export",
)


class WarmProcess:
    """A process of the server: the part of ``subprocess.Popen`` that tests use, with text pipes."""

    def __init__(self, status, stdout, stderr):
        self._status = os.fdopen(status)
        self.stdout, self.stderr = (
            end if end is None else os.fdopen(end, encoding="utf-8", errors="replace") for end in (stdout, stderr)
        )
        self.pid = int(self._status.readline())
        self.returncode = None

    def wait(self, timeout=120):
        """Wait for the end, and return the exit code; minus the signal's number if a signal ended it."""
        if self.returncode is None:
            os.set_blocking(self._status.fileno(), False)
            end = time.monotonic() + timeout
            while not (line := self._status.readline()):
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired("a warm process", timeout)
                time.sleep(0.01)
            self.returncode = os.waitstatus_to_exitcode(int(line))
        return self.returncode

    def poll(self):
        """Return the exit code; None while it runs."""
        try:
            return self.wait(timeout=-1) if self.returncode is None else self.returncode
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, timeout=120):
        """Read all that it prints, to its end."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(2) as pool:
            printed = [stream and pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            self.wait(timeout)
            return tuple(text and text.result() for text in printed)

    def __del__(self):
        for stream in filter(None, (self._status, self.stdout, self.stderr)):
            stream.close()

    def send_signal(self, number):
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self):
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def start(arguments, *, cwd=None, env=None, script=None, stderr=None, libraries=TRAINING):
    """Start a command line of gamesales, or a script with these arguments.

    Args:
        arguments: What follows the program's name.
        cwd: Where it runs; here by default.
        env: Its environment; that of this process by default.
        script: Python code to run in place of gamesales.
        stderr: A descriptor to use as its stderr, such as a terminal's. A pipe by default.
        libraries: The modules that it has imported at its start: ``TRAINING`` or ``SCORING``.
    """
    request = {
        "arguments": [str(argument) for argument in arguments],
        "cwd": str(cwd or Path.cwd()),
        "env": dict(os.environ if env is None else env),
        "script": script,
    }
    (status_read, status), (out_read, out) = os.pipe(), os.pipe()
    err_read, err = os.pipe() if stderr is None else (None, os.dup(stderr))
    socket.send_fds(_server(libraries), [json.dumps(request).encode()], [status, out, err])
    for end in (status, out, err):
        os.close(end)
    return WarmProcess(status_read, out_read, err_read)


def run(arguments, *, timeout=120, **options):
    """Run a command line of gamesales, or a script, to its end."""
    process = start(arguments, **options)
    try:
        out, err = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@cache
def _server(libraries):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-m", "support.warm_process", str(theirs.fileno()), *libraries]
    server = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL)
    theirs.close()

    def stop():
        ours.close()
        server.wait()

    atexit.register(stop)
    return ours


def _serve(control, libraries):
    if libraries == TRAINING:
        from gamesales.training.keras_objects import load_keras

        load_keras()  # which sets what TensorFlow reads when it is imported
    for module in libraries:
        __import__(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        content, fds, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not content:
            return
        if os.fork() == 0:
            control.close()
            _supervise(json.loads(content), *fds)
        for fd in fds:
            os.close(fd)


def _supervise(request, status, out, err):
    """Fork the process, tell its number, wait for it, tell how it ended."""
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        os.setsid()
        _work(request, out, err)
    os.close(out)
    os.close(err)
    os.write(status, f"{pid}\n".encode())
    _, ended = os.waitpid(pid, 0)
    os.write(status, f"{ended}\n".encode())
    os._exit(0)


def _work(request, out, err):
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace", buffering=1)  # noqa: SIM115
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = ["gamesales", *request["arguments"]]
        if request["script"] is None:
            from gamesales.cli import main

            main()
        else:
            exec(compile(request["script"], "<script>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), tuple(sys.argv[2:]))
