"""What every store promises, held to one suite: on disk, in memory, in S3 and in Azure, the last two over real HTTP."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.errors import IntegrityError
from gamesales.jobs.promote import promote
from gamesales.jobs.score import Night, score
from gamesales.registry.log import EventLog
from gamesales.registry.refs import parse_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.store import open_store
from support import servers
from support.keys import NAMES_OUTSIDE
from support.racing import race
from support.versions import publish_simple, simple_earnings, title_values, titles_table

WRITERS = 4
KEYS = 6
# Creates every key with its own name in it, and prints the keys that it won.
CREATOR = f"""
from gamesales.registry.store import open_store
store, me = open_store(sys.argv[1]), sys.argv[2]
wait_for_start()
for number in range({KEYS}):
    if store.create(f"race/{{number}}", me.encode() * 1000):
        print(number)
"""


@pytest.fixture(scope="module")
def s3():
    with servers.s3() as server:
        yield server


@pytest.fixture(scope="module")
def azure():
    with servers.azure() as server:
        yield server


@pytest.fixture(params=["local", "memory", "s3", "azure"])
def location(request, tmp_path, monkeypatch):
    """Where an empty store is, with what it takes to reach it in the environment."""
    if request.param == "local":
        return str(tmp_path / "registry")
    if request.param == "memory":
        return "memory:"
    server = request.getfixturevalue(request.param)
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "cache"))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server.url(f"tests/{secrets.token_hex(8)}")


@pytest.fixture
def store(location):
    return open_store(location)


def test_what_is_created_is_read_back_and_never_overwritten(store):
    assert store.create("m/log/1.json", b"first")
    assert not store.create("m/log/1.json", b"second")
    assert b"first" == store.read("m/log/1.json")


def test_a_missing_key_is_a_key_error(store):
    store.create("m/log/1.json", b"data")
    for key in ("m/log/2.json", "m/log/1", "m/log", "m", "other/log/1.json"):
        with pytest.raises((KeyError, IntegrityError), match=key):
            store.read(key)


@pytest.mark.parametrize("data", [b"", b"\0", b"\r\n", bytes(range(256)), b"\xef\xbb\xbf{}", b"\xff\xfe" * 3])
def test_odd_bytes_come_back_as_they_went(store, data):
    assert store.create("odd", data)
    assert data == store.read("odd")


def test_a_large_value_comes_back_as_it_went(store):
    """Larger than what clients split into parts, which would not be written on condition."""
    data = secrets.token_bytes(1 << 20) * 12
    assert store.create("large", data)
    assert not store.create("large", data[1:])
    assert data == store.read("large")


def test_a_listing_is_sorted_whole_and_of_the_folder_alone(store):
    keys = [f"m/log/{number:020}.json" for number in (3, 1, 20, 10)]
    for key in [*keys, "m/logs/1.json", "m/log.json", "m/bundles/a=1/b.c", "n/log/1.json", "z"]:
        store.create(key, b"")

    assert sorted(keys) == store.list("m/log")
    assert ["m/bundles/a=1/b.c"] == store.list("m/bundles")
    assert sorted([*keys, "m/logs/1.json", "m/log.json", "m/bundles/a=1/b.c", "n/log/1.json", "z"]) == store.list("")
    assert [] == store.list("m/lo")
    assert [] == store.list("nothing")


def test_a_listing_after_a_key_has_the_greater_keys_alone(store):
    keys = sorted(["a/b", "a.b/c", "m/log/1", "m/log/10", "m/log/2/x", "m/log/3", "m/log.x/1", "m/log_/1"])
    for key in keys:
        store.create(key, b"")

    for after in [*keys, "", "m/log/", "m/log/1x", "m/log.", "m/log/2", "m", "zzz"]:
        assert [key for key in keys if key > after] == store.list("", after=after)
        below = [key for key in keys if key.startswith("m/log/")]
        assert [key for key in below if key > after] == store.list("m/log", after=after)


def test_deleting_removes_one_key_and_a_missing_one_is_no_error(store):
    store.create("log/1.json", b"data")
    store.create("log/2.json", b"data")

    for key in ("log/1.json", "log/1.json", "nothing/at/all"):
        store.delete(key)
    assert ["log/2.json"] == store.list("")
    assert store.create("log/1.json", b"again")


@pytest.mark.parametrize("key", [name for name in NAMES_OUTSIDE if name])
def test_an_unsafe_key_is_refused_by_every_verb(store, key):
    for verb in (store.read, lambda key: store.create(key, b"new"), store.delete, store.list):
        with pytest.raises(IntegrityError, match="is not a key: expected names of letters"):
            verb(key)


def test_the_probe_before_the_first_write_is_not_seen(store):
    store.create("m/log/1.json", b"data")
    assert ["m/log/1.json"] == store.list("")


def test_of_racing_threads_exactly_one_creates_a_key(store):
    start = Barrier(WRITERS)

    def won(me):
        start.wait()
        return [number for number in range(KEYS) if store.create(f"race/{number}", me)]

    names = [f"writer {number}".encode() for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        wins = dict(zip(names, pool.map(won, names), strict=True))
    assert list(range(KEYS)) == sorted(number for each in wins.values() for number in each)
    assert all(name == store.read(f"race/{number}") for name, each in wins.items() for number in each)


@pytest.mark.parametrize("location", ["local", "s3", "azure"], indirect=True)
def test_of_racing_processes_exactly_one_creates_a_key(location):
    names = [f"{number:02}" for number in range(WRITERS)]
    outputs = race(CREATOR, [[location, name] for name in names])

    wins = {name: [int(number) for number in output.split()] for name, output in zip(names, outputs, strict=True)}
    assert list(range(KEYS)) == sorted(number for each in wins.values() for number in each)
    store = open_store(location)
    assert all(name.encode() * 1000 == store.read(f"race/{number}") for name, each in wins.items() for number in each)


def test_events_of_racing_writers_make_one_unbroken_log(store):
    def append(number):
        return EventLog(store, "m").append("alias.set", f"reason {number}", lambda events: {"seen": len(events)})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(append, range(8)))
    events = EventLog(store, "m").read()
    assert sorted(f"reason {number}" for number in range(8)) == sorted(event.reason for event in events)
    assert list(range(8)) == [event.body["seen"] for event in events]


def test_a_version_is_published_promoted_verified_and_scores(store, tmp_path):
    """The whole way, by the functions that the commands call."""
    registry = ModelRegistry(store)
    number = publish_simple(registry)
    promote(registry, parse_ref(str(number)), reason="for a test")
    events, files = registry.verify()
    assert (3, 2) == (events, files)

    parquet.write_table(titles_table(50), tmp_path / "titles.parquet")
    target = tmp_path / "out.parquet"
    score(registry, parse_ref("@champion"), Night([str(tmp_path / "titles.parquet")], Path(target)))
    predicted = parquet.read_table(target).column("predicted_earnings")
    assert predicted.equals(pa.chunked_array([simple_earnings(title_values(50))]))
