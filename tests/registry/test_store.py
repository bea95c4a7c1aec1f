"""The store: of many writers of a key exactly one succeeds, nothing is overwritten, and nobody leaves the folder."""

import errno
import os
import re
import resource
import shutil
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError, RegistryError, TryAgainError
from gamesales.registry.keys import is_safe_key
from gamesales.registry.store import LocalStore
from support.keys import NAMES_OUTSIDE
from support.racing import race

KEYS = 60
# Creates every key with its own name in it, and prints the keys that it won.
CREATOR = f"""
from gamesales.registry.store import LocalStore
store, me = LocalStore(sys.argv[1]), sys.argv[2]
wait_for_start()
for number in range({KEYS}):
    if store.create(f"race/{{number}}", me.encode() * 5000):
        print(number)
"""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
def store(root):
    return LocalStore(root)


@contextmanager
def disk_that_takes(size):
    """Let the operating system refuse to write files beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def refusing(number):
    def refuse(*_arguments):
        raise OSError(number, os.strerror(number))

    return refuse


def test_of_racing_processes_exactly_one_creates_a_key(root):
    names = [f"{number:02}" for number in range(8)]
    outputs = race(CREATOR, [[root, name] for name in names])

    won = sorted((int(number), name) for name, output in zip(names, outputs, strict=True) for number in output.split())
    assert list(range(KEYS)) == [number for number, _ in won]
    assert {number: name.encode() * 5000 for number, name in won} == {
        number: (root / f"race/{number}").read_bytes() for number in range(KEYS)
    }
    assert sorted(f"race/{number}" for number in range(KEYS)) == files_below(root)


def test_what_exists_is_never_overwritten(root, store):
    assert store.create("log/1.json", b"first")
    before = (root / "log/1.json").stat()

    assert not store.create("log/1.json", b"second")
    after = (root / "log/1.json").stat()
    assert b"first" == store.read("log/1.json")
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert ["log/1.json"] == files_below(root)


FOLDERS = st.sampled_from(["log", "bundles/20261124T020000Z-0123456789ab", "bundles/b=1", "a/b/c"])
LEAVES = st.from_regex(r"[a-z0-9_][a-z0-9._=-]{0,8}\.json", fullmatch=True)
WRITES = st.lists(st.tuples(st.builds("{}/{}".format, FOLDERS, LEAVES), st.binary(max_size=64)), max_size=12)


@settings(deadline=None, max_examples=40)
@given(writes=WRITES)
def test_a_store_holds_the_first_content_of_every_key(tmp_path_factory, writes):
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
def test_a_key_that_could_leave_the_store_is_refused_by_every_verb(tmp_path, store, key):
    store.create("a/b", b"inside")
    before = files_below(tmp_path)

    verbs = [lambda: store.read(key), lambda: store.create(key, b"new"), lambda: store.delete(key)]
    for verb in [*verbs, lambda: store.list(key)] if key else verbs:
        with pytest.raises(IntegrityError, match=f"^{re.escape(repr(key))} is not a key: expected names of letters"):
            verb()
    assert before == files_below(tmp_path)


@settings(deadline=None, max_examples=150)
@given(key=st.text(alphabet="ab.-~/\\\0\n \u00e9\u2025", max_size=8))
def test_a_key_stays_inside_the_store_or_is_refused(tmp_path_factory, key):
    folder = tmp_path_factory.mktemp("store")
    store = LocalStore(folder / "deep" / "registry")
    if is_safe_key(key):
        store.create(key, b"data")
        assert [f"deep/registry/{key}"] == files_below(folder)
        assert [key] == store.list("")
    else:
        with pytest.raises(IntegrityError, match="is not a key"):
            store.create(key, b"data")
        assert [] == files_below(folder)


def test_a_full_disk_leaves_nothing_behind_and_the_next_attempt_succeeds(root, store):
    with disk_that_takes(1_000_000), pytest.raises(TryAgainError, match=r"log/1\.json: File too large") as full:
        store.create("log/1.json", bytes(2_000_000))

    assert "Check the disk's space and your permissions, then run it again" == full.value.hint
    assert [] == files_below(root)
    assert store.create("log/1.json", bytes(2_000_000))


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_an_error_of_the_disk_leaves_nothing_behind(root, store, monkeypatch, call):
    (root / "log").mkdir(parents=True)
    monkeypatch.setattr(os, call, refusing(errno.EIO))
    with pytest.raises(TryAgainError, match=os.strerror(errno.EIO)):
        store.create("log/1.json", b"data")

    assert [] == files_below(root)
    monkeypatch.undo()
    assert store.create("log/1.json", b"data")


def test_a_disk_without_hard_links_is_refused_with_what_to_do(root, store, monkeypatch):
    monkeypatch.setattr(os, "link", refusing(errno.EPERM))

    with pytest.raises(RegistryError, match="log can't hold a registry: its file system has no hard links") as refused:
        store.create("log/1.json", b"data")
    assert (4, "Put the registry on a local disk: --registry PATH") == (refused.value.exit_code, refused.value.hint)
    assert [] == files_below(root)


def test_a_disk_that_lets_a_name_be_taken_twice_is_refused(root, store, monkeypatch):
    monkeypatch.setattr(os, "link", shutil.copyfile)

    for _ in range(2):
        with pytest.raises(RegistryError, match="can't hold a registry: its file system let one name be taken twice"):
            store.create("log/1.json", b"data")
    assert [] == files_below(root)


def test_the_disk_is_probed_once_for_a_store(root, store, monkeypatch):
    linked = []
    link = os.link
    monkeypatch.setattr(os, "link", lambda *names: (linked.append(names[1].name), link(*names)))
    for key in ("1.json", "2.json"):
        store.create(key, b"data")

    assert [True, True] == [name.startswith(".tmp-") for name in linked[:2]]
    assert ["1.json", "2.json"] == linked[2:] == files_below(root)


def test_bytes_reach_the_disk_before_their_name_and_the_name_before_the_answer(root, store, monkeypatch):
    """After a power cut a key is whole or absent, and one that create() answered for is there with its folders."""
    calls = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append(os.fstat(descriptor).st_ino), fsync(descriptor)))
    monkeypatch.setattr(os, "link", lambda *names: (calls.append("link"), link(*names)))
    store.create("m/log/1.json", b"data")

    content, folder = ((root / name).stat().st_ino for name in ("m/log/1.json", "m/log"))
    parents = [path.stat().st_ino for path in (root.parent.parent, root.parent, root, root / "m")]
    probe = ["link", "link"]
    assert [*parents, content, *probe, "link", folder] == calls


def test_a_planted_link_leads_neither_readers_nor_writers_out(tmp_path, root, store):
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    store.create("log/1.json", b"data")
    (root / "log/2.json").symlink_to(outside)
    (root / "log/3.json").symlink_to(tmp_path / "not-there-yet")

    for verb in (store.read, lambda key: store.create(key, b"new"), store.delete):
        for key in ("log/2.json", "log/3.json"):
            with pytest.raises(IntegrityError, match=rf"{key} is a symbolic link; a registry holds plain files only"):
                verb(key)
    assert ["outside", "registry/log/1.json", "registry/log/2.json", "registry/log/3.json"] == files_below(tmp_path)
    assert b"secret" == outside.read_bytes()
    assert ["log/1.json", "log/2.json", "log/3.json"] == store.list("log"), "a stranger must be seen to be refused"


def test_a_planted_link_to_a_folder_is_refused(tmp_path, root, store):
    (tmp_path / "outside").mkdir()
    root.mkdir()
    (root / "log").symlink_to(tmp_path / "outside")

    verbs = [lambda: store.read("log/1.json"), lambda: store.create("log/1.json", b"new"), lambda: store.list("log")]
    for verb in verbs:
        with pytest.raises(IntegrityError, match="registry/log is a symbolic link"):
            verb()
    assert [] == list((tmp_path / "outside").iterdir())


def test_the_registry_itself_may_be_reached_through_a_link(tmp_path, root, store):
    store.create("log/1.json", b"data")
    (tmp_path / "short-name").symlink_to(root)

    assert b"data" == LocalStore(tmp_path / "short-name").read("log/1.json")
    assert LocalStore(tmp_path / "short-name").create("log/2.json", b"more")
    assert ["log/1.json", "log/2.json"] == store.list("")


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(IntegrityError, match="is a symbolic link"):
        LocalStore(tmp_path / "loop").read("log/1.json")


def test_a_pipe_is_refused_and_not_waited_for(root, store):
    (root / "log").mkdir(parents=True)
    os.mkfifo(root / "log/1.json")

    with pytest.raises(IntegrityError, match=r"log/1\.json is not a plain file; a registry holds plain files only"):
        store.read("log/1.json")


def test_a_folder_in_a_files_place_is_refused(root, store):
    (root / "log/1.json").mkdir(parents=True)

    with pytest.raises(IntegrityError, match=r"log/1\.json is not a plain file"):
        store.read("log/1.json")


@pytest.mark.parametrize("verb", [lambda s: s.read("m/1"), lambda s: s.create("m/1", b""), lambda s: s.list("m")])
@pytest.mark.parametrize("file", ["registry", "registry/m"])
def test_a_file_in_a_folders_place_is_named(tmp_path, root, store, verb, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("a file")

    with pytest.raises(RegistryError, match=f"{file} is a file; expected a folder of the registry") as refused:
        verb(store)
    assert "Name the registry: --registry PATH" == refused.value.hint
    assert "a file" == (tmp_path / file).read_text()


def test_a_missing_key_is_a_key_error_and_a_missing_folder_is_empty(store):
    with pytest.raises(KeyError, match=r"log/1\.json"):
        store.read("log/1.json")
    assert [] == store.list("log")


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=40), limit=st.integers(0, 60) | st.sampled_from([2**31, 2**62]))
def test_no_more_is_read_than_is_asked_for(tmp_path_factory, data, limit):
    """Nor is room taken for more than there is, however much is asked for."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    store.create("file", data)

    assert data[:limit] == store.read("file", limit)
    assert data == store.read("file")


def test_a_key_may_be_as_long_as_the_disk_takes_it(store):
    key = "/".join(["a" * 255] * 4)
    assert len(key) == 1023
    assert store.create(key, b"data")
    assert b"data" == store.read(key)


def test_deleting_removes_one_key_and_a_missing_one_is_no_error(store):
    store.create("log/1.json", b"data")
    store.create("log/2.json", b"data")

    store.delete("log/1.json")
    store.delete("log/1.json")
    store.delete("nothing/at/all")
    assert ["log/2.json"] == store.list("")


def test_what_a_killed_writer_leaves_is_not_listed(root, store):
    store.create("log/1.json", b"data")
    (root / "log/.tmp-0123456789abcdef").write_bytes(b"ha")

    assert ["log/1.json"] == store.list("")
