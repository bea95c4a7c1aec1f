"""Shards in threads, and the number of cores that a run uses, by affinity and by the quotas of its groups."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.scoring.engines import local
from gamesales.scoring.engines.local import count_cores, read_cpu_quotas

V2 = "42 1 0:30 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "43 1 0:31 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
OTHERS = [
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
    "41 1 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
]


def make_tree(root, groups, mounts, files):
    """The folders ``proc`` and ``sys`` of a machine."""
    content = {"proc/self/cgroup": groups, "proc/self/mountinfo": "\n".join([*OTHERS, *mounts]) + "\n", **files}
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def quota_files(version, folder, quota, period=100_000):
    """The files of a control group with a quota; None for no quota."""
    if version == 2:
        return {f"sys/fs/cgroup/{folder}cpu.max": f"{'max' if quota is None else quota} {period}\n"}
    folder = f"sys/fs/cgroup/cpu,cpuacct/{folder}"
    return {
        f"{folder}cpu.cfs_quota_us": f"{-1 if quota is None else quota}\n",
        f"{folder}cpu.cfs_period_us": f"{period}\n",
    }


def make_groups(version, path):
    return f"0::{path}\n" if version == 2 else f"12:memory:/elsewhere\n4:cpu,cpuacct:{path}\n0::/\n"


def make_mount(version, root="/"):
    return (V2 if version == 2 else V1).format(root=root)


@pytest.mark.parametrize("version", [1, 2])
def test_quota_of_a_container(tmp_path, version):
    """In a container with its own groups, the quota stands at the root of the mount."""
    make_tree(tmp_path, make_groups(version, "/"), [make_mount(version)], quota_files(version, "", 150_000))
    assert read_cpu_quotas(tmp_path) == [1.5]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("path", "root"), [("/docker/0123", "/docker/0123"), ("/docker/0123", "/docker/9"), ("/../a", "/")]
)
def test_mount_of_a_part(tmp_path, version, path, root):
    """If the mount shows the container's group only, its root has the quota, whatever the group's path is outside."""
    make_tree(tmp_path, make_groups(version, path), [make_mount(version, root)], quota_files(version, "", 200_000))
    assert read_cpu_quotas(tmp_path) == [2.0]


@pytest.mark.parametrize("version", [1, 2])
@given(quotas=st.lists(st.none() | st.integers(1_000, 10_000_000), min_size=1, max_size=5))
def test_smallest_quota_applies(tmp_path_factory, version, quotas):
    """Of nested groups, the smallest quota applies, rounded up."""
    path, files = "", {}
    for level, quota in enumerate(quotas):
        files |= quota_files(version, path, quota)
        path += f"level{level}/"
    root = make_tree(
        tmp_path_factory.mktemp("root"), make_groups(version, f"/{path}".rstrip("/")), [make_mount(version)], files
    )
    assert sorted(read_cpu_quotas(root)) == sorted(quota / 100_000 for quota in quotas if quota is not None)


@pytest.mark.parametrize(
    ("quotas", "cores"), [([], 64), ([64.5], 64), ([2.0], 2), ([1.5, 8.0], 2), ([0.25], 1), ([1.0000001], 2)]
)
def test_cores_are_rounded_up(monkeypatch, quotas, cores):
    """The count is the smallest quota rounded up, at most the affinity and at least 1."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(local, "read_cpu_quotas", lambda: quotas)
    assert count_cores() == cores


@pytest.mark.parametrize("content", ["", "max", "max 100000", "x y", "100000 0", "1 2 3"])
def test_unreadable_quota_is_none(tmp_path, content):
    """A quota that can't be read, as of a later kernel, is no quota."""
    make_tree(tmp_path, "0::/a\n", [make_mount(2)], {"sys/fs/cgroup/a/cpu.max": content})
    assert read_cpu_quotas(tmp_path) == []


def test_machine_without_groups(tmp_path):
    """A system without control groups, or with files that another kernel wrote, has no quotas."""
    assert read_cpu_quotas(tmp_path) == []
    make_tree(tmp_path, "?\n", ["?"], {})
    assert read_cpu_quotas(tmp_path) == []


def test_cores_of_this_machine():
    """A process may use at least one core, and at most all of its affinity."""
    assert 1 <= count_cores() <= (os.cpu_count() or 1)


def test_functions_are_registered_before_threads():
    """Arrow's functions are registered before several threads score, because its registry has no lock for readers."""
    script = (
        "import sys; from types import SimpleNamespace as Item\n"
        "from gamesales.scoring.engines.local import run_shards\n"
        "scorer = Item(score=lambda task, on_rows: 'pyarrow._compute' in sys.modules)\n"
        "tasks = [Item(shard=Item(number=number)) for number in (0, 1)]\n"
        "print(*run_shards(tasks, scorer, lambda number, result: None, 2, print))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ["(0, True)", "(1, True)"] == sorted(done.stdout.strip().replace(") (", ")\n(").split("\n"))
