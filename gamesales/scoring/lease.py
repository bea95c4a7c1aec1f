"""A lease on a folder: of all processes on all hosts, one at a time works in it.

    WORK/lease-1.json      who holds the folder: host, boot id, process, start time, token; and the number of renewals

A process takes the folder by creating lease 1. It replaces the holder of lease N by creating lease N+1, which only one
process can do, and the holder must create the same lease N+1 before it publishes. So a holder that was replaced never
publishes, and a holder that is about to publish is not replaced. The leases are removed when the run ends.

``flock`` alone is not enough: on many network file systems it is local to a host.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from gamesales.errors import TryAgainError, warn

LEASE_FILES = "lease-*.json"
_LEASE_NAME = re.compile(r"lease-([1-9][0-9]{0,8})\.json")
_DEAD_STATES = {"Z", "X"}


@dataclass(frozen=True)
class LeaseTimes:
    """The intervals of a lease, in seconds.

    Attributes:
        renewal: between two renewals by the holder.
        silence: without a renewal, after which another host replaces the holder. It is many renewals long, and much
            longer than network file systems cache attributes, which is a minute.
        poll: between two looks of a waiting host.
    """

    renewal: float = 10.0
    silence: float = 300.0
    poll: float = 1.0


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease. Fields that the system does not tell are empty.

    Attributes:
        boot: the id of the host's boot.
        pid_namespace: the space of process ids that ``pid`` belongs to. Each container has its own.
        started: when the process started, in ticks since the boot. With ``pid``, it names a process of a boot.
        token: chosen anew for each lease.
    """

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: str
    token: str

    @classmethod
    def of_this_process(cls) -> Holder:
        """Describe this process, with a new token."""
        pid = os.getpid()
        return cls(
            host=os.uname().nodename,
            boot=_read_text(Path("/proc/sys/kernel/random/boot_id")),
            pid_namespace=Path("/proc/self/ns/pid").resolve().name,
            pid=pid,
            started=_read_process(pid)[1],
            token=secrets.token_hex(16),
        )

    def is_local_to(self, other: Holder) -> bool:
        """Return whether two processes see each other's process ids."""
        first, second = ((holder.host, holder.boot, holder.pid_namespace) for holder in (self, other))
        return bool(self.boot and self.started) and first == second

    def is_running(self) -> bool | None:
        """Return whether a process of this host runs; None if the system does not tell."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # it is another user's
        state, started = _read_process(self.pid)
        return (started == self.started and state not in _DEAD_STATES) if started else None


class Lease:
    """A lease that this process holds or wants, on a folder that exists."""

    def __init__(self, folder: Path, times: LeaseTimes | None = None) -> None:
        self._folder, self._times = folder, times or LeaseTimes()
        self._holder = Holder.of_this_process()
        self.token = self._holder.token
        self._number = self._renewals = 0
        self._file: FileIO | None = None  # of the lease, for renewals
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)

    def take(self) -> None:
        """Take the lease, and renew it in a thread until ``release``.

        The holder is replaced at once if its process on this host is dead, and otherwise after a long silence, by the
        clock of this host. Meanwhile this process waits.

        Raises:
            TryAgainError: another process holds the lease.
            FileNotFoundError: the folder was removed.
        """
        while not self._try_to_take():
            time.sleep(self._times.poll)
        self._thread.start()

    def confirm(self) -> None:
        """Check that no other process has replaced this process. After that, none does for the time of a silence.

        Raises:
            TryAgainError: another process has taken the folder.
        """
        with suppress(FileNotFoundError):
            number = self._number
            if self._create(number + 1):
                if self._is_own(self._read(number)):
                    return
                self._withdraw()
        raise self.make_lost_error()

    def is_held(self) -> bool:
        """Return whether no other process has replaced this process, as far as this host can see."""
        return self._is_own(self._read(self._number)) and self._read(self._number + 1) is None

    def release(self) -> None:
        """Stop renewing, and remove the lease unless another process has replaced this process."""
        self._stopped.set()
        self._thread.join()
        with suppress(OSError):  # the result is complete; a lease that stays belongs to a dead process
            if self.is_held():
                for number in range(1, self._number + 1):  # the newest last: until then, the folder is taken
                    self._path(number).unlink(missing_ok=True)
        self._close()

    def make_lost_error(self) -> TryAgainError:
        """Return the error of a run whose folder another process has taken."""
        return TryAgainError(
            f"another run has taken {self._folder}, because this run gave no sign of life for "
            f"{self._times.silence:,.0f} s, or the folder was removed; this run published nothing",
            hint="Look at the other run's result, and run this again if it is not what you need",
        )

    def _try_to_take(self) -> bool:
        number, content = self._read_newest()
        if not self._is_free(number, content) or not self._create(number + 1):
            return False
        if number == 0 or self._read(number) == content:
            return True
        self._withdraw()  # the folder was released and taken meanwhile
        return False

    def _is_free(self, number: int, content: bytes | None) -> bool:
        """Return whether a lease may be replaced. If not, it has changed meanwhile.

        Raises:
            TryAgainError: its holder is alive.
        """
        if number == 0 or content is None:
            return number == 0
        holder = _parse_holder(content)
        is_running = holder.is_running() if holder and holder.is_local_to(self._holder) else None
        if is_running:
            raise self._make_busy_error(holder)
        return is_running is False or self._is_silent(number, content, holder)

    def _is_silent(self, number: int, content: bytes, holder: Holder | None) -> bool:
        """Watch a lease until it changes or the time of a silence has passed. Return False if it was released.

        Raises:
            TryAgainError: the lease changed, so its holder is alive.
        """
        name, silence = _describe(holder), self._times.silence
        warn(
            f"{self._folder} belongs to {name}, which may have crashed; waiting up to {silence:,.0f} s for a sign of "
            "life before this run takes over"
        )
        end = time.monotonic() + silence
        while (newest := self._read_newest()) == (number, content):
            if time.monotonic() >= end:
                warn(f"{name} gave no sign of life for {silence:,.0f} s; this run takes over {self._folder}")
                return True
            time.sleep(self._times.poll)
        if newest[0] != 0:
            raise self._make_busy_error(holder)
        return False

    def _make_busy_error(self, holder: Holder | None) -> TryAgainError:
        return TryAgainError(
            f"another run is writing this result ({_describe(holder)} has locked {self._folder})",
            hint="Wait until it ends",
        )

    def _create(self, number: int) -> bool:
        """Create a lease of this process, unless it exists. Its file stays open for renewals."""
        try:
            file = self._path(number).open("xb", buffering=0)
        except FileExistsError:
            return False
        try:
            file.write(self._format())
        except OSError:  # the disk is full
            file.close()
            self._path(number).unlink()
            raise
        self._close()
        with self._lock:
            self._number, self._file = number, file
        return True

    def _withdraw(self) -> None:
        """Remove a lease that was created too late."""
        self._path(self._number).unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None

    def _keep_renewing(self) -> None:
        while not self._stopped.wait(self._times.renewal):
            # Through the open file: its name may be another process's lease by now.
            with self._lock, suppress(OSError):
                self._renewals += 1
                if self._file is not None:
                    os.pwrite(self._file.fileno(), self._format(), 0)
                    os.fsync(self._file.fileno())  # sends it to the server of a network file system

    def _format(self) -> bytes:
        # The same length each time, so that a reader never finds the end of an older content.
        return json.dumps({**asdict(self._holder), "renewals": f"{self._renewals:09d}"}).encode()

    def _read_newest(self) -> tuple[int, bytes | None]:
        """Return the number of the newest lease, 0 if there is none, and its content."""
        matches = map(_LEASE_NAME.fullmatch, os.listdir(self._folder))  # noqa: PTH208 - names only
        number = max((int(match[1]) for match in matches if match), default=0)
        return number, self._read(number) if number else None

    def _read(self, number: int) -> bytes | None:
        try:
            return self._path(number).read_bytes()
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ESTALE}:
                return None
            raise

    def _is_own(self, content: bytes | None) -> bool:
        holder = _parse_holder(content or b"")
        return holder is not None and holder.token == self.token

    def _path(self, number: int) -> Path:
        return self._folder / f"lease-{number}.json"


def _parse_holder(content: bytes) -> Holder | None:
    """Parse a lease; return None if it is incomplete or of another release."""
    try:
        document: dict[str, Any] = json.loads(content)
        document.pop("renewals")
        holder = Holder(**document)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return holder if type(holder.pid) is int and holder.pid > 0 else None


def _describe(holder: Holder | None) -> str:
    return "an unknown process" if holder is None else f"process {holder.pid} on {holder.host}"


def _read_process(pid: int) -> tuple[str, str]:
    """Read the state and the start time of a process; both are empty if the system does not tell."""
    # The fields from the third on, which is the state; field 22 is the start time. The second is a program's name in
    # parentheses, which may hold blanks and parentheses.
    fields = _read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
