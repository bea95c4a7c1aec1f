"""One suite for every store: on disk, in memory, in S3 and in Azure, the last two over real HTTP."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.errors import IntegrityError
from gamesales.jobs.copy import copy_version
from gamesales.jobs.promote import promote
from gamesales.jobs.score import score_date
from gamesales.jobs.score_job import ScoreJob
from gamesales.registry.log import EventLog
from gamesales.registry.refs import Ref, parse_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import open_store
from support.keys import NAMES_OUTSIDE
from support.racing import race
from support.versions import publish_simple, simple_earnings, title_values, titles_table

WRITERS = 4
KEYS = 6
# Creates every key with its name as content, and prints the keys that it created.
CREATOR = f"""
from gamesales.storage.store import open_store
store, writer = open_store(sys.argv[1]), sys.argv[2]
wait_for_start()
for number in range({KEYS}):
    if store.create(f"race/{{number}}", writer.encode() * 1000):
        print(number)
"""


@pytest.fixture(params=["local", "memory", "s3", "azure"])
def location(request, tmp_path, monkeypatch):
    """The location of an empty store, and its settings in the environment."""
    if request.param == "local":
        return str(tmp_path / "registry")
    if request.param == "memory":
        return "memory:"
    server = request.getfixturevalue(request.param)
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "cache"))
    return server.enter(monkeypatch)


@pytest.fixture
def store(location):
    return open_store(location)


def test_created_key_is_read_back(store):
    """A created key is read back and never overwritten."""
    assert store.create("m/log/1.json", b"first")
    assert not store.create("m/log/1.json", b"second")
    assert b"first" == store.read("m/log/1.json")


def test_check_leaves_nothing(store):
    """The check whether a store is writable leaves no key."""
    store.check_writable("game-earnings/log")
    assert [] == store.list("")


def test_missing_key_is_an_error(store):
    """A missing key is an error that names the key."""
    store.create("m/log/1.json", b"data")
    for key in ("m/log/2.json", "m/log/1", "m/log", "m", "other/log/1.json"):
        with pytest.raises((KeyError, IntegrityError), match=key):
            store.read(key)


@pytest.mark.parametrize("data", [b"", b"\0", b"\r\n", bytes(range(256)), b"\xef\xbb\xbf{}", b"\xff\xfe" * 3])
def test_odd_bytes_round_trip(store, data):
    """Empty, binary and partly invalid text round-trips."""
    assert store.create("odd", data)
    assert data == store.read("odd")


def test_large_value_round_trips(store):
    """A value that clients would split into parts is still written conditionally."""
    data = secrets.token_bytes(1 << 20) * 12
    assert store.create("large", data)
    assert not store.create("large", data[1:])
    assert data == store.read("large")


def test_listing_is_sorted_and_whole(store):
    """A listing is sorted and holds all keys of the folder and no others."""
    keys = [f"m/log/{number:020}.json" for number in (3, 1, 20, 10)]
    for key in [*keys, "m/logs/1.json", "m/log.json", "m/bundles/a=1/b.c", "n/log/1.json", "z"]:
        store.create(key, b"")

    assert sorted(keys) == store.list("m/log")
    assert ["m/bundles/a=1/b.c"] == store.list("m/bundles")
    assert sorted([*keys, "m/logs/1.json", "m/log.json", "m/bundles/a=1/b.c", "n/log/1.json", "z"]) == store.list("")
    assert [] == store.list("m/lo")
    assert [] == store.list("nothing")


def test_listing_after_a_key(store):
    """A listing after a key holds only the greater keys."""
    keys = sorted(["a/b", "a.b/c", "m/log/1", "m/log/10", "m/log/2/x", "m/log/3", "m/log.x/1", "m/log_/1"])
    for key in keys:
        store.create(key, b"")

    for after in [*keys, "", "m/log/", "m/log/1x", "m/log.", "m/log/2", "m", "zzz"]:
        assert [key for key in keys if key > after] == store.list("", after=after)
        below = [key for key in keys if key.startswith("m/log/")]
        assert [key for key in below if key > after] == store.list("m/log", after=after)


def test_listing_has_sizes_and_times(store):
    """A listing of files has their sizes, and the times at which the store wrote them."""
    start = time.time()
    for size, key in enumerate(["m/log/1", "m/log/2/x", "n"]):
        store.create(key, b"x" * size)
    files = store.list_files("m")
    assert {"m/log/1": 0, "m/log/2/x": 1} == {key: file.size for key, file in files.items()}
    assert ["m/log/1", "m/log/2/x", "n"] == sorted(store.list_files(""))
    assert all(start - 2 < file.modified < time.time() + 2 for file in files.values())  # some stores have whole seconds


def test_keys_of_a_folder_are_deleted_at_once(store):
    """Many threads delete the keys of a folder."""
    keys = [f"m/log/{number}.json" for number in range(40)]
    for key in keys:
        store.create(key, b"")
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(store.delete, keys))
    assert [] == store.list("")


def test_delete_removes_one_key(store):
    """Delete removes one key, and a missing key is no error."""
    store.create("log/1.json", b"data")
    store.create("log/2.json", b"data")

    for key in ("log/1.json", "log/1.json", "nothing/at/all"):
        store.delete(key)
    assert ["log/2.json"] == store.list("")
    assert store.create("log/1.json", b"again")


@pytest.mark.parametrize("key", [name for name in NAMES_OUTSIDE if name])
def test_unsafe_key_is_refused(store, key):
    """Every verb refuses a key that could leave the store."""
    for verb in (store.read, lambda key: store.create(key, b"new"), store.delete, store.list):
        with pytest.raises(IntegrityError, match="is not a key: expected names of letters"):
            verb(key)


def test_probe_is_not_listed(store):
    """The probe before the first write is not listed."""
    store.create("m/log/1.json", b"data")
    assert ["m/log/1.json"] == store.list("")


def test_one_thread_creates_a_key(store):
    """Of racing threads exactly one creates a key."""
    start = Barrier(WRITERS)

    def create_keys(name):
        start.wait()
        return [number for number in range(KEYS) if store.create(f"race/{number}", name)]

    names = [f"writer {number}".encode() for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        wins = dict(zip(names, pool.map(create_keys, names), strict=True))
    assert list(range(KEYS)) == sorted(number for numbers in wins.values() for number in numbers)
    assert all(name == store.read(f"race/{number}") for name, numbers in wins.items() for number in numbers)


@pytest.mark.parametrize("location", ["local", "s3", "azure"], indirect=True)
def test_one_process_creates_a_key(location):
    """Of racing processes exactly one creates a key."""
    names = [f"{number:02}" for number in range(WRITERS)]
    outputs = race(CREATOR, [[location, name] for name in names])

    wins = {name: [int(number) for number in output.split()] for name, output in zip(names, outputs, strict=True)}
    assert list(range(KEYS)) == sorted(number for numbers in wins.values() for number in numbers)
    store = open_store(location)
    assert all(
        name.encode() * 1000 == store.read(f"race/{number}") for name, numbers in wins.items() for number in numbers
    )


def test_racing_writers_make_one_log(store):
    """The events of racing writers make one unbroken log."""

    def append(number):
        return EventLog(store, "m").append("alias.set", f"reason {number}", lambda events: {"count": len(events)})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(append, range(8)))
    events = EventLog(store, "m").read()
    assert sorted(f"reason {number}" for number in range(8)) == sorted(event.reason for event in events)
    assert list(range(8)) == [event.body["count"] for event in events]


def test_version_is_published_and_scores(store, tmp_path):
    """A version is published, promoted, verified and scored, by the functions behind the commands."""
    registry = ModelRegistry(store)
    number = publish_simple(registry)
    promote(registry, parse_ref(str(number)), reason="for a test")
    events, files = registry.verify()
    assert (3, 2) == (events, files)

    parquet.write_table(titles_table(50), tmp_path / "titles.parquet")
    target = tmp_path / "out.parquet"
    score_date(ScoreJob((str(tmp_path / "titles.parquet"),), target), registry, date(2026, 11, 23))
    predicted = parquet.read_table(target).column("predicted_earnings")
    assert predicted.equals(pa.chunked_array([simple_earnings(title_values(50))]))


def test_copied_version_has_the_same_bytes(store, tmp_path):
    """A version that is copied from a disk to a store, and from there to another disk, has the same bytes."""
    first, *others = (ModelRegistry(one) for one in (open_store(tmp_path / "a"), store, open_store(tmp_path / "b")))
    publish_simple(first)
    source = first
    for target in others:
        assert copy_version(source, Ref(first.model, version=1), target, "for a test").changed
        assert target.verify()
        source = target
    bundles = [registry.open_bundle(registry.find_version(1)) for registry in (first, source)]
    assert bundles[0].digest == bundles[1].digest
    assert bundles[0].read("scorer.onnx") == bundles[1].read("scorer.onnx")
