"""A result appears whole or not at all, whoever else writes, reads, or pulls the plug."""

import errno
import json
import os
import shutil
import signal
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from gamesales.errors import TooManyRejectsError, TryAgainError, UsageError
from gamesales.scoring import commit
from gamesales.scoring.commit import publish_file, publish_folder, workspace
from support.runs import gamesales, halted, snapshot, wait_until
from support.versions import titles_table

ROWS = 20_000
RUN = "0" * 64


def fail(folder, error):
    with workspace(folder, RUN, fresh=False) as work:
        (work / "part").write_text("half")
        raise error


def stop_with_a_shard_done(folder, error):
    with workspace(folder, RUN, fresh=False) as work:
        (work / "ledger").mkdir()
        (work / "ledger/00000.json").touch()
        raise error


class TestWorkspace:
    def test_it_is_empty_at_the_start_and_gone_at_the_end(self, tmp_path):
        folder = tmp_path / "new/out.csv.work"
        with workspace(folder, RUN, fresh=False) as work:
            assert folder == work
            (work / "made").mkdir()
            (work / "made/part.csv").touch()
        assert snapshot(tmp_path) == {"new": None}

    def test_what_an_earlier_run_left_is_removed(self, tmp_path):
        folder = tmp_path / "out.csv.work"
        (folder / "made/deep").mkdir(parents=True)
        (folder / "made/deep/part.csv").touch()
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious/file").touch()
        (folder / "link").symlink_to(tmp_path / "precious")
        (folder / "file").touch()
        with workspace(folder, RUN, fresh=False) as work:
            assert [path.name for path in work.iterdir()] == ["run_id"]
        assert snapshot(tmp_path) == {"precious": None, "precious/file": b""}

    @pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), TryAgainError("full")])
    def test_a_failure_leaves_nothing(self, tmp_path, error):
        with pytest.raises(type(error)):
            fail(tmp_path / "w", error)
        assert snapshot(tmp_path) == {}

    def test_what_was_rejected_too_often_stays_to_be_looked_at(self, tmp_path):
        with pytest.raises(TooManyRejectsError):
            fail(tmp_path / "w", TooManyRejectsError("all of them"))
        assert snapshot(tmp_path) == {"w": None, "w/part": b"half", "w/run_id": RUN.encode()}

    @pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), TryAgainError("full")])
    def test_what_a_run_has_done_stays_for_its_next_try_alone(self, tmp_path, error):
        with pytest.raises(type(error)):
            stop_with_a_shard_done(tmp_path / "w", error)
        with suppress(InterruptedError), workspace(tmp_path / "w", RUN, fresh=False) as work:
            assert (work / "ledger/00000.json").exists()
            raise InterruptedError
        with workspace(tmp_path / "w", "1" * 64, fresh=False) as work:
            assert not (work / "ledger").exists()

    def test_a_fresh_run_takes_nothing_over(self, tmp_path):
        with suppress(InterruptedError):
            stop_with_a_shard_done(tmp_path / "w", InterruptedError())
        with workspace(tmp_path / "w", RUN, fresh=True) as work:
            assert [path.name for path in work.iterdir()] == ["run_id"]

    def test_a_second_run_is_told_to_wait(self, tmp_path):
        with workspace(tmp_path / "w", RUN, fresh=False) as work:
            (work / "part").touch()
            with pytest.raises(TryAgainError, match=r"another run is writing this result \(it holds .*/w\)") as failure:
                workspace(tmp_path / "w", RUN, fresh=False).__enter__()
            assert failure.value.hint == "Wait for it to end"
            assert (work / "part").exists()
        with workspace(tmp_path / "w", RUN, fresh=False):
            pass

    @pytest.mark.parametrize("parent", ["file", "file/below", "dangling"])
    def test_a_parent_that_is_no_folder_is_named(self, tmp_path, parent):
        (tmp_path / "file").touch()
        (tmp_path / "dangling").symlink_to("nowhere")
        with pytest.raises(UsageError, match=rf"{parent} is not a folder"):
            workspace(tmp_path / parent / "w", RUN, fresh=False).__enter__()

    def test_a_file_in_its_place_is_kept_and_named(self, tmp_path):
        (tmp_path / "w").write_text("mine")
        with pytest.raises(UsageError, match="/w is in the way: not a folder of a run"):
            workspace(tmp_path / "w", RUN, fresh=False).__enter__()
        assert (tmp_path / "w").read_text() == "mine"

    def test_a_link_in_its_place_does_not_empty_another_folder(self, tmp_path):
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious/file").touch()
        (tmp_path / "w").symlink_to("precious")
        with pytest.raises(UsageError, match="/w is in the way"):
            workspace(tmp_path / "w", RUN, fresh=False).__enter__()
        assert (tmp_path / "precious/file").exists()

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a /proc, where nobody can make a folder")
    def test_a_place_that_takes_no_folders_is_named(self):
        with pytest.raises(UsageError, match="no folder can be made in /proc"):
            workspace(Path("/proc/out.csv.work"), RUN, fresh=False).__enter__()

    def test_of_many_runs_at_once_one_at_a_time_gets_in(self, tmp_path):
        """The folder comes and goes all the time; nobody may work in one that another has locked or removed."""
        seen, inside = Counter(), threading.Lock()

        def work():
            for _ in range(60):
                try:
                    with workspace(tmp_path / "w", RUN, fresh=False) as folder:
                        alone = inside.acquire(blocking=False)
                        (folder / "part").touch()
                        names = {path.name for path in folder.iterdir()}
                        seen["alone" if alone and names == {"run_id", "part"} else "disturbed"] += 1
                        if alone:
                            inside.release()
                except Exception as error:
                    seen[type(error).__name__] += 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) <= {"alone", "TryAgainError"}
        assert seen["alone"] > 0
        assert not (tmp_path / "w").exists()


class TestPublishFile:
    def test_a_report_that_is_there_tells_of_the_result_beside_it(self, tmp_path, monkeypatch):
        made = tmp_path / "made"
        made.mkdir()
        for name in ("part", "run"):
            (made / name).write_text("new")
        for name in ("out.csv", "out.csv.rejects.csv", "out.csv.run.json"):
            (tmp_path / name).write_text("old")
        order = []
        replace, unlink = os.replace, Path.unlink
        monkeypatch.setattr(os, "replace", lambda one, two: (order.append(two.name), replace(one, two)))
        monkeypatch.setattr(Path, "unlink", lambda path, **how: (order.append(path.name), unlink(path, **how)))
        report = (made / "run", tmp_path / "out.csv.run.json")
        publish_file(made / "part", tmp_path / "out.csv", (None, tmp_path / "out.csv.rejects.csv"), report)
        assert order == ["out.csv.run.json", "out.csv.rejects.csv", "out.csv", "out.csv.run.json"]
        assert snapshot(tmp_path) == {"made": None, "out.csv": b"new", "out.csv.run.json": b"new"}

    def test_the_bytes_reach_the_disk_before_the_names_do(self, tmp_path, monkeypatch):
        for name in ("made", "rejected", "run"):
            (tmp_path / name).write_text("new")
        steps = []
        sync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("sync"), sync(descriptor)))
        monkeypatch.setattr(os, "replace", lambda one, two: (steps.append("move"), replace(one, two)))
        moves = [(tmp_path / name, tmp_path / f"out.{name}") for name in ("rejected", "run")]
        publish_file(tmp_path / "made", tmp_path / "out", *moves)
        assert steps == [*["sync"] * 4, "move", "move", "sync", "move", "sync"]  # the third is the report's


def fill(folder, text, parts=3):
    """A result of some parts that all say the same; their names tell which result they belong to."""
    folder.mkdir(parents=True)
    for number in range(parts):
        (folder / f"part-{text}-{number}").write_text(text)
    return folder


def swapping(monkeypatch, way):
    if way == "renames":
        monkeypatch.setattr(commit, "_exchange", lambda one, other: False)


class TestPublishFolder:
    @pytest.mark.parametrize("way", ["exchange", "renames"])
    def test_the_new_folder_takes_the_place_of_the_old(self, tmp_path, monkeypatch, way):
        swapping(monkeypatch, way)
        place = tmp_path / "run_date=2026-11-23"
        for text in ("one", "two", "three"):
            with workspace(tmp_path / ".work", RUN, fresh=False) as work:
                publish_folder(fill(work / "made", text), place)
            assert snapshot(place) == {f"part-{text}-{number}": text.encode() for number in range(3)}
            assert list(tmp_path.iterdir()) == [place]

    def test_a_reader_never_sees_a_mixture_nor_an_empty_place(self, tmp_path):
        place = fill(tmp_path / "run_date=2026-11-23", "start")
        stop, seen = threading.Event(), Counter()

        def read():
            while not stop.is_set():
                try:
                    texts = {(place / name).read_text() for name in os.listdir(place)}  # noqa: PTH208, one system call
                except FileNotFoundError:
                    # A stale listing fails instead of mixing; but the place itself is always there.
                    seen["stale" if place.is_dir() else "absent"] += 1
                else:
                    seen["mixed" if len(texts) > 1 else "whole"] += 1

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for number in range(60):
            with workspace(tmp_path / ".work", RUN, fresh=False) as work:
                publish_folder(fill(work / "made", f"run{number}"), place)
        stop.set()
        for reader in readers:
            reader.join()
        assert set(seen) <= {"whole", "stale"}
        assert seen["whole"] > 0

    @pytest.mark.parametrize("way", ["exchange", "renames"])
    def test_a_swap_that_fails_leaves_the_old_folder(self, tmp_path, monkeypatch, way):
        swapping(monkeypatch, way)
        place = fill(tmp_path / "run_date=2026-11-23", "old")
        before = snapshot(tmp_path)

        def publish_what_is_gone():
            with workspace(tmp_path / ".work", RUN, fresh=False) as work:
                made = fill(work / "made", "new")
                monkeypatch.setattr(commit, "sync", lambda path: path == made and shutil.rmtree(made))
                publish_folder(made, place)

        with pytest.raises(FileNotFoundError):
            publish_what_is_gone()
        assert before == snapshot(tmp_path)

    def test_a_crash_between_two_renames_loses_nothing(self, tmp_path, monkeypatch):
        """The old folder waits where no run cleans up, and the next run brings it back or removes it."""
        swapping(monkeypatch, "renames")
        place = fill(tmp_path / "run_date=2026-11-23", "old")
        commit.parked(place).parent.mkdir(exist_ok=True)
        os.rename(place, commit.parked(place))  # killed here
        with workspace(tmp_path / ".work", RUN, fresh=False):
            commit.restore(place)
        assert snapshot(place) == {f"part-old-{number}": b"old" for number in range(3)}

        fill(commit.parked(place), "older")  # killed when the new one was in place
        commit.restore(place)
        assert list(tmp_path.iterdir()) == [place]

    def test_where_the_system_has_no_such_call_two_renames_do(self, tmp_path, monkeypatch):
        """An old C library, a kernel or a file system without it: all are met by the same way out."""
        for number in (errno.ENOSYS, errno.EINVAL):
            library = type("Library", (), {"renameat2": lambda self, *arguments: -1})()
            monkeypatch.setattr(commit.ctypes, "CDLL", lambda *arguments, library=library, **options: library)
            monkeypatch.setattr(commit.ctypes, "get_errno", lambda number=number: number)
            assert not commit._exchange(tmp_path / "a", tmp_path / "b")
        monkeypatch.setattr(commit.ctypes, "CDLL", lambda *arguments, **options: object())
        assert not commit._exchange(tmp_path / "a", tmp_path / "b")

    def test_another_failure_of_the_call_is_told(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            commit._exchange(tmp_path / "a", tmp_path / "b")


@pytest.fixture
def night(tmp_path, simple_registry, cli):
    """A folder with a registry, a big input in both kinds, and yesterday's results of both targets."""
    table = titles_table(ROWS, title_id=pa.array([f"T{number}" for number in range(ROWS)]))
    parquet.write_table(table, tmp_path / "big.parquet", row_group_size=500)
    arrow_csv.write_csv(table, tmp_path / "big.csv")
    arrow_csv.write_csv(titles_table(3), tmp_path / "small.csv")
    for output in ("out.csv", "out"):
        assert cli("score", "small.csv", "--output", output, *DATE).code == 0
    return tmp_path


DATE = ["--date", "2026-11-23"]
STOPPED = {
    "code": "interrupted",
    "message": "interrupted; nothing is half written",
    "hint": "Run the same command again; a scoring run and a search go on where they stopped",
}


def results(folder):
    """What readers of the results see: all but the working folders."""
    kept = {name: content for name, content in snapshot(folder).items() if name.startswith("out")}
    return {name: content for name, content in kept.items() if ".work" not in name}


def rows_of(path):
    """The bytes of a result, without its report, which tells of times."""
    files = [path] if path.is_file() else [one for one in sorted(path.rglob("*")) if one.is_file()]
    return {one.name: one.read_bytes() for one in files if one.name != "_run.json"}


def disturb(path, change):
    """Change an input as other programs do."""
    if change == "removed":
        path.unlink()
    if change == "grown":
        with path.open("ab") as file:
            file.write(b"4.5,1,0,0,0,1,0,0,60,T9\n")
    if change == "edited":  # other bytes, as many
        with path.open("r+b") as file:
            file.seek(-10, os.SEEK_END)
            file.write(b"0")
    if change == "replaced":
        shutil.copy(path.with_name("small.csv"), path.with_name("other"))
        path.with_name("other").replace(path)


class TestProcesses:
    """Real processes, disturbed in the midst of writing."""

    @pytest.mark.parametrize(
        ("number", "code", "source", "output"),
        [
            (signal.SIGKILL, -9, "big.csv", "out.csv"),
            (signal.SIGKILL, -9, "big.parquet", "out"),
            (signal.SIGTERM, 143, "big.csv", "out"),
            (signal.SIGTERM, 143, "big.parquet", "out.csv"),
            (signal.SIGINT, 130, "big.csv", "out.csv"),
            (signal.SIGINT, 130, "big.parquet", "out"),
        ],
    )
    def test_a_stopped_run_leaves_the_old_result_and_the_next_one_works(self, night, cli, number, code, source, output):
        before = results(night)
        with halted(night, "score", source, "--output", output, *DATE) as process:
            (work,) = night.rglob("*.work")
            wait_until(lambda: list(work.glob("ledger/*.json")))
            process.send_signal(number)
        said = "" if number == signal.SIGKILL else f"error: {STOPPED['message']}\n       {STOPPED['hint']}\n"
        assert (code, "", said) == (process.returncode, process.out, process.err)
        assert before == results(night)
        ran = gamesales(night, "score", source, "--output", output, *DATE, "--json", small_steps=True)
        assert (0, "") == (ran.returncode, ran.stderr)
        done = json.loads(ran.stdout)
        assert (ROWS, ROWS) == (done["rows_in"], done["rows_scored"])
        assert 0 < done["shards_resumed"] < done["shards"]
        undisturbed = gamesales(night, "score", source, "--output", f"new/{output}", *DATE, small_steps=True)
        assert undisturbed.returncode == 0
        assert rows_of(night / output) == rows_of(night / "new" / output)
        assert not work.exists()

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_stopped_run_tells_programs_in_one_document(self, night, number, code):
        with halted(night, "score", "big.csv", "--output", "out.csv", "--json") as process:
            process.send_signal(number)
        assert (code, "") == (process.returncode, process.err)
        assert {"error": STOPPED} == json.loads(process.out)

    @pytest.mark.parametrize("output", ["out.csv", "out"])
    def test_of_two_runs_at_once_the_second_is_told_to_wait(self, night, cli, output):
        with halted(night, "score", "big.parquet", "--output", output, *DATE) as process:
            second = cli("score", "small.csv", "--output", output, *DATE)
            other_date = cli("score", "small.csv", "--output", "out", "--date", "2026-11-24")
        assert (7, "") == (second.code, second.out)
        assert second.err.startswith("error: another run is writing this result (it holds ")
        assert other_date.code == 0
        assert (0, "") == (process.returncode, process.err)
        assert f"{ROWS:,} of {ROWS:,} titles scored" in process.out

    @pytest.mark.parametrize("output", ["out.csv", "out"])
    @pytest.mark.parametrize(
        ("source", "change", "said"),
        [
            ("big.parquet", "removed", "removed"),
            ("big.csv", "grown", "changed"),
            ("big.csv", "edited", "changed"),
            ("big.csv", "replaced", "changed"),
            ("big.parquet", "edited", "changed"),
            ("big.parquet", "replaced", "changed"),
        ],
    )
    def test_an_input_that_changes_under_the_run_is_noticed(self, night, source, change, said, output):
        before = results(night)
        with halted(night, "score", source, "--output", output, *DATE) as process:
            disturb(night / source, change)
        assert (7, "") == (process.returncode, process.out)
        assert process.err.startswith(f"error: {source} was {said} while this run")
        assert before == results(night)

    @pytest.mark.parametrize("change", ["removed", "edited"])
    def test_an_input_that_is_needed_again_to_name_ids_is_held_to_the_plan_then_too(self, night, change):
        """Both files hold the same ids; the first is read to its end when it changes."""
        (night / "in").mkdir()
        table = parquet.read_table(night / "big.parquet")
        for name, rows in (("a.csv", 2_000), ("b.csv", 8_000)):
            arrow_csv.write_csv(table.slice(0, rows), night / "in" / name)
        before = results(night)
        with halted(night, "score", "in", "--output", "out", "--workers", "1", *DATE) as process:
            wait_until(lambda: list(night.glob("out/.run_date=*.work/ledger/00001.json")))
            disturb(night / "in/a.csv", change)
        assert (7, "") == (process.returncode, process.out)
        assert process.err.startswith(f"error: in/a.csv was {'removed' if change == 'removed' else 'changed'} while")
        assert before == results(night)
