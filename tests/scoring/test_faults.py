"""Runs on file systems that answer as network file systems do, and on two hosts that share a folder."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest

from gamesales import read_predictions
from support.faults import load_faults
from support.runs import command_line, csv_line, csv_text, gamesales, snapshot, wait_until
from support.sampling import sample
from support.tracing import needs_strace
from support.versions import FEATURES

DATE = ["--date", "2026-11-23"]
NEXT_DATE = ["--date", "2026-11-24"]
OUTPUTS = ["out", pytest.param("out.csv", marks=pytest.mark.slow)]


@pytest.fixture
def night(tmp_path, simple_registry, cli):
    """Yesterday's result of three titles, as a folder and a file, and a new input of five."""
    for name, rows in (("old.csv", 3), ("new.csv", 5)):
        (tmp_path / name).write_text(csv_text([csv_line(f"T{row}") for row in range(rows)], [*FEATURES, "title_id"]))
    for output in ("out", "out.csv"):
        assert cli("score", "old.csv", "--output", output, *DATE).code == 0
    return tmp_path


def score_with_faults(folder, source, output, *options, **faults):
    """Score under faults; return the JSON document and the warnings on stderr."""
    command = command_line("score", source, "--output", output, "--json", *(options or DATE))
    ran = subprocess.run(
        command, cwd=folder, env=load_faults(**faults), capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert all(line.startswith("warning: ") for line in ran.stderr.splitlines()), ran.stderr
    return json.loads(ran.stdout), ran.stderr.splitlines()


def count_rows(folder, output):
    return read_predictions(folder / output, "2026-11-23").num_rows


@pytest.mark.parametrize("output", OUTPUTS)
def test_folder_can_not_be_synced(night, output):
    """A file system that can't sync a folder is reported once, and the result is published."""
    document, warnings = score_with_faults(night, "new.csv", output, fsync_folder=errno.EINVAL)
    assert [f"warning: {message}" for message in document["warnings"]] == warnings
    (warning,) = warnings
    assert "can't force the names in a folder to disk (Invalid argument)" in warning
    assert count_rows(night, output) == 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, 0])
def test_locks_are_missing(night, number):
    """A file system without locks, or with locks of one host only, needs none."""
    assert score_with_faults(night, "new.csv", "out", flock=number)[1] == []
    assert count_rows(night, "out") == 5
    assert list(night.rglob("*.work")) == []


def test_old_result_is_open(night):
    """A replaced result with an open file on NFS is a warning, tonight and tomorrow; a later run removes it."""
    old = set(snapshot(night / "out/run_date=2026-11-23"))
    document, warnings = score_with_faults(night, "new.csv", "out", open_files="part-")
    (warning,) = warnings
    (leftover,) = night.rglob(".gamesales-removed-*")
    assert f"{leftover.name} can't be removed yet, maybe because a program has a file in it open" in warning
    assert [f"warning: {message}" for message in document["warnings"]] == warnings
    assert not old & {name.rpartition("/")[2] for name in snapshot(leftover)}
    assert count_rows(night, "out") == 5

    assert score_with_faults(night, "new.csv", "out", *NEXT_DATE, open_files="part-")[1] == []
    assert len(list(night.rglob(".gamesales-removed-*"))) == 1
    ran = gamesales(night, "score", "new.csv", "--output", "out", *NEXT_DATE, "--fresh")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sorted(path.name for path in (night / "out").iterdir()) == ["run_date=2026-11-23", "run_date=2026-11-24"]


# Mounts a container's file system over a lower layer that has yesterday's results, and scores there twice.
OVERLAY = """
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged || exit 77
mv merged/out/run_date=2026-11-23 merged/out/moved && exit 78
"$@" && "$@" --fresh || exit 79
cp -R merged/out after
"""


def test_overlay_can_not_rename(night):
    """A date in a lower layer of an overlay can't be renamed. It is replaced all the same."""
    for name in ("lower", "upper", "work", "merged"):
        (night / name).mkdir()
    shutil.move(night / "out", night / "lower/out")
    if not shutil.which("unshare"):
        pytest.skip("needs unshare(1) to mount an overlay for one process alone")
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    script = [*unshare, "sh", "-c", OVERLAY.replace("mv ", f"{sys.executable} -c '{RENAME}' "), "sh"]
    command = [*script, *command_line("score", "new.csv", "--output", "merged/out", *DATE)]
    ran = subprocess.run(command, cwd=night, capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode in {77, 78} or "unshare:" in ran.stderr:
        pytest.skip(f"no overlay without renames of folders here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    assert [path.name for path in (night / "after").iterdir()] == ["run_date=2026-11-23"]
    assert count_rows(night, "after") == 5


# mv(1) would copy.
RENAME = "import os, sys; os.rename(*sys.argv[1:])"

# A command line on a host that takes over after a second.
HOST = """
from gamesales.scoring import lease
lease.LeaseTimes.__init__.__defaults__ = (0.1, 1.0, 0.05)
"""
# The same, which makes a file "begun" before it scores, and waits for a file "go".
SLEEPING_HOST = """
import time
from pathlib import Path
from gamesales.scoring import run
score_shards = run.score_shards
def sleep_and_score(*arguments):
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return score_shards(*arguments)
run.score_shards = sleep_and_score
"""
MAIN = """
from gamesales.cli.main import run_and_exit
run_and_exit()
"""


def start_on(host, folder, code, *arguments):
    environment = load_faults(host=host, flock=0)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code + MAIN, *arguments], cwd=folder, env=environment, **pipes)


@pytest.mark.parametrize("output", OUTPUTS)
def test_living_host_is_respected(night, output):
    """While a host scores, a run on another host fails, also where locks are local to a host."""
    words = ("--output", output, *DATE)
    with start_on("first", night, HOST + SLEEPING_HOST, "score", "old.csv", "--fresh", *words) as first:
        wait_until((night / "begun").exists)
        with start_on("second", night, HOST, "score", "new.csv", *words) as second:
            _, errors = second.communicate(timeout=60)
        assert second.returncode == 7, errors
        assert f"error: another run is writing this result (process {first.pid} on first has locked" in errors
        (night / "go").touch()
        assert first.communicate(timeout=60)[1] == ""
    assert first.returncode == 0
    assert count_rows(night, output) == 3


@pytest.mark.parametrize("output", OUTPUTS)
def test_silent_host_is_replaced(night, output):
    """A host that is silent is replaced. When it wakes up, it fails, and the other result stays."""
    words = ("--output", output, *DATE)
    with start_on("first", night, HOST + SLEEPING_HOST, "score", "old.csv", "--fresh", *words) as first:
        wait_until((night / "begun").exists)
        first.send_signal(signal.SIGSTOP)
        try:
            with start_on("second", night, HOST, "score", "new.csv", *words) as second:
                _, errors = second.communicate(timeout=60)
            assert second.returncode == 0, errors
            published = snapshot(night)
        finally:
            (night / "go").touch()
            first.send_signal(signal.SIGCONT)
        _, lost = first.communicate(timeout=60)
    assert "first, which may have crashed; waiting up to 1 s for a sign of life" in errors
    assert "first gave no sign of life for 1 s; this run takes over" in errors
    assert (first.returncode, count_rows(night, output)) == (7, 5), lost
    assert "error: another run has taken" in lost
    assert {**published, "go": b""} == snapshot(night)


@pytest.mark.slow
def test_crashed_host_never_blocks(night):
    """A host that crashed blocks the next run for the time of its silence only, and its work is resumed."""
    with start_on("first", night, HOST + SLEEPING_HOST, "score", "new.csv", "--output", "out", *DATE) as first:
        wait_until((night / "begun").exists)
        first.kill()
        first.communicate()
    with start_on("second", night, HOST, "score", "new.csv", "--output", "out", *DATE) as second:
        _, errors = second.communicate(timeout=60)
    assert second.returncode == 0, errors
    assert count_rows(night, "out") == 5
    assert list(night.rglob("*.work")) == []


CALLS = "fsync,fdatasync,rename,renameat2,link,linkat,unlink,unlinkat,mkdir,rmdir"


@pytest.mark.slow
@needs_strace
def test_host_suspended_at_any_call(night, cli):
    """A host that is suspended at any call is replaced. The result of the other host stays when it wakes up."""
    strace = ["strace", "-f", "-qq", "-o", "trace", "-E", "FAULT_HOST=first", "-E", "FAULT_FLOCK=0"]
    library = load_faults()["LD_PRELOAD"]
    scoring = [sys.executable, "-c", HOST + MAIN, "score", "old.csv", "--output", "out", *DATE, "--fresh"]
    traced = [*strace, "-E", f"LD_PRELOAD={library}", "-e", f"trace={CALLS}"]
    subprocess.run([*traced, *scoring], cwd=night, check=True, capture_output=True)
    calls = re.findall(r"^(\d+) +(\w+)\((.*)$", (night / "trace").read_text(), re.MULTILINE)
    begin = next(at for at, (_, _, text) in enumerate(calls) if "/run-" in text)  # before, it has no lease
    counts, points = Counter(), []
    for at, (thread, name, text) in enumerate(calls):
        counts[thread, name] += 1
        if at >= begin and "out" in text and thread == calls[begin][0]:
            points.append((name, counts[thread, name]))
    ends = set()
    for name, number in sample("suspended calls", points, 6):
        (night / "trace").unlink()
        stop = ["-e", f"inject={name}:signal=SIGSTOP:when={number}"]
        with subprocess.Popen([*traced, *stop, *scoring], cwd=night, stderr=subprocess.PIPE, text=True) as first:
            process = wait_until_stopped(night / "trace")
            try:
                with start_on("second", night, HOST, "score", "new.csv", "--output", "out", *DATE) as second:
                    _, lost = second.communicate(timeout=60)
            finally:
                os.kill(process, signal.SIGCONT)
            _, errors = first.communicate(timeout=60)
        assert second.returncode == 0, (name, number, lost)
        assert first.returncode in {0, 7}, (name, number, errors)
        assert count_rows(night, "out") == 5, (name, number, errors)
        assert cli("score", "new.csv", "--output", "out", *DATE).code == 0
        assert sorted(path.name for path in (night / "out").iterdir()) == ["run_date=2026-11-23"]
        ends.add(first.returncode)
    assert 7 in ends


def wait_until_stopped(trace):
    """Wait until a process under strace has stopped itself, and return its id."""
    pattern = re.compile(r"^(\d+) +--- (?:stopped by )?SIGSTOP", re.MULTILINE)
    wait_until(lambda: trace.exists() and "stopped by SIGSTOP" in trace.read_text())
    return int(pattern.search(trace.read_text())[1])
