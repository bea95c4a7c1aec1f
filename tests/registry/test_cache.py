"""The cache of a remote registry: never wrong, never needed, never larger than its limit."""

import os

import pytest

from gamesales.errors import IntegrityError
from gamesales.jobs.loading import load, open_registry
from gamesales.registry.bundle import Cache, compute_sha256, open_default_cache
from gamesales.registry.refs import Ref
from support.versions import publish_simple

ONE, TWO, THREE = (bytes([number]) * 40 for number in (1, 2, 3))
NEWEST = Ref("game-earnings", version=1)


@pytest.fixture
def cache(tmp_path):
    """A cache with room for two of the values above."""
    return Cache(tmp_path / "cache", limit=100)


@pytest.fixture
def registry(s3_url):
    """A registry in a bucket, with one version."""
    opened = open_registry(s3_url, "game-earnings")
    publish_simple(opened)
    return opened


def put_used(cache, data, *, used):
    """Put a value as if it was last used at this second."""
    cache.put(compute_sha256(data), data)
    os.utime(cache._folder / compute_sha256(data), (1e9 + used, 1e9 + used))


def list_names(cache):
    return {path.name for path in cache._folder.iterdir()}


def test_cached_bytes_are_returned(cache):
    """Bytes that were put are returned."""
    assert cache.get(compute_sha256(ONE)) is None
    cache.put(compute_sha256(ONE), ONE)
    assert ONE == cache.get(compute_sha256(ONE))


def test_damaged_copy_is_removed(cache):
    """A damaged copy is not returned and is removed."""
    cache.put(compute_sha256(ONE), ONE)
    (cache._folder / compute_sha256(ONE)).write_bytes(TWO)

    assert cache.get(compute_sha256(ONE)) is None
    assert set() == list_names(cache)


def test_least_recently_used_is_removed(cache):
    """The least recently used copy is removed to make room."""
    put_used(cache, ONE, used=1)
    put_used(cache, TWO, used=2)
    assert ONE == cache.get(compute_sha256(ONE)), "which uses it once more"

    cache.put(compute_sha256(THREE), THREE)
    assert {compute_sha256(ONE), compute_sha256(THREE)} == list_names(cache)


def test_oversized_value_is_not_kept(cache):
    """A value above the limit is not kept and removes nothing."""
    cache.put(compute_sha256(ONE), ONE)
    cache.put(compute_sha256(ONE * 3), ONE * 3)
    assert {compute_sha256(ONE)} == list_names(cache)


def test_unknown_files_are_kept(cache):
    """Files in the folder that are not the cache's are never removed."""
    cache._folder.mkdir(parents=True)
    (cache._folder / "thesis.tex").write_bytes(bytes(1000))
    for data in (ONE, TWO):
        cache.put(compute_sha256(data), data)
    assert "thesis.tex" in list_names(cache)


def test_stale_temporary_file_is_removed(cache):
    """The temporary file of a killed writer is removed to make room."""
    cache._folder.mkdir(parents=True)
    (cache._folder / ".tmp-0123456789abcdef").write_bytes(bytes(90))
    os.utime(cache._folder / ".tmp-0123456789abcdef", (1e9, 1e9))

    cache.put(compute_sha256(ONE), ONE)
    assert {compute_sha256(ONE)} == list_names(cache)


def test_bad_digest_reads_nothing(cache, tmp_path):
    """Text that is not a digest reads and writes no file."""
    (tmp_path / "mine").write_bytes(ONE)
    cache.put("../../mine", TWO)
    assert cache.get("../../mine") is None
    assert ONE == (tmp_path / "mine").read_bytes()


def test_version_is_fetched_once(registry):
    """A version is loaded from the cache after its bundle is gone from the bucket."""
    load(registry, NEWEST)
    for key in registry._store.list("game-earnings/bundles"):
        registry._store.delete(key)
    assert 1 == load(registry, NEWEST).number


def test_verify_reads_the_store(registry):
    """Verify reads the store, never the cache."""
    load(registry, NEWEST)
    for key in registry._store.list("game-earnings/bundles"):
        registry._store.delete(key)
    with pytest.raises(IntegrityError, match=r"MANIFEST\.json is missing"):
        registry.verify()


def test_damaged_copy_is_fetched_again(registry, tmp_path):
    """A damaged copy is fetched again from the store."""
    load(registry, NEWEST)
    copies = list((tmp_path / "cache/sha256").iterdir())
    for copy in copies:
        copy.write_bytes(b"damaged")

    assert 1 == load(registry, NEWEST).number
    assert all(copy.name == compute_sha256(copy.read_bytes()) for copy in copies)


def test_wrong_bytes_are_not_cached(registry, tmp_path):
    """Bytes of the store with a wrong digest are not cached."""
    [graph] = [key for key in registry._store.list("game-earnings/bundles") if key.endswith("scorer.onnx")]
    registry._store.delete(graph)
    registry._store.create(graph, b"another graph")
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"scorer\.onnx was changed"):
            load(registry, NEWEST)
    assert 1 == len(list((tmp_path / "cache/sha256").iterdir())), "the manifest's"


def test_unusable_cache_is_ignored(registry, tmp_path, monkeypatch):
    """Reading works if the cache can't be written."""
    (tmp_path / "a file").write_text("not a folder")
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "a file"))
    assert 1 == load(registry, NEWEST).number


def test_local_registry_is_not_cached(simple_registry, tmp_path, monkeypatch):
    """Files of a registry on the local disk are not cached."""
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
def test_cache_location(monkeypatch, environment, folder):
    """The cache is in GAMESALES_CACHE, else where the system keeps caches."""
    for name in ("GAMESALES_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cache = open_default_cache()
    assert folder == (str(cache._folder.parent) if cache else None)
