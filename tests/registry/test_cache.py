"""The cache of a remote registry's files: never wrong, never needed, never larger than its limit."""

import os

import pytest

from gamesales.errors import IntegrityError
from gamesales.jobs.loading import load, open_registry
from gamesales.registry.bundle import sha256
from gamesales.registry.cache import Cache, default_cache
from gamesales.registry.refs import Ref
from support import servers
from support.versions import publish_simple

ONE, TWO, THREE = (bytes([number]) * 40 for number in (1, 2, 3))
NEWEST = Ref("game-earnings", version=1)


@pytest.fixture
def cache(tmp_path):
    """One that has room for two of the values above."""
    return Cache(tmp_path / "cache", limit=100)


@pytest.fixture(scope="module")
def server():
    with servers.s3() as running:
        yield running


@pytest.fixture
def registry(server, tmp_path, monkeypatch):
    """A registry in a bucket, with one version."""
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "cache"))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    opened = open_registry(server.url(tmp_path.name), "game-earnings")
    publish_simple(opened)
    return opened


def keep(cache, data, *, used):
    """Keep a value as if it had been used so many seconds after the first one."""
    cache.put(sha256(data), data)
    os.utime(cache._folder / sha256(data), (1e9 + used, 1e9 + used))


def kept(cache):
    return {path.name for path in cache._folder.iterdir()}


def test_what_is_kept_comes_back(cache):
    assert cache.get(sha256(ONE)) is None
    cache.put(sha256(ONE), ONE)
    assert ONE == cache.get(sha256(ONE))


def test_a_damaged_copy_is_dropped(cache):
    cache.put(sha256(ONE), ONE)
    (cache._folder / sha256(ONE)).write_bytes(TWO)

    assert cache.get(sha256(ONE)) is None
    assert set() == kept(cache)


def test_the_least_recently_used_makes_room(cache):
    keep(cache, ONE, used=1)
    keep(cache, TWO, used=2)
    assert ONE == cache.get(sha256(ONE)), "which uses it once more"

    cache.put(sha256(THREE), THREE)
    assert {sha256(ONE), sha256(THREE)} == kept(cache)


def test_what_is_larger_than_the_limit_is_not_kept_and_drives_nothing_out(cache):
    cache.put(sha256(ONE), ONE)
    cache.put(sha256(ONE * 3), ONE * 3)
    assert {sha256(ONE)} == kept(cache)


def test_other_files_in_the_folder_are_let_alone(cache):
    cache._folder.mkdir(parents=True)
    (cache._folder / "thesis.tex").write_bytes(bytes(1000))
    for data in (ONE, TWO):
        cache.put(sha256(data), data)
    assert "thesis.tex" in kept(cache)


def test_what_a_killed_writer_left_makes_room(cache):
    cache._folder.mkdir(parents=True)
    (cache._folder / ".tmp-0123456789abcdef").write_bytes(bytes(90))
    os.utime(cache._folder / ".tmp-0123456789abcdef", (1e9, 1e9))

    cache.put(sha256(ONE), ONE)
    assert {sha256(ONE)} == kept(cache)


def test_a_digest_that_is_none_leads_nowhere(cache, tmp_path):
    (tmp_path / "mine").write_bytes(ONE)
    cache.put("../../mine", TWO)
    assert cache.get("../../mine") is None
    assert ONE == (tmp_path / "mine").read_bytes()


def test_a_version_is_fetched_once(registry):
    """With the bundle gone from the bucket, what reads it goes on from the copies."""
    load(registry, NEWEST)
    for key in registry._store.list("game-earnings/bundles"):
        registry._store.delete(key)
    assert 1 == load(registry, NEWEST).number


def test_verifying_asks_the_store_itself(registry):
    load(registry, NEWEST)
    for key in registry._store.list("game-earnings/bundles"):
        registry._store.delete(key)
    with pytest.raises(IntegrityError, match=r"MANIFEST\.json is missing"):
        registry.verify()


def test_a_damaged_copy_is_fetched_again(registry, tmp_path):
    load(registry, NEWEST)
    copies = list((tmp_path / "cache/sha256").iterdir())
    for copy in copies:
        copy.write_bytes(b"damaged")

    assert 1 == load(registry, NEWEST).number
    assert all(copy.name == sha256(copy.read_bytes()) for copy in copies)


def test_bytes_that_the_store_has_wrong_are_not_kept(registry, tmp_path):
    [graph] = [key for key in registry._store.list("game-earnings/bundles") if key.endswith("scorer.onnx")]
    registry._store.delete(graph)
    registry._store.create(graph, b"another graph")
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"scorer\.onnx was changed"):
            load(registry, NEWEST)
    assert 1 == len(list((tmp_path / "cache/sha256").iterdir())), "the manifest's"


def test_where_nothing_can_be_kept_reading_works_all_the_same(registry, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("not a folder")
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "a file"))
    assert 1 == load(registry, NEWEST).number


def test_a_registry_on_disk_is_not_copied(simple_registry, tmp_path, monkeypatch):
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "cache"))
    load(simple_registry, NEWEST)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"GAMESALES_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"GAMESALES_CACHE": "", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/gamesales"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/c"}, "/c/.cache/gamesales"),
        ({"HOME": "/c"}, "/c/.cache/gamesales"),
        ({"HOME": "no/home"}, None),
    ],
)
def test_the_cache_is_where_people_expect_it(monkeypatch, environment, folder):
    for name in ("GAMESALES_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = default_cache()
    assert folder == (str(found._folder.parent) if found else None)
