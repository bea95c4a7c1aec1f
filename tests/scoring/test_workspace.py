"""The working folder of a run: one run at a time, and the files that it keeps and removes."""

import json
import shutil
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from gamesales.errors import TooManyRejectsError, TryAgainError, UsageError, collect_warnings
from gamesales.scoring.lease import LeaseTimes
from gamesales.scoring.workspace import discard, find_run, open_workspace, sweep
from support.runs import snapshot

RUN = "0" * 64
# Every holder on another host has been silent for long enough.
SILENT = LeaseTimes(renewal=3600, silence=0, poll=0)


def fail(folder, error):
    with open_workspace(folder, RUN, fresh=False) as workspace:
        (workspace.folder / "part").write_text("half")
        raise error


def stop_with_a_shard_done(folder, error):
    with open_workspace(folder, RUN, fresh=False) as workspace:
        (workspace.folder / "ledger").mkdir()
        (workspace.folder / "ledger/00000.json").touch()
        raise error


def move_to_another_host(folder):
    """Change the lease, so that its process seems to run elsewhere."""
    (path,) = folder.glob("lease-*.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "host": "another"}))


class TestWorkspace:
    """The working folder of a run."""

    def test_folder_lifetime(self, tmp_path):
        """The folder is empty at the start and removed at the end."""
        folder = tmp_path / "new/out.csv.work"
        with open_workspace(folder, RUN, fresh=False) as workspace:
            assert folder == workspace.folder.parent
            (workspace.folder / "made").mkdir()
            (workspace.folder / "made/part.csv").touch()
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
        with open_workspace(folder, RUN, fresh=False) as workspace:
            assert [path.name for path in workspace.folder.iterdir()] == ["run_id"]
            assert {path.name for path in folder.iterdir()} == {workspace.folder.name, "lease-1.json"}
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
        (folder,) = (tmp_path / "w").iterdir()
        assert snapshot(folder) == {"part": b"half", "run_id": RUN.encode()}

    @pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), TryAgainError("full")])
    def test_finished_shards_stay(self, tmp_path, error):
        """Finished shards stay for the next run with the same id only."""
        with pytest.raises(type(error)):
            stop_with_a_shard_done(tmp_path / "w", error)
        with suppress(InterruptedError), open_workspace(tmp_path / "w", RUN, fresh=False) as workspace:
            assert (workspace.folder / "ledger/00000.json").exists()
            raise InterruptedError
        with open_workspace(tmp_path / "w", "1" * 64, fresh=False) as workspace:
            assert not (workspace.folder / "ledger").exists()
            assert len(list((tmp_path / "w").glob("run-*"))) == 1

    def test_fresh_run_starts_empty(self, tmp_path):
        """A fresh run removes the finished shards."""
        with suppress(InterruptedError):
            stop_with_a_shard_done(tmp_path / "w", InterruptedError())
        with open_workspace(tmp_path / "w", RUN, fresh=True) as workspace:
            assert [path.name for path in workspace.folder.iterdir()] == ["run_id"]

    def test_second_run_must_wait(self, tmp_path):
        """A second run for the same result fails while the first holds the lock."""
        with open_workspace(tmp_path / "w", RUN, fresh=False) as workspace:
            (workspace.folder / "part").touch()
            with pytest.raises(
                TryAgainError, match=r"another run is writing this result \(it has locked .*/w\)"
            ) as failure:
                open_workspace(tmp_path / "w", RUN, fresh=False).__enter__()
            assert failure.value.hint == "Wait until it ends"
            assert (workspace.folder / "part").exists()
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
                    with open_workspace(tmp_path / "w", RUN, fresh=False) as workspace:
                        alone = inside.acquire(blocking=False)
                        (workspace.folder / "part").touch()
                        names = {path.name for path in workspace.folder.iterdir()}
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

    def test_replaced_run_writes_nowhere(self, tmp_path, monkeypatch):
        """A run that wakes up after it was replaced fails with exit code 7 and writes nothing into the other run."""
        folder = tmp_path / "out.csv.work"
        monkeypatch.setattr("gamesales.scoring.workspace.fcntl.flock", lambda descriptor, operation: None)
        sleeping = open_workspace(folder, RUN, fresh=False, lease_times=SILENT)
        old = sleeping.__enter__()
        (old.folder / "ledger").mkdir()
        (old.folder / "ledger/00000.json").write_text("{}")
        (old.folder / "half").write_text("half")
        move_to_another_host(folder)
        with open_workspace(folder, RUN, fresh=False, lease_times=SILENT) as new:
            assert new.folder != old.folder
            assert sorted(path.name for path in new.folder.iterdir()) == ["ledger", "run_id"]
            with pytest.raises(FileNotFoundError) as failure:
                (old.folder / "part").write_text("late")
            with pytest.raises(TryAgainError, match="another run has taken"):
                sleeping.__exit__(FileNotFoundError, failure.value, None)
            new.confirm()
            assert sorted(path.name for path in new.folder.iterdir()) == ["ledger", "run_id"]
        assert snapshot(tmp_path) == {}

    def test_damaged_mark(self, tmp_path):
        """A mark of a run that a power cut damaged is the mark of no run."""
        (tmp_path / "w/run-0").mkdir(parents=True)
        (tmp_path / "w/run-0/run_id").write_bytes(b"\xff" * 64)
        assert find_run(tmp_path / "w", RUN) is None
        with open_workspace(tmp_path / "w", RUN, fresh=False):
            pass
        assert snapshot(tmp_path) == {}

    def test_folder_is_deleted(self, tmp_path):
        """A run whose folder is deleted fails with exit code 7, and says so."""
        opened = open_workspace(tmp_path / "out/w", RUN, fresh=False)
        workspace = opened.__enter__()
        shutil.rmtree(tmp_path / "out")
        error = FileNotFoundError(workspace.folder / "part")
        with pytest.raises(TryAgainError, match="or the folder was removed; this run published nothing"):
            opened.__exit__(type(error), error, None)
        assert snapshot(tmp_path) == {}


class TestDiscard:
    """Folders that are hidden and removed."""

    def test_two_runs_remove(self, tmp_path):
        """Runs for two dates remove the same folder without a warning."""
        with collect_warnings() as messages:
            for number in range(30):
                for name in range(100):
                    (tmp_path / f"old/{name}/deep").mkdir(parents=True)
                threads = [threading.Thread(target=sweep, args=[tmp_path]) for _ in range(2)]
                for thread in threads:
                    thread.start()
                discard(tmp_path / "old", tmp_path)
                for thread in threads:
                    thread.join()
                assert list(tmp_path.iterdir()) == [], number
        assert messages == []
