"""A disk that is really full: a small one, mounted for a run alone, which gets more space for the next."""

import os
import random
import shutil
import subprocess

import pytest

from support.runs import command_line, csv_line, csv_text, gamesales, snapshot
from support.versions import FEATURES

DATE = ["--date", "2026-11-23"]
ROWS = 5_000
# Runs a command on a full disk and then on a larger one, and keeps what lay on it after each.
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
    """Yesterday's result, a night whose result can't be compressed, and that result on a disk with space."""
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
    """Score the night twice, the first time on a disk of that size; return the first exit code and what was said."""
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


def results(folder):
    """What readers find: every file but reports, which tell of times, and working folders."""
    return {
        name: content
        for name, content in snapshot(folder).items()
        if not name.endswith("run.json") and ".work" not in name and content is not None
    }


def check(folder, output, kilobytes):
    """Hold a run on a small disk to what it promises; return its exit code."""
    code, said = score_on_a_small_disk(folder, output, kilobytes)
    assert results(folder / "after") == results(folder / "undisturbed"), kilobytes
    assert list((folder / "after").rglob("*.work")) == [], kilobytes
    if code == 0:
        assert results(folder / "full") == results(folder / "undisturbed"), kilobytes
        return code
    place = "disk/out/run_date=2026-11-23" if output == "out" else f"disk/{output}"
    assert said.startswith(f"error: can't write {place}: No space left on device; nothing is half written\n"), said
    assert f"See df -h '{folder / place.rpartition('/')[0]}'" in said
    assert results(folder / "full") == results(folder / "yesterday"), kilobytes
    return code


@pytest.mark.parametrize("output", ["out", "out.csv", "out.parquet"])
def test_a_full_disk_is_named_yesterdays_result_stands_and_with_more_space_the_night_is_done(night, output):
    """The report of yesterday stands too, as nothing of the result was touched."""
    assert check(night, output, 200) == 7
    place = "out/run_date=2026-11-23/_run.json" if output == "out" else f"{output}.run.json"
    assert (night / "full" / place).read_bytes() == (night / "yesterday" / place).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out", "out.csv", "out.parquet"])
def test_wherever_the_disk_is_full(night, output):
    """From no space at all to enough: when the working folder is made, in a shard, when shards are joined."""
    codes = [check(night, output, kilobytes) for kilobytes in range(48, 1_200, 64)]
    assert codes == sorted(codes, reverse=True)
    assert set(codes) == {0, 7}
