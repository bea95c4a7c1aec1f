"""A lease: of all processes on all hosts, one at a time works in a folder, and a replaced process never publishes."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gamesales.errors import LOGGER, TryAgainError, collect_warnings
from gamesales.scoring.lease import Holder, Lease, LeaseTimes
from support.runs import snapshot, wait_until
from support.sampling import many

# Nobody renews, and every holder on another host has been silent for long enough.
SILENT = LeaseTimes(renewal=3600, silence=0, poll=0)
BUSY = LeaseTimes(renewal=0.01, silence=3600, poll=0.01)


def make_lease(folder, host=None, times=SILENT):
    """A lease of this process, as if it ran on another host if that is named."""
    lease = Lease(folder, times)
    if host is not None:
        lease._holder = replace(lease._holder, host=host)
    return lease


@pytest.fixture
def take(tmp_path):
    """Take leases that the test's end releases."""
    leases = []

    def take_lease(host=None, times=SILENT):
        lease = make_lease(tmp_path, host, times)
        lease.take()
        leases.append(lease)
        return lease

    yield take_lease
    for lease in leases:
        lease.release()


def start_and_end_process():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_lease(folder, number=1, **changes):
    """A lease of this process, with some fields replaced; return its content."""
    content = {**vars(Holder.of_this_process()), **changes, "renewals": "000000000"}
    (folder / f"lease-{number}.json").write_text(json.dumps(content))


class TestTake:
    """Which holders are replaced, and when."""

    def test_lease_lifetime(self, tmp_path):
        """A lease is one file, which names its holder until it is released."""
        lease = make_lease(tmp_path)
        lease.take()
        (path,) = tmp_path.iterdir()
        holder = json.loads(path.read_bytes())
        assert ("lease-1.json", os.getpid(), lease.token) == (path.name, holder["pid"], holder["token"])
        assert holder["host"] == os.uname().nodename
        lease.release()
        assert snapshot(tmp_path) == {}

    def test_living_process_is_respected(self, take):
        """A living process of this host is not replaced, however silent it is."""
        take()
        with pytest.raises(TryAgainError, match=rf"another run .*process {os.getpid()} on \S+ has locked"):
            take()

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
    @pytest.mark.parametrize("changes", [lambda: {"pid": start_and_end_process()}, lambda: {"started": "1"}])
    def test_dead_process_is_replaced(self, tmp_path, take, changes):
        """A process that is gone, or whose id another process has, is replaced at once and without a warning."""
        write_lease(tmp_path, **changes())
        with collect_warnings() as messages:
            assert take(times=BUSY).is_held()
        assert messages == []

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
    def test_zombie_is_replaced(self, tmp_path, take):
        """A killed process is replaced although nobody has waited for it."""
        process = subprocess.Popen(["sleep", "60"])
        stat = Path(f"/proc/{process.pid}/stat")
        started = stat.read_text().rpartition(")")[2].split()[19]
        write_lease(tmp_path, pid=process.pid, started=started)
        with pytest.raises(TryAgainError):
            take(times=BUSY)
        process.kill()
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
        assert take(times=BUSY).is_held()
        process.wait()

    @pytest.mark.parametrize("field", ["host", "boot", "pid_namespace"])
    def test_silent_host_is_replaced(self, tmp_path, take, field):
        """A process of another host, boot or container is replaced after its silence, with a warning."""
        write_lease(tmp_path, pid=start_and_end_process(), **{field: "another"})
        with collect_warnings() as messages:
            lease = take(times=LeaseTimes(silence=0.05, poll=0.01))
        assert lease.is_held()
        first, second = messages
        assert "which may have crashed; waiting up to 0 s for a sign of life" in first
        assert "gave no sign of life" in second

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff"])
    def test_unreadable_lease_is_watched(self, tmp_path, take, content):
        """A lease that can't be read counts as the lease of another host."""
        (tmp_path / "lease-1.json").write_bytes(content)
        with collect_warnings() as messages:
            assert take().is_held()
        assert "belongs to an unknown process" in messages[0]

    def test_renewing_host_is_respected(self, take):
        """A host that renews its lease is not replaced: the second process fails."""
        take("another", BUSY)
        with pytest.raises(TryAgainError, match=r"process \d+ on another has locked") as failure:
            take(times=BUSY)
        assert failure.value.exit_code == 7

    def test_released_while_waiting(self, tmp_path, take):
        """A lease that is released while another host waits for it is taken."""
        lease = make_lease(tmp_path, "another", LeaseTimes(renewal=3600))
        lease.take()
        release = threading.Timer(0.05, lease.release)
        release.start()
        assert take(times=LeaseTimes(silence=60, poll=0.01)).is_held()
        release.join()

    def test_full_disk(self, tmp_path, monkeypatch):
        """A lease that can't be written leaves no file, and the lease before it is still valid."""
        first = make_lease(tmp_path)
        first.take()
        monkeypatch.setattr(first, "_format", lambda: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
        with pytest.raises(OSError, match="No space left"):
            first.confirm()
        assert first.is_held()
        first.release()
        assert snapshot(tmp_path) == {}

    def test_folder_is_gone(self, tmp_path):
        """A folder that is gone is not made again."""
        with pytest.raises(FileNotFoundError):
            make_lease(tmp_path / "gone").take()

    def test_lease_numbers_are_unique(self, tmp_path):
        """Of racing processes on many hosts, one at a time gets each number."""
        seen, start, leases = Counter(), threading.Barrier(6), []

        def work(host):
            start.wait()
            for _ in range(15):
                lease = make_lease(tmp_path, host)
                with suppress(TryAgainError):
                    lease.take()
                    seen[lease._number] += 1
                    leases.append(lease)

        threads = [threading.Thread(target=work, args=[f"host {number}"]) for number in range(6)]
        LOGGER.disabled = True  # each replacement is a warning
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        LOGGER.disabled = False
        for lease in leases:
            lease.release()
        assert sum(seen.values()) > 15
        assert set(seen.values()) == {1}


def fail_with(number):
    def fail(*_arguments):
        raise OSError(number, os.strerror(number))

    return fail


class TestConfirm:
    """A process that was replaced never publishes."""

    def test_replaced_process_fails(self, take):
        """A replaced process fails with exit code 7, and its end disturbs nobody."""
        first = take("another")
        second = take()
        with pytest.raises(TryAgainError, match=r"another run has taken .*; this run published nothing") as failure:
            first.confirm()
        assert failure.value.exit_code == 7
        first.release()
        assert second.is_held()
        second.confirm()

    def test_removed_folder_fails(self, tmp_path):
        """A process whose folder was removed, or made again by another process, fails."""
        folder = tmp_path / "work"
        folder.mkdir()
        old = make_lease(folder, "another")
        old.take()
        (folder / "lease-1.json").unlink()
        folder.rmdir()
        with pytest.raises(TryAgainError):
            old.confirm()
        folder.mkdir()
        new = make_lease(folder)
        new.take()
        with pytest.raises(TryAgainError):
            old.confirm()
        old.release()
        new.confirm()
        new.release()
        assert snapshot(tmp_path) == {"work": None}

    def test_late_renewal_is_harmless(self, tmp_path, take):
        """A replaced process renews its own lease only."""
        first = take("another", LeaseTimes(renewal=0.01))
        content = (tmp_path / "lease-1.json").read_bytes()
        wait_until(lambda: (tmp_path / "lease-1.json").read_bytes() != content)
        take()
        newest = (tmp_path / "lease-2.json").read_bytes()
        renewed = first._renewals
        wait_until(lambda: first._renewals > renewed + 3)
        assert newest == (tmp_path / "lease-2.json").read_bytes()

    def test_confirmed_process_is_alive(self, take):
        """A host that waits takes a confirmation as a sign of life."""
        first = take("another", LeaseTimes(renewal=3600))
        confirm = threading.Timer(0.05, first.confirm)
        confirm.start()
        with pytest.raises(TryAgainError, match="another run is writing this result"):
            take(times=LeaseTimes(silence=60, poll=0.01))
        confirm.join()


@settings(max_examples=many(200, 15), stateful_step_count=30, deadline=None)
class LeaseMachine(RuleBasedStateMachine):
    """Hosts that take, confirm, release and crash in any order: only the last that took the folder may publish."""

    hosts = st.integers(0, 3)

    def __init__(self):
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name) / "work"
        self.leases, self.current, self.boots = {}, None, itertools.count()
        LOGGER.disabled = True

    def teardown(self):
        LOGGER.disabled = False
        for lease in self.leases.values():
            lease.release()
        self.temporary.cleanup()

    @rule(host=hosts)
    def take(self, host):
        """A new process replaces every silent process on another host."""
        self.crash(host)
        self.folder.mkdir(exist_ok=True)
        lease = make_lease(self.folder, f"host {host}, boot {next(self.boots)}")
        lease.take()
        self.leases[host], self.current = lease, lease

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def confirm(self, data):
        """Only the current holder may publish; it may do so again."""
        lease = data.draw(st.sampled_from(sorted(self.leases.values(), key=lambda lease: lease._holder.host)))
        if lease is self.current:
            lease.confirm()
        else:
            with pytest.raises(TryAgainError):
                lease.confirm()

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data):
        """A process ends, and removes the folder if nobody else is in it."""
        host = data.draw(st.sampled_from(sorted(self.leases)))
        lease = self.leases.pop(host)
        lease.release()
        with suppress(OSError):
            self.folder.rmdir()
        if lease is self.current:
            self.current = None
            assert not self.folder.exists()

    @rule(host=hosts)
    def crash(self, host):
        """A process ends without a word."""
        lease = self.leases.pop(host, None)
        if lease is not None:
            lease._stopped.set()
            lease._close()
            lease._thread.join()

    @invariant()
    def is_held_by_the_last(self):
        """Every other process can see that it was replaced."""
        for lease in self.leases.values():
            assert lease.is_held() == (lease is self.current)


TestLeaseMachine = LeaseMachine.TestCase
