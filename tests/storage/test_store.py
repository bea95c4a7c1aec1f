"""The local store: of many writers of a key one succeeds, nothing is overwritten, and no key leaves the folder."""

import errno
import os
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError, RegistryError, TryAgainError
from gamesales.storage.keys import is_safe_key
from gamesales.storage.store import LocalStore
from support.faults import load_faults
from support.keys import NAMES_OUTSIDE
from support.processes import limit_file_size
from support.racing import race

KEYS = 60
# Creates every key with its name as content, and prints the keys that it created.
CREATOR = f"""
from gamesales.storage.store import LocalStore
store, writer = LocalStore(sys.argv[1]), sys.argv[2]
wait_for_start()
for number in range({KEYS}):
    if store.create(f"race/{{number}}", writer.encode() * 5000):
        print(number)
"""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
def store(root):
    return LocalStore(root)


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def raise_os_error(number):
    def refuse(*_arguments):
        raise OSError(number, os.strerror(number))

    return refuse


def test_one_process_creates_a_key(root):
    """Of racing processes exactly one creates a key."""
    names = [f"{number:02}" for number in range(8)]
    outputs = race(CREATOR, [[root, name] for name in names])

    won = sorted((int(number), name) for name, output in zip(names, outputs, strict=True) for number in output.split())
    assert list(range(KEYS)) == [number for number, _ in won]
    assert {number: name.encode() * 5000 for number, name in won} == {
        number: (root / f"race/{number}").read_bytes() for number in range(KEYS)
    }
    assert sorted(f"race/{number}" for number in range(KEYS)) == list_files(root)


def test_existing_key_is_not_overwritten(root, store):
    """An existing key keeps its bytes, inode and time."""
    assert store.create("log/1.json", b"first")
    before = (root / "log/1.json").stat()

    assert not store.create("log/1.json", b"second")
    after = (root / "log/1.json").stat()
    assert b"first" == store.read("log/1.json")
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert ["log/1.json"] == list_files(root)


FOLDERS = st.sampled_from(["log", "bundles/20261124T020000Z-0123456789ab", "bundles/b=1", "a/b/c"])
LEAVES = st.from_regex(r"[a-z0-9_][a-z0-9._=-]{0,8}\.json", fullmatch=True)
WRITES = st.lists(st.tuples(st.builds("{}/{}".format, FOLDERS, LEAVES), st.binary(max_size=64)), max_size=12)


@settings(deadline=None, max_examples=40)
@given(writes=WRITES)
def test_first_content_is_kept(tmp_path_factory, writes):
    """A store keeps the first content of every key."""
    store = LocalStore(tmp_path_factory.mktemp("store") / "registry")
    first = {}
    for key, data in writes:
        assert (key not in first) == store.create(key, data)
        first.setdefault(key, data)

    assert sorted(first) == store.list("")
    assert first == {key: store.read(key) for key in first}
    for folder in ("log", "bundles", "a/b", "nothing"):
        assert sorted(key for key in first if key.startswith(f"{folder}/")) == store.list(folder)


@pytest.mark.parametrize("key", NAMES_OUTSIDE)
def test_unsafe_key_is_refused(tmp_path, store, key):
    """Every verb refuses a key that could leave the store."""
    store.create("a/b", b"inside")
    before = list_files(tmp_path)

    verbs = [lambda: store.read(key), lambda: store.create(key, b"new"), lambda: store.delete(key)]
    for verb in [*verbs, lambda: store.list(key)] if key else verbs:
        with pytest.raises(IntegrityError, match=f"^{re.escape(repr(key))} is not a key: expected names of letters"):
            verb()
    assert before == list_files(tmp_path)


@settings(deadline=None, max_examples=150)
@given(key=st.text(alphabet="ab.-~/\\\0\n \u00e9\u2025", max_size=8))
def test_any_key_stays_inside(tmp_path_factory, key):
    """A key stays inside the store or is refused."""
    folder = tmp_path_factory.mktemp("store")
    store = LocalStore(folder / "deep" / "registry")
    if is_safe_key(key):
        store.create(key, b"data")
        assert [f"deep/registry/{key}"] == list_files(folder)
        assert [key] == store.list("")
    else:
        with pytest.raises(IntegrityError, match="is not a key"):
            store.create(key, b"data")
        assert [] == list_files(folder)


def test_full_disk_leaves_nothing(root, store):
    """A full disk leaves no file, and the next attempt succeeds."""
    with limit_file_size(1_000_000), pytest.raises(TryAgainError, match=r"log/1\.json: File too large") as full:
        store.create("log/1.json", bytes(2_000_000))

    assert "Check the disk's space and your permissions, then run it again" == full.value.hint
    assert [] == list_files(root)
    assert store.create("log/1.json", bytes(2_000_000))


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_disk_error_leaves_nothing(root, store, monkeypatch, call):
    """An I/O error leaves no file, and the next attempt succeeds."""
    (root / "log").mkdir(parents=True)
    monkeypatch.setattr(os, call, raise_os_error(errno.EIO))
    with pytest.raises(TryAgainError, match=os.strerror(errno.EIO)):
        store.create("log/1.json", b"data")

    assert [] == list_files(root)
    monkeypatch.undo()
    assert store.create("log/1.json", b"data")


@pytest.mark.parametrize("path", ["model/log", "model", ""])
def test_writable_disk_is_left_alone(root, store, path):
    """The check of a writable disk leaves no file and no folder, whichever folders exist."""
    (root / path).mkdir(parents=True)
    before = list(root.parent.rglob("*"))
    store.check_writable("model/log")
    assert before == list(root.parent.rglob("*"))


@pytest.mark.parametrize("call", ["open", "fsync", "link"])
def test_unwritable_disk_is_noticed(root, store, monkeypatch, call):
    """The check of a disk that refuses to write raises the error of a write, and leaves nothing."""
    monkeypatch.setattr(os, call, raise_os_error(errno.EROFS))
    with pytest.raises(TryAgainError, match=os.strerror(errno.EROFS)):
        store.check_writable("model/log")
    assert [] == list(root.parent.rglob("*"))


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
@pytest.mark.parametrize("file_system", ["cifs", "fuse.sshfs", "nfs4", "msdos", ""])
def test_missing_hard_links_are_refused(root, monkeypatch, number, file_system):
    """A disk without hard links is refused by name, with a hint to what works."""
    monkeypatch.setattr(os, "link", raise_os_error(number))

    message = rf"log can't hold a registry: its file system has no hard links \({file_system or 'unknown'}: "
    with pytest.raises(RegistryError, match=message) as refused:
        LocalStore(root, file_system).create("log/1.json", b"data")
    assert 4 == refused.value.exit_code
    assert "A registry works on a local disk, on NFS, or in an object store" in refused.value.hint
    assert [] == list_files(root)


def test_file_system_is_looked_up(root, monkeypatch):
    """The file system of the folder itself decides, and is named as the kernel names it."""
    mounted = subprocess.run(["stat", "-f", "-c", "%T", root.parent], capture_output=True, text=True, check=True)
    monkeypatch.setattr(os, "link", raise_os_error(errno.EPERM))
    with pytest.raises(RegistryError, match=r"no hard links \((?P<name>\S+): ") as refused:
        LocalStore(root).create("log/1.json", b"data")
    name = refused.value.message.rpartition("(")[2].partition(":")[0]
    assert name in {"overlay", "overlayfs", "unknown"} or mounted.stdout.startswith(name[:3])


@pytest.mark.parametrize("file_system", ["vfat", "exfat"])
def test_rename_replaces_links(root, monkeypatch, file_system):
    """On vfat and exFAT a key gets its name by a rename that replaces nothing."""
    monkeypatch.setattr(os, "link", raise_os_error(errno.EPERM))
    store = LocalStore(root, file_system)
    assert store.create("log/1.json", b"first")
    assert not store.create("log/1.json", b"second")
    assert not LocalStore(root, file_system).create("log/1.json", b"third")
    assert b"first" == store.read("log/1.json")
    assert ["log/1.json"] == list_files(root)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_rename_is_probed(root, monkeypatch, number):
    """A vfat disk whose rename knows no condition is refused; a plain rename would overwrite."""
    monkeypatch.setattr(os, "link", raise_os_error(errno.EPERM))
    monkeypatch.setattr("gamesales.storage.store.rename_with", raise_os_error(number))
    with pytest.raises(RegistryError, match=r"no hard links \(vfat: "):
        LocalStore(root, "vfat").create("log/1.json", b"data")

    monkeypatch.setattr("gamesales.storage.store.rename_with", lambda flag, source, target: source.replace(target))
    with pytest.raises(RegistryError, match="its file system let a name be created twice"):
        LocalStore(root, "vfat").create("log/1.json", b"data")
    assert [] == list_files(root)


def test_one_process_renames(root):
    """Of racing processes exactly one creates a key by a rename."""
    script = CREATOR.replace("LocalStore(sys.argv[1])", 'LocalStore(sys.argv[1], "vfat")')
    names = ["0", "1", "2", "3"]
    outputs = race(REFUSE_LINKS + script, [[root, name] for name in names])
    assert sorted(map(str, range(KEYS))) == sorted(" ".join(outputs).split())


REFUSE_LINKS = """
import os
def refuse(*names):
    raise PermissionError(1, "Operation not permitted")
os.link = refuse
"""


def test_repeated_link_is_ours(root):
    """A link that is made, although the answer says that the name is taken, is a success: NFS repeats requests."""
    code = """
import sys
from gamesales.storage.store import LocalStore
store = LocalStore(sys.argv[1])
print(*[store.create("log/1.json", content) for content in (b"first", b"second")], store.read("log/1.json"))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, root], env=load_faults(link_lost=1), capture_output=True, text=True, check=False
    )
    assert ("True False b'first'\n", "") == (ran.stdout, ran.stderr)
    assert ["log/1.json"] == list_files(root)


def test_overwriting_link_is_refused(root, store, monkeypatch):
    """A disk whose link() overwrites a name is refused."""
    monkeypatch.setattr(os, "link", shutil.copyfile)

    for _ in range(2):
        with pytest.raises(RegistryError, match="can't hold a registry: its file system let a name be created twice"):
            store.create("log/1.json", b"data")
    assert [] == list_files(root)


def test_disk_is_probed_once(root, store, monkeypatch):
    """A store probes its disk once."""
    linked = []
    link = os.link
    monkeypatch.setattr(os, "link", lambda *names: (linked.append(names[1].name), link(*names)))
    for key in ("1.json", "2.json"):
        store.create(key, b"data")

    assert [True, True] == [name.endswith("-probe") for name in linked[:2]]
    assert ["1.json", "2.json"] == linked[2:] == list_files(root)


def test_sync_order(root, store, monkeypatch):
    """After a power cut a key is whole or absent, and a key that was answered for is there."""
    calls = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append(os.fstat(descriptor).st_ino), fsync(descriptor)))
    monkeypatch.setattr(os, "link", lambda *names: (calls.append("link"), link(*names)))
    store.create("m/log/1.json", b"data")

    content, folder = ((root / name).stat().st_ino for name in ("m/log/1.json", "m/log"))
    parents = [path.stat().st_ino for path in (root.parent.parent, root.parent, root, root / "m")]
    probe = ["link", "link"]
    assert [*parents, content, *probe, "link", folder] == calls


def test_existing_key_is_synced(root, store, monkeypatch):
    """A key that another writer has just created is on the disk before the answer."""
    store.create("log/1.json", b"first")
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_ino), fsync(descriptor)))
    assert not store.create("log/1.json", b"second")
    assert (root / "log").stat().st_ino == synced[-1]


def test_linked_file_is_refused(tmp_path, root, store):
    """A planted symbolic link leads neither readers nor writers out of the store."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    store.create("log/1.json", b"data")
    (root / "log/2.json").symlink_to(outside)
    (root / "log/3.json").symlink_to(tmp_path / "not-there-yet")

    for verb in (store.read, lambda key: store.create(key, b"new"), store.delete):
        for key in ("log/2.json", "log/3.json"):
            with pytest.raises(IntegrityError, match=rf"{key} is a symbolic link; a registry holds plain files only"):
                verb(key)
    assert ["outside", "registry/log/1.json", "registry/log/2.json", "registry/log/3.json"] == list_files(tmp_path)
    assert b"secret" == outside.read_bytes()
    assert ["log/1.json", "log/2.json", "log/3.json"] == store.list("log"), (
        "a symbolic link must be listed to be refused"
    )


def test_linked_folder_is_refused(tmp_path, root, store):
    """A symbolic link in place of a folder is refused."""
    (tmp_path / "outside").mkdir()
    root.mkdir()
    (root / "log").symlink_to(tmp_path / "outside")

    verbs = [lambda: store.read("log/1.json"), lambda: store.create("log/1.json", b"new"), lambda: store.list("log")]
    for verb in verbs:
        with pytest.raises(IntegrityError, match="registry/log is a symbolic link"):
            verb()
    assert [] == list((tmp_path / "outside").iterdir())


def test_linked_root_is_allowed(tmp_path, root, store):
    """The registry's own folder may be a symbolic link."""
    store.create("log/1.json", b"data")
    (tmp_path / "short-name").symlink_to(root)

    assert b"data" == LocalStore(tmp_path / "short-name").read("log/1.json")
    assert LocalStore(tmp_path / "short-name").create("log/2.json", b"more")
    assert ["log/1.json", "log/2.json"] == store.list("")


def test_link_loop_is_refused(tmp_path):
    """A symbolic link to itself is refused."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(IntegrityError, match="is a symbolic link"):
        LocalStore(tmp_path / "loop").read("log/1.json")


def test_pipe_is_refused(root, store):
    """A pipe is refused, and the reader does not wait for it."""
    (root / "log").mkdir(parents=True)
    os.mkfifo(root / "log/1.json")

    with pytest.raises(IntegrityError, match=r"log/1\.json is not a plain file; a registry holds plain files only"):
        store.read("log/1.json")


def test_folder_as_file_is_refused(root, store):
    """A folder in place of a file is refused."""
    (root / "log/1.json").mkdir(parents=True)

    with pytest.raises(IntegrityError, match=r"log/1\.json is not a plain file"):
        store.read("log/1.json")


@pytest.mark.parametrize("verb", [lambda s: s.read("m/1"), lambda s: s.create("m/1", b""), lambda s: s.list("m")])
@pytest.mark.parametrize("file", ["registry", "registry/m"])
def test_file_as_folder_is_named(tmp_path, root, store, verb, file):
    """A file in place of a folder is named."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("a file")

    with pytest.raises(RegistryError, match=f"{file} is a file; expected a folder of the registry") as refused:
        verb(store)
    assert "Name the registry: --registry PATH" == refused.value.hint
    assert "a file" == (tmp_path / file).read_text()


def test_missing_key_and_folder(store):
    """A missing key is a KeyError, and a missing folder is empty."""
    with pytest.raises(KeyError, match=r"log/1\.json"):
        store.read("log/1.json")
    assert [] == store.list("log")


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=40), limit=st.integers(0, 60) | st.sampled_from([2**31, 2**62]))
def test_read_limit(tmp_path_factory, data, limit):
    """At most the limit is read, and a high limit allocates nothing."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    store.create("file", data)

    assert data[:limit] == store.read("file", limit)
    assert data == store.read("file")


def test_long_key_is_accepted(store):
    """A key may have names of 255 characters."""
    key = "/".join(["a" * 255] * 4)
    assert len(key) == 1023
    assert store.create(key, b"data")
    assert b"data" == store.read(key)


def test_delete_removes_one_key(store):
    """Delete removes one key, and a missing key is no error."""
    store.create("log/1.json", b"data")
    store.create("log/2.json", b"data")

    store.delete("log/1.json")
    store.delete("log/1.json")
    store.delete("nothing/at/all")
    assert ["log/2.json"] == store.list("")


def test_temporary_file_is_not_listed(root, store):
    """The temporary file of a killed writer is not listed."""
    store.create("log/1.json", b"data")
    (root / "log/.tmp-0123456789abcdef").write_bytes(b"ha")

    assert ["log/1.json"] == store.list("")
