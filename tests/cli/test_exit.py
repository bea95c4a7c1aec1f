"""The end of a process: it skips the teardown of the interpreter, and nothing is lost."""

import os
import pstats
import subprocess
import sys

import pytest

from support.versions import ROOT

ENTRY = "from gamesales.cli import main; main()"
WAYS = {"module": ["-m", "gamesales"], "console": ["-c", ENTRY]}
# The script of a process, without coverage, which would end it as usual.
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("COV")} | {"PYTHONPATH": str(ROOT)}


def start(*arguments, code=None, way="module", **options):
    command = [sys.executable, *(WAYS[way] if code is None else ["-c", code]), *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": PLAIN, **options}
    return subprocess.run(command, check=False, text=True, timeout=60, **options)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("console", ["versions"]),
        ("module", ["versions", "--json"]),
        ("module", ["--help"]),
        ("module", ["nope", "--json"]),
    ],
)
def test_full_stdout(tmp_path, simple_registry, way, words):
    """Output that can't be written is an error, however the process starts."""
    with open("/dev/full", "w") as full:
        ended = start(*words, way=way, stdout=full, cwd=tmp_path)
    assert ended.returncode == (2 if "nope" in words else 7)
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("error: ")


@pytest.mark.parametrize("words", [["nope"], ["nope", "--json"]])
def test_full_stderr(tmp_path, words):
    """An error that can't be printed keeps its exit code."""
    with open("/dev/full", "w") as full:
        assert 2 == start(*words, stderr=full, cwd=tmp_path).returncode


def test_closed_stdout(tmp_path, simple_registry):
    """A command works without stdout."""
    ended = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m gamesales versions >&-'],
        env=PLAIN,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_large_document(tmp_path, simple_registry):
    """A document that is larger than the buffer of a pipe arrives whole."""
    reason = "x" * 1_000_000
    simple_registry.set_alias("challenger", 1, reason, lambda state, version: {})
    ended = start("history", "--json", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert reason in ended.stdout
    assert ended.stdout.endswith("}\n")


SCRIPT = """
import atexit, sys, tempfile, threading, time, weakref
from gamesales.cli.main import _exit
atexit.register(print, "exit function")
folder = tempfile.TemporaryDirectory(dir=sys.argv[1])
if sys.argv[2] == "thread":
    threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
print("output")
print("error", file=sys.stderr)
_exit(3)
"""


@pytest.mark.parametrize(
    ("thread", "output"), [("none", "output\nexit function\n"), ("thread", "output\nthread\nexit function\n")]
)
def test_exit_functions_run(tmp_path, thread, output):
    """Exit functions run, both streams are flushed, temporary folders vanish, and a thread is waited for."""
    ended = start(tmp_path, thread, code=SCRIPT)
    assert (ended.returncode, ended.stdout, ended.stderr.splitlines()[0]) == (3, output, "error")
    assert list(tmp_path.iterdir()) == []


def test_coverage_is_written(tmp_path, simple_registry):
    """A process that coverage measures ends as usual, so that its data are written."""
    data = tmp_path / "coverage"
    run = ["-m", "coverage", "run", "--rcfile=/dev/null", f"--data-file={data}", "--include=*/gamesales/cli/main.py"]
    subprocess.run([sys.executable, *run, "-m", "gamesales", "versions"], env=PLAIN, cwd=tmp_path, check=True)
    report = [sys.executable, "-m", "coverage", "report", "--rcfile=/dev/null", f"--data-file={data}"]
    assert "gamesales/cli/main.py" in subprocess.run(report, capture_output=True, text=True, check=True).stdout


def test_profile_is_written(tmp_path, simple_registry):
    """A process with a profiler ends as usual, so that its profile is written."""
    profile = tmp_path / "profile"
    command = [sys.executable, "-m", "cProfile", "-o", profile, "-m", "gamesales", "versions"]
    subprocess.run(command, env=PLAIN, cwd=tmp_path, check=True)
    assert any("run_and_exit" in function for _, _, function in pstats.Stats(str(profile)).stats)


THREADS = """
import os, sys
from gamesales.cli import main
try:
    sys.setprofile(lambda *event: None)  # so that the process ends with an exception
    main()
except SystemExit:
    print(os.environ.get("OPENBLAS_NUM_THREADS"))
"""


@pytest.mark.parametrize(
    ("words", "variable", "threads"),
    [("versions", None, "1"), ("versions", "3", "3"), ("train nope.toml", None, "None"), ("promote 9", None, "None")],
)
def test_threads_of_numpy(tmp_path, simple_registry, words, variable, threads):
    """Only commands without matrix products set one thread for NumPy, unless the user set a number."""
    variables = {**PLAIN, **({} if variable is None else {"OPENBLAS_NUM_THREADS": variable})}
    if variable is None:
        variables.pop("OPENBLAS_NUM_THREADS", None)
    ended = start(*words.split(), code=THREADS, cwd=tmp_path, env=variables)
    assert ended.stdout.splitlines()[-1] == threads
