"""A result is published as a whole or not at all, with concurrent writers, readers and kills."""

import errno
import json
import os
import shutil
import signal
import threading
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from gamesales.errors import collect_warnings
from gamesales.jobs.loading import open_registry
from gamesales.scoring import commit
from gamesales.scoring.commit import publish_file, publish_folder
from gamesales.scoring.ledger import ShardResult, record_shard
from gamesales.scoring.workspace import open_workspace
from support.runs import gamesales, halted, snapshot, wait_until
from support.sampling import some
from support.versions import publish_simple, titles_table

ROWS = 12_000
RUN = "0" * 64
DO_NOTHING = lambda: None  # noqa: E731
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
        rejects = (None, tmp_path / "out.csv.rejects.csv")
        publish_file(staged / "part", tmp_path / "out.csv", rejects, report, lambda: order.append("confirmed"))
        assert order == ["confirmed", "out.csv.run.json", "out.csv.rejects.csv", "out.csv", "out.csv.run.json"]
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
        publish_file(tmp_path / "made", tmp_path / "out", *moves, DO_NOTHING)
        assert steps == [*["sync"] * 4, "move", "move", "sync", "move", "sync"]  # the third sync is the report


def make_result(folder, text, parts=3):
    """A result of several equal parts, named after the result."""
    folder.mkdir(parents=True)
    for number in range(parts):
        (folder / f"part-{text}-{number}").write_text(text)
    return folder


def fail_with(number):
    def fail(*_arguments):
        raise OSError(number, os.strerror(number))

    return fail


def die_at_step(step):
    """Let this process die just before a system call: the Nth of those that change names."""
    calls = iter(range(step + 1))

    def die_before(call):
        def counted(*arguments, **options):
            if next(calls, step) == step:
                os._exit(9)
            return call(*arguments, **options)

        return counted

    for name in ("rename", "unlink", "rmdir", "mkdir", "open"):
        setattr(os, name, die_before(getattr(os, name)))


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
            with open_workspace(tmp_path / ".work", RUN, fresh=False) as workspace:
                publish_folder(make_result(workspace.folder / "made", text), visible, workspace.confirm)
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
        for number in range(25):
            with open_workspace(tmp_path / ".work", RUN, fresh=False) as workspace:
                publish_folder(make_result(workspace.folder / "made", f"run{number}"), visible, workspace.confirm)
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
            with open_workspace(tmp_path / ".work", RUN, fresh=False) as workspace:
                staged = make_result(workspace.folder / "made", "new")
                publish_folder(staged, visible, lambda: shutil.rmtree(staged))

        with pytest.raises(FileNotFoundError):
            publish_what_is_gone()
        assert before == snapshot(tmp_path)

    def test_crash_between_renames(self, tmp_path, monkeypatch):
        """The next run restores the old folder, or removes it if it was replaced."""
        use_swap(monkeypatch, "renames")
        visible = make_result(tmp_path / "run_date=2026-11-23", "old")
        os.rename(visible, commit.find_swap_paths(visible)[0].backup)  # killed here
        with open_workspace(tmp_path / ".work", RUN, fresh=False):
            commit.finish_swap(visible)
        assert snapshot(visible) == {f"part-old-{number}": b"old" for number in range(3)}

        make_result(commit.find_swap_paths(visible)[0].backup, "older")  # killed when the new folder was visible
        commit.finish_swap(visible)
        assert list(tmp_path.iterdir()) == [visible]

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_crash_while_copied(self, tmp_path, monkeypatch):
        """If a folder can't be renamed, a crash at any step leaves the old result for the next run, or the new one."""
        rename, visible = os.rename, tmp_path / "out/run_date=2026-11-23"

        def refuse_rename(source, target):
            if visible in (source, target) and visible.exists():
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            rename(source, target)

        use_swap(monkeypatch, "renames")
        monkeypatch.setattr(os, "rename", refuse_rename)
        results, step = [], 0
        while not results or results[-1] == {"old"}:
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            (make_result(visible, "old") / "_SUCCESS").touch()
            staged = make_result(tmp_path / "out/.work/made", "new")
            (staged / "_SUCCESS").touch()
            pid = os.fork()
            if pid == 0:
                die_at_step(step)
                publish_folder(staged, visible, DO_NOTHING)
                os._exit(0)
            os.waitpid(pid, 0)
            commit.finish_swap(visible)
            assert (visible / "_SUCCESS").exists()
            assert len(list(visible.iterdir())) == 4
            results.append({path.name.split("-")[1] for path in visible.glob("part-*")})
            assert {path.name for path in tmp_path.iterdir()} == {"out"}
            step += 1
        assert results[-1] == {"new"}
        assert len(results) > 10

    def test_old_folder_can_not_be_removed(self, tmp_path, monkeypatch):
        """A replaced folder that can't be removed is hidden, with a warning, and removed later."""
        use_swap(monkeypatch, "renames")
        visible = make_result(tmp_path / "out/run_date=2026-11-23", "old")
        monkeypatch.setattr(shutil, "rmtree", lambda path, **how: None)
        with collect_warnings() as messages:
            publish_folder(make_result(tmp_path / "out/.work/made", "new"), visible, DO_NOTHING)
        (leftover,) = tmp_path.rglob(".gamesales-removed-*")
        assert f"{leftover} can't be removed yet" in messages[0]
        assert {path.name.split("-")[1] for path in visible.iterdir()} == {"new"}
        commit.finish_swap(visible)
        assert len(list(tmp_path.rglob(".gamesales-removed-*"))) == 1
        monkeypatch.undo()
        commit.finish_swap(visible)
        assert list(tmp_path.rglob(".gamesales-removed-*")) == []

    @pytest.mark.parametrize(
        ("run_id", "kept"), [("a", {"part-new-0.parquet.part", "part-new-1.parquet.part"}), ("b", None)]
    )
    def test_killed_publication_goes_back(self, tmp_path, monkeypatch, run_id, kept):
        """The complete folder of a killed run goes back to the run, with the files of its ledger only."""
        visible, work = make_result(tmp_path / "out/run_date=2026-11-23", "old"), tmp_path / "out/.work"
        staged = make_result(work / "made", "new", parts=0)
        for number in range(3):
            (staged / f"part-new-{number}.parquet.part").write_text("new")
        (staged / "_run.json").write_text('{"run_id": "a"}')
        for number in range(2):
            record_shard(work, number, ShardResult(files={f"made/part-new-{number}.parquet.part": 3}))
        monkeypatch.setattr(commit, "_swap", fail_with(errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            publish_folder(staged, visible, DO_NOTHING)
        commit.recover_folder(visible, work, run_id)
        assert staged.exists() == (kept is not None)
        assert kept is None or kept == {path.name for path in staged.iterdir()}
        assert {path.name for path in tmp_path.iterdir()} == {"out"}
        assert (visible / "part-old-0").exists()

    def test_folder_below_the_root(self):
        """Nothing can be put next to the root of the file system, so a folder there is published from inside it."""
        outside, inside = commit.find_swap_paths(Path("/run_date=2026-11-23"))
        assert outside == inside
        assert inside.new == Path("/.run_date=2026-11-23.new")

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP])
    def test_exchange_is_unsupported(self, tmp_path, monkeypatch, number):
        """A C library, kernel or file system without the call is reported as such."""
        monkeypatch.setattr(commit, "rename_with", fail_with(number))
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
            wait_until(lambda: list(work.glob("run-*/ledger/*.json")))
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
        """A stopped run prints one JSON document, and the error as text on stderr."""
        with halted(night, "score", "big.csv", "--output", "out.csv", "--json") as process:
            process.send_signal(number)
        assert (code, f"error: {STOPPED['message']}") == (process.returncode, process.err.splitlines()[0])
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
            wait_until(lambda: list(night.glob("out/.run_date=*.work/run-*/ledger/00001.json")))
            disturb(night / "in/a.csv", change)
        assert (7, "") == (process.returncode, process.out)
        assert process.err.startswith(f"error: in/a.csv was {'removed' if change == 'removed' else 'changed'} while")
        assert before == results(night)
