"""A disk that is really full: a small file system, mounted for one run, that grows for the next run."""

import os
import random
import shutil
import subprocess

import pytest

from support.runs import command_line, csv_line, csv_text, gamesales, snapshot
from support.sampling import sample
from support.versions import FEATURES

DATE = ["--date", "2026-11-23"]
ROWS = 5_000
# Runs a command on a full disk and then on a larger one, and copies the files after each run.
SMALL_DISK = """
mount -t tmpfs -o size=64m tmpfs disk || exit 77
cp -R yesterday/. disk && mount -o remount,size=${kilobytes}k disk || exit 78
"$@"
echo $? > code
cp -R disk/. full && mount -o remount,size=64m disk || exit 79
"$@" 2>> again || exit 80
cp -R disk/. after
"""


@pytest.fixture
def night(tmp_path, simple_registry, output):
    """Yesterday's result, an input whose result can't be compressed, and its result on a disk with space."""
    chance = random.Random(1)
    rows = [csv_line(chance.randbytes(20).hex()) for _ in range(ROWS)]
    rows[3] = csv_line("x", unit_price="free")
    (tmp_path / "old.csv").write_text(csv_text(rows[:3], [*FEATURES, "title_id"]))
    (tmp_path / "new.csv").write_text(csv_text(rows, [*FEATURES, "title_id"]))
    for source, folder in (("old.csv", "yesterday"), ("new.csv", "undisturbed")):
        ran = gamesales(tmp_path, "score", source, "--output", f"{folder}/{output}", *DATE, small_steps=True)
        assert ran.returncode == 0, ran.stderr
    return tmp_path


def score_on_a_small_disk(folder, output, kilobytes):
    """Score twice, first on a disk of this size; return the first exit code and its stderr."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare(1) to mount a small disk for one process alone")
    for name in ("disk", "full", "after"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    command = command_line("score", "new.csv", "--output", f"disk/{output}", *DATE, small_steps=True)
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    ran = subprocess.run(
        [*unshare, "sh", "-c", SMALL_DISK, "sh", *command],
        cwd=folder,
        env={**os.environ, "kilobytes": str(kilobytes)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if ran.returncode == 77 or "unshare:" in ran.stderr:
        pytest.skip(f"may not mount a small disk here: {ran.stderr.strip()}")
    assert (ran.returncode, (folder / "again").read_text()) == (0, ""), ran
    return int((folder / "code").read_text()), ran.stderr


def read_results(folder):
    """The visible files, without working folders and without reports, which have times."""
    return {
        name: content
        for name, content in snapshot(folder).items()
        if not name.endswith("run.json") and ".work" not in name and content is not None
    }


def check_run(folder, output, kilobytes):
    """Check a run on a small disk; return its exit code."""
    code, message = score_on_a_small_disk(folder, output, kilobytes)
    assert read_results(folder / "after") == read_results(folder / "undisturbed"), kilobytes
    assert list((folder / "after").rglob("*.work")) == [], kilobytes
    if code == 0:
        assert read_results(folder / "full") == read_results(folder / "undisturbed"), kilobytes
        return code
    visible = "disk/out/run_date=2026-11-23" if output == "out" else f"disk/{output}"
    assert message.startswith(f"error: can't write {visible}: No space left on device; nothing is half written\n"), (
        message
    )
    assert f"See df -h '{folder / visible.rpartition('/')[0]}'" in message
    assert read_results(folder / "full") == read_results(folder / "yesterday"), kilobytes
    return code


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out", "out.csv", "out.parquet"])
def test_full_disk_keeps_old_result(night, output):
    """A full disk is named and leaves the old result and its report. With more space the run ends."""
    assert check_run(night, output, 200) == 7
    report = "out/run_date=2026-11-23/_run.json" if output == "out" else f"{output}.run.json"
    assert (night / "full" / report).read_bytes() == (night / "yesterday" / report).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out", "out.csv", "out.parquet"])
def test_disk_full_at_any_point(night, output):
    """The disk is full at any point, from the working folder to the joining of shards."""
    codes = [check_run(night, output, size) for size in [48, *sample(output, range(112, 1_136, 64), 3), 1_136]]
    assert codes == sorted(codes, reverse=True)
    assert set(codes) == {0, 7}
