"""Run shards in threads of this process. Reading, scoring and writing all release Python's global lock."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath

from gamesales.scoring.engines import RowsCallback, Task, TaskScorer
from gamesales.scoring.ledger import ShardResult


class _StoppedError(Exception):
    """The run ends early; an unfinished shard stops."""


def run_shards(
    tasks: Sequence[Task],
    scorer: TaskScorer,
    finish: Callable[[int, ShardResult], None],
    workers: int | None,
    on_rows: RowsCallback,
) -> Generator[tuple[int, ShardResult], None, None]:
    """Run shards. See ``Engine``.

    Other shards stop at their next batch. ``finish`` is called in a separate thread: waiting for the disk keeps no
    worker waiting.
    """
    stopped, lock = threading.Event(), threading.Lock()

    def report_rows(rows: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        with lock:
            on_rows(rows)

    def finish_shard(number: int, result: ShardResult) -> ShardResult:
        finish(number, result)
        return result

    def run_shard(task: Task) -> Future[ShardResult]:
        return finisher.submit(finish_shard, task.shard.number, scorer.score(task, report_rows))

    if len(tasks) > 1:
        _register_functions()
    pool, finisher = ThreadPoolExecutor(workers or count_cores()), ThreadPoolExecutor(1)
    try:
        pending = {pool.submit(run_shard, task): task.shard.number for task in tasks}
        for future in as_completed(pending):
            yield pending.pop(future), future.result().result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
        finisher.shutdown()


def _register_functions() -> None:
    """Register Arrow's functions now, before a thread looks one up.

    Arrow registers most of them when a thread first needs one. Another thread that looks up ``cast`` in this moment may
    not find it, because Arrow locks its registry for writers only. The module pyarrow.compute takes six times as long.
    """
    import pyarrow._compute  # noqa: F401


def count_cores() -> int:
    """Count the cores that this process may use, by its affinity and by the CPU quota of its control groups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([cores, *read_cpu_quotas()])))


def read_cpu_quotas(root: Path = Path("/")) -> list[float]:
    """Read the CPU quotas of this process's control groups and of the groups above them, in cores.

    Args:
        root: the folder with ``proc`` and with the mounted control groups.

    Returns:
        A quota for each group that has one, of version 1 and version 2; empty on a system without control groups.
    """
    try:
        # 0::/system.slice/job.service of version 2, or 4:cpu,cpuacct:/docker/0123 of version 1
        groups = [line.split(":", 2) for line in _read_lines(root / "proc/self/cgroup")]
        path_of = {controller: path for _, controllers, path in groups for controller in controllers.split(",")}
        mounts = [line.split() for line in _read_lines(root / "proc/self/mountinfo")]
        quotas = [quota for mount in mounts for quota in _read_quotas_of_mount(root, mount, path_of)]
    except (OSError, ValueError, IndexError):
        return []
    return [quota for quota in quotas if quota is not None]


def _read_quotas_of_mount(root: Path, mount: Sequence[str], path_of: Mapping[str, str]) -> Iterator[float | None]:
    """Read the quotas of a mount, a line of ``mountinfo``: ID PARENT DEVICE ROOT FOLDER … - TYPE SOURCE OPTIONS."""
    group_root, folder, kind = mount[3], root / mount[4].lstrip("/"), mount[mount.index("-") + 1]
    if kind == "cgroup2" and "" in path_of:
        yield from (_read_quota_v2(folder / group) for group in _list_groups(path_of[""], group_root))
    elif kind == "cgroup" and "cpu" in mount[-1].split(",") and "cpu" in path_of:
        yield from (_read_quota_v1(folder / group) for group in _list_groups(path_of["cpu"], group_root))


def _list_groups(path: str, group_root: str) -> Iterator[PurePosixPath]:
    """Yield a control group and the groups above it, relative to a mount of the group ``group_root``."""
    is_visible = ".." not in path and PurePosixPath(path).is_relative_to(group_root)
    # In a container, the mount may show another part of the tree. Then the group at its root applies.
    group = PurePosixPath(path).relative_to(group_root) if is_visible else PurePosixPath()
    yield from (group, *group.parents)


def _read_quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None  # the root group has no such file


def _read_quota_v1(folder: Path) -> float | None:
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
