"""A result is published as a whole or not at all, with concurrent writers, readers and kills."""

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
from gamesales.jobs.loading import open_registry
from gamesales.scoring import commit
from gamesales.scoring.commit import open_workspace, publish_file, publish_folder
from support.runs import gamesales, halted, snapshot, wait_until
from support.sampling import some
from support.versions import publish_simple, titles_table

ROWS = 12_000
RUN = "0" * 64
DATE = ["--date", "2026-11-23"]
STOPPED = {
    "code": "interrupted",
    "message": "interrupted; nothing is half written",
    "hint": "Run the same command again; a scoring run or a search resumes",
}

# Signals with the exit code, the input and the output of the run that they stop.
STOPS = [
    (signal.SIGKILL, -9, "big.csv", "out.csv"),
    (signal.SIGTERM, 143, "big.parquet", "out.csv"),
    (signal.SIGINT, 130, "big.parquet", "out"),
    *some(
        "stops of a run",
        [
            (signal.SIGKILL, -9, "big.parquet", "out"),
            (signal.SIGTERM, 143, "big.csv", "out"),
            (signal.SIGINT, 130, "big.csv", "out.csv"),
        ],
        1,
    ),
]
# Inputs with a change, its name in the message, and an output of the run.
CHANGES = [
    ("big.parquet", "removed", "removed", "out.csv"),
    ("big.csv", "grown", "changed", "out"),
    ("big.csv", "edited", "changed", "out.csv"),
    ("big.csv", "replaced", "changed", "out"),
    ("big.parquet", "edited", "changed", "out"),
    ("big.parquet", "replaced", "changed", "out.csv"),
]
OTHER_CHANGES = [(*change, "out" if output == "out.csv" else "out.csv") for *change, output in CHANGES]


def fail(folder, error):
    with open_workspace(folder, RUN, fresh=False) as work:
        (work / "part").write_text("half")
        raise error


def stop_with_a_shard_done(folder, error):
    with open_workspace(folder, RUN, fresh=False) as work:
        (work / "ledger").mkdir()
        (work / "ledger/00000.json").touch()
        raise error


class TestWorkspace:
    """The working folder of a run."""

    def test_folder_lifetime(self, tmp_path):
        """The folder is empty at the start and removed at the end."""
        folder = tmp_path / "new/out.csv.work"
        with open_workspace(folder, RUN, fresh=False) as work:
            assert folder == work
            (work / "made").mkdir()
            (work / "made/part.csv").touch()
        assert snapshot(tmp_path) == {"new": None}

    def test_leftovers_are_removed(self, tmp_path):
        """Files of another run are removed, but not the targets of links."""
        folder = tmp_path / "out.csv.work"
        (folder / "made/deep").mkdir(parents=True)
        (folder / "made/deep/part.csv").touch()
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious/file").touch()
        (folder / "link").symlink_to(tmp_path / "precious")
        (folder / "file").touch()
        with open_workspace(folder, RUN, fresh=False) as work:
            assert [path.name for path in work.iterdir()] == ["run_id"]
        assert snapshot(tmp_path) == {"precious": None, "precious/file": b""}

    @pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), TryAgainError("full")])
    def test_failure_leaves_nothing(self, tmp_path, error):
        """A failure without a finished shard removes the folder."""
        with pytest.raises(type(error)):
            fail(tmp_path / "w", error)
        assert snapshot(tmp_path) == {}

    def test_rejects_stay(self, tmp_path):
        """Too many rejects leave the folder for people to inspect."""
        with pytest.raises(TooManyRejectsError):
            fail(tmp_path / "w", TooManyRejectsError("all of them"))
        assert snapshot(tmp_path) == {"w": None, "w/part": b"half", "w/run_id": RUN.encode()}

    @pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), TryAgainError("full")])
    def test_finished_shards_stay(self, tmp_path, error):
        """Finished shards stay for the next run with the same id only."""
        with pytest.raises(type(error)):
            stop_with_a_shard_done(tmp_path / "w", error)
        with suppress(InterruptedError), open_workspace(tmp_path / "w", RUN, fresh=False) as work:
            assert (work / "ledger/00000.json").exists()
            raise InterruptedError
        with open_workspace(tmp_path / "w", "1" * 64, fresh=False) as work:
            assert not (work / "ledger").exists()

    def test_fresh_run_starts_empty(self, tmp_path):
        """A fresh run removes the finished shards."""
        with suppress(InterruptedError):
            stop_with_a_shard_done(tmp_path / "w", InterruptedError())
        with open_workspace(tmp_path / "w", RUN, fresh=True) as work:
            assert [path.name for path in work.iterdir()] == ["run_id"]

    def test_second_run_must_wait(self, tmp_path):
        """A second run for the same result fails while the first holds the lock."""
        with open_workspace(tmp_path / "w", RUN, fresh=False) as work:
            (work / "part").touch()
            with pytest.raises(
                TryAgainError, match=r"another run is writing this result \(it has locked .*/w\)"
            ) as failure:
                open_workspace(tmp_path / "w", RUN, fresh=False).__enter__()
            assert failure.value.hint == "Wait until it ends"
            assert (work / "part").exists()
        with open_workspace(tmp_path / "w", RUN, fresh=False):
            pass

    @pytest.mark.parametrize("parent", ["file", "file/below", "dangling"])
    def test_parent_is_no_folder(self, tmp_path, parent):
        """A parent that is not a folder is named."""
        (tmp_path / "file").touch()
        (tmp_path / "dangling").symlink_to("nowhere")
        with pytest.raises(UsageError, match=rf"{parent} is not a folder"):
            open_workspace(tmp_path / parent / "w", RUN, fresh=False).__enter__()

    def test_file_at_folder_path(self, tmp_path):
        """A file at the path of the folder is kept, and named."""
        (tmp_path / "w").write_text("mine")
        with pytest.raises(UsageError, match="/w is not the working folder of a run"):
            open_workspace(tmp_path / "w", RUN, fresh=False).__enter__()
        assert (tmp_path / "w").read_text() == "mine"

    def test_link_at_folder_path(self, tmp_path):
        """A link at the path of the folder does not empty its target."""
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious/file").touch()
        (tmp_path / "w").symlink_to("precious")
        with pytest.raises(UsageError, match="/w is not the working folder"):
            open_workspace(tmp_path / "w", RUN, fresh=False).__enter__()
        assert (tmp_path / "precious/file").exists()

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a /proc, where nobody can make a folder")
    def test_folder_can_not_be_made(self):
        """A parent in which no folder can be made is named."""
        with pytest.raises(UsageError, match="can't create a folder in /proc"):
            open_workspace(Path("/proc/out.csv.work"), RUN, fresh=False).__enter__()

    def test_one_run_at_a_time(self, tmp_path):
        """Runs never share a folder that another run has locked or removed."""
        seen, inside = Counter(), threading.Lock()

        def work():
            for _ in range(60):
                try:
                    with open_workspace(tmp_path / "w", RUN, fresh=False) as folder:
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
    """The order of the steps that publish a single file."""

    def test_report_is_removed_first(self, tmp_path, monkeypatch):
        """The old report goes first and the new report comes last."""
        staged = tmp_path / "made"
        staged.mkdir()
        for name in ("part", "run"):
            (staged / name).write_text("new")
        for name in ("out.csv", "out.csv.rejects.csv", "out.csv.run.json"):
            (tmp_path / name).write_text("old")
        order = []
        replace, unlink = os.replace, Path.unlink
        monkeypatch.setattr(os, "replace", lambda source, target: (order.append(target.name), replace(source, target)))
        monkeypatch.setattr(Path, "unlink", lambda path, **how: (order.append(path.name), unlink(path, **how)))
        report = (staged / "run", tmp_path / "out.csv.run.json")
        publish_file(staged / "part", tmp_path / "out.csv", (None, tmp_path / "out.csv.rejects.csv"), report)
        assert order == ["out.csv.run.json", "out.csv.rejects.csv", "out.csv", "out.csv.run.json"]
        assert snapshot(tmp_path) == {"made": None, "out.csv": b"new", "out.csv.run.json": b"new"}

    def test_fsync_precedes_rename(self, tmp_path, monkeypatch):
        """The content of each file is on the disk before its name."""
        for name in ("made", "rejected", "run"):
            (tmp_path / name).write_text("new")
        steps = []
        sync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("sync"), sync(descriptor)))
        monkeypatch.setattr(os, "replace", lambda source, target: (steps.append("move"), replace(source, target)))
        moves = [(tmp_path / name, tmp_path / f"out.{name}") for name in ("rejected", "run")]
        publish_file(tmp_path / "made", tmp_path / "out", *moves)
        assert steps == [*["sync"] * 4, "move", "move", "sync", "move", "sync"]  # the third sync is the report


def make_result(folder, text, parts=3):
    """A result of several equal parts, named after the result."""
    folder.mkdir(parents=True)
    for number in range(parts):
        (folder / f"part-{text}-{number}").write_text(text)
    return folder


def use_swap(monkeypatch, way):
    if way == "renames":
        monkeypatch.setattr(commit, "_exchange", lambda first, second: False)


class TestPublishFolder:
    """A folder is replaced in one step."""

    @pytest.mark.parametrize("way", ["exchange", "renames"])
    def test_new_folder_replaces_old(self, tmp_path, monkeypatch, way):
        """The new folder replaces the old folder, and nothing is left."""
        use_swap(monkeypatch, way)
        visible = tmp_path / "run_date=2026-11-23"
        for text in ("one", "two", "three"):
            with open_workspace(tmp_path / ".work", RUN, fresh=False) as work:
                publish_folder(make_result(work / "made", text), visible)
            assert snapshot(visible) == {f"part-{text}-{number}": text.encode() for number in range(3)}
            assert list(tmp_path.iterdir()) == [visible]

    def test_reader_sees_one_result(self, tmp_path):
        """A reader never sees a mixture of two results, or no folder."""
        visible = make_result(tmp_path / "run_date=2026-11-23", "start")
        stop, seen = threading.Event(), Counter()

        def read():
            while not stop.is_set():
                try:
                    texts = {(visible / name).read_text() for name in os.listdir(visible)}  # noqa: PTH208, one system call
                except FileNotFoundError:
                    # A stale listing fails instead of mixing. The folder itself always exists.
                    seen["stale" if visible.is_dir() else "absent"] += 1
                else:
                    seen["mixed" if len(texts) > 1 else "whole"] += 1

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for number in range(60):
            with open_workspace(tmp_path / ".work", RUN, fresh=False) as work:
                publish_folder(make_result(work / "made", f"run{number}"), visible)
        stop.set()
        for reader in readers:
            reader.join()
        assert set(seen) <= {"whole", "stale"}
        assert seen["whole"] > 0

    @pytest.mark.parametrize("way", ["exchange", "renames"])
    def test_failed_swap_keeps_old(self, tmp_path, monkeypatch, way):
        """A swap that fails leaves the old folder."""
        use_swap(monkeypatch, way)
        visible = make_result(tmp_path / "run_date=2026-11-23", "old")
        before = snapshot(tmp_path)

        def publish_what_is_gone():
            with open_workspace(tmp_path / ".work", RUN, fresh=False) as work:
                staged = make_result(work / "made", "new")
                monkeypatch.setattr(commit, "fsync", lambda path: path == staged and shutil.rmtree(staged))
                publish_folder(staged, visible)

        with pytest.raises(FileNotFoundError):
            publish_what_is_gone()
        assert before == snapshot(tmp_path)

    def test_crash_between_renames(self, tmp_path, monkeypatch):
        """The next run restores the old folder, or removes it if it was replaced."""
        use_swap(monkeypatch, "renames")
        visible = make_result(tmp_path / "run_date=2026-11-23", "old")
        commit.backup_path(visible).parent.mkdir(exist_ok=True)
        os.rename(visible, commit.backup_path(visible))  # killed here
        with open_workspace(tmp_path / ".work", RUN, fresh=False):
            commit.finish_swap(visible)
        assert snapshot(visible) == {f"part-old-{number}": b"old" for number in range(3)}

        make_result(commit.backup_path(visible), "older")  # killed when the new folder was visible
        commit.finish_swap(visible)
        assert list(tmp_path.iterdir()) == [visible]

    def test_exchange_is_unsupported(self, tmp_path, monkeypatch):
        """A C library, kernel or file system without the call is reported as such."""
        for number in (errno.ENOSYS, errno.EINVAL):
            library = type("Library", (), {"renameat2": lambda self, *arguments: -1})()
            monkeypatch.setattr(commit.ctypes, "CDLL", lambda *arguments, library=library, **options: library)
            monkeypatch.setattr(commit.ctypes, "get_errno", lambda number=number: number)
            assert not commit._exchange(tmp_path / "a", tmp_path / "b")
        monkeypatch.setattr(commit.ctypes, "CDLL", lambda *arguments, **options: object())
        assert not commit._exchange(tmp_path / "a", tmp_path / "b")

    def test_exchange_fails(self, tmp_path):
        """Another failure of the call is an error."""
        with pytest.raises(FileNotFoundError):
            commit._exchange(tmp_path / "a", tmp_path / "b")


@pytest.fixture(scope="module")
def evening(tmp_path_factory):
    """A folder with a registry, a large input as CSV and Parquet, and yesterday's results as a file and a folder."""
    folder = tmp_path_factory.mktemp("evening")
    registry = open_registry(folder / "registry", "game-earnings")
    publish_simple(registry)
    registry.set_alias("champion", 1, "for a test", lambda state, version: {"findings": [], "forced": False})
    table = titles_table(ROWS, title_id=pa.array([f"T{number}" for number in range(ROWS)]))
    parquet.write_table(table, folder / "big.parquet", row_group_size=500)
    arrow_csv.write_csv(table, folder / "big.csv")
    arrow_csv.write_csv(titles_table(3), folder / "small.csv")
    for output in ("out.csv", "out"):
        assert gamesales(folder, "score", "small.csv", "--output", output, *DATE).returncode == 0
    return folder


@pytest.fixture
def night(evening, tmp_path):
    """A copy of that folder."""
    shutil.copytree(evening, tmp_path, dirs_exist_ok=True)
    return tmp_path


def results(folder):
    """The visible results, without the working folders."""
    kept = {name: content for name, content in snapshot(folder).items() if name.startswith("out")}
    return {name: content for name, content in kept.items() if ".work" not in name}


def read_rows(path):
    """The bytes of a result without its report, which has times."""
    files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
    return {file.name: file.read_bytes() for file in files if file.name != "_run.json"}


def disturb(path, change):
    """Change an input as another program would."""
    if change == "removed":
        path.unlink()
    if change == "grown":
        with path.open("ab") as file:
            file.write(b"4.5,1,0,0,0,1,0,0,60,T9\n")
    if change == "edited":  # other bytes of the same length
        with path.open("r+b") as file:
            file.seek(-10, os.SEEK_END)
            file.write(b"0")
    if change == "replaced":
        shutil.copy(path.with_name("small.csv"), path.with_name("other"))
        path.with_name("other").replace(path)


class TestProcesses:
    """Real processes that are disturbed while they write."""

    @pytest.mark.parametrize(("number", "code", "source", "output"), STOPS)
    def test_stopped_run_resumes(self, night, number, code, source, output):
        """A stopped run leaves the old result. The next run resumes and ends with the same bytes."""
        before = results(night)
        with halted(night, "score", source, "--output", output, *DATE) as process:
            (work,) = night.rglob("*.work")
            wait_until(lambda: list(work.glob("ledger/*.json")))
            process.send_signal(number)
        message = "" if number == signal.SIGKILL else f"error: {STOPPED['message']}\n       {STOPPED['hint']}\n"
        assert (code, "", message) == (process.returncode, process.out, process.err)
        assert before == results(night)
        ran = gamesales(night, "score", source, "--output", output, *DATE, "--json", small_steps=True)
        assert (0, "") == (ran.returncode, ran.stderr)
        done = json.loads(ran.stdout)
        assert (ROWS, ROWS) == (done["rows_in"], done["rows_scored"])
        assert 0 < done["shards_resumed"] < done["shards"]
        undisturbed = gamesales(night, "score", source, "--output", f"new/{output}", *DATE, small_steps=True)
        assert undisturbed.returncode == 0
        assert read_rows(night / output) == read_rows(night / "new" / output)
        assert not work.exists()

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_stopped_run_prints_json(self, night, number, code):
        """A stopped run prints one JSON document."""
        with halted(night, "score", "big.csv", "--output", "out.csv", "--json") as process:
            process.send_signal(number)
        assert (code, "") == (process.returncode, process.err)
        assert {"error": STOPPED} == json.loads(process.out)

    @pytest.mark.parametrize("output", ["out.csv", "out"])
    def test_concurrent_run_must_wait(self, night, cli, output):
        """Of two runs for one date, the second fails. A run for another date works."""
        with halted(night, "score", "big.parquet", "--output", output, *DATE) as process:
            second = cli("score", "small.csv", "--output", output, *DATE)
            other_date = cli("score", "small.csv", "--output", "out", "--date", "2026-11-24")
        assert (7, "") == (second.code, second.out)
        assert second.err.startswith("error: another run is writing this result (it has locked ")
        assert other_date.code == 0
        assert (0, "") == (process.returncode, process.err)
        assert f"{ROWS:,} of {ROWS:,} titles scored" in process.out

    @pytest.mark.parametrize(
        ("source", "change", "message", "output"), [*CHANGES, *some("changes of inputs", OTHER_CHANGES, 1)]
    )
    def test_changed_input_is_noticed(self, night, source, change, message, output):
        """An input that changes during a run stops the run."""
        before = results(night)
        with halted(night, "score", source, "--output", output, *DATE) as process:
            disturb(night / source, change)
        assert (7, "") == (process.returncode, process.out)
        assert process.err.startswith(f"error: {source} was {message} while this run")
        assert before == results(night)

    @pytest.mark.parametrize("change", ["removed", "edited"])
    def test_changed_input_for_examples(self, night, change):
        """An input that is read again for duplicate ids must be unchanged. Both files hold the same ids."""
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
