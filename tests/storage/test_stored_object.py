"""An object of a store as a file: ranges, changes, odd names and failures."""

import io
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.errors import InputError, InputNotFoundError, TryAgainError, UsageError
from gamesales.storage import stored_object
from gamesales.storage.object_path import ObjectPath
from support import objects, servers


@pytest.fixture(params=["s3", "azure"])
def store(request, monkeypatch):
    """A URL for objects in each kind of store."""
    return request.getfixturevalue(request.param).enter(monkeypatch)


def find(url):
    return ObjectPath.from_url(url).find()


CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def source(s3):
    """An object of 10 KB."""
    with pytest.MonkeyPatch.context() as patch:
        url = f"{s3.enter(patch)}/a.bin"
        objects.put(url, CONTENT)
        yield find(url)


@pytest.fixture(scope="class")
def _small_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_object, "_SMALL_BYTES", 500)
        patch.setattr(stored_object, "_READ_AHEAD_BYTES", 2_000)
        yield


@pytest.mark.usefixtures("_small_steps")
class TestReading:
    """An open object reads as a file on a disk does."""

    @given(
        st.lists(
            st.tuples(
                st.none() | st.integers(0, 11_000),
                st.integers(0, 4_000) | st.just(-1),
            ),
            max_size=8,
        )
    )
    def test_reads_as_a_file(self, source, steps):
        """Any order of seeking and reading gives the bytes of a plain file."""
        file, plain = source.open("rb"), io.BytesIO(CONTENT)
        for offset, size in steps:
            if offset is not None:
                assert plain.seek(offset) == file.seek(offset)
            assert plain.read(size) == file.read(size)
            assert plain.tell() == file.tell()

    def test_seek_from_end(self, source):
        """Offsets count from the start, from the position or from the end."""
        file = source.open("rb")
        file.seek(-3, os.SEEK_END)
        file.seek(1, os.SEEK_CUR)
        assert CONTENT[-2:] == file.read()

    def test_readinto(self, source):
        """A buffer is filled as far as there are bytes."""
        file, buffer = source.open("rb"), bytearray(10)
        file.seek(-4, os.SEEK_END)
        assert 4 == file.readinto(buffer)
        assert CONTENT[-4:] + bytes(6) == buffer

    def test_pickle_reads_the_same(self, source):
        """A pickle of an object opens the object again."""
        copy = pickle.loads(pickle.dumps(source))
        assert source == copy
        assert CONTENT == copy.open("rb").read()


def test_sequential_reads_ask_ahead(monkeypatch):
    """Reading on takes few large requests; a single read takes exactly its bytes."""
    server = servers.s3("counting")
    url = f"{server.enter(monkeypatch)}/a.bin"
    objects.put(url, bytes(20 << 20))
    source = find(url)
    servers.take_requests(server)
    with source.open("rb") as file:
        while file.read(1 << 20):
            pass
    assert 6 >= len(servers.take_requests(server))
    with source.open("rb") as file:
        file.seek(7 << 20)
        file.read(100)
    assert servers.take_requests(server)[0].endswith(f"bytes={7 << 20}-{(7 << 20) + 99}")


class TestChanges:
    """An object that is not the listed object is not read."""

    @pytest.mark.parametrize("data", [b"later", b"other bytes"])
    def test_changed_object_is_refused(self, store, data):
        """A changed object is refused, also with the same size, and also after a part of it was read."""
        url = f"{store}/a.csv"
        objects.put(url, b"first")
        source = find(url)
        file = source.open("rb")
        assert b"first" == file.read()
        objects.put(url, data)
        with pytest.raises(
            TryAgainError, match=rf"^{url} was changed or removed while this run needed it; nothing was published$"
        ):
            source.open("rb").read()

    def test_removed_object_is_refused(self, store):
        """A removed object is refused."""
        url = f"{store}/a.csv"
        objects.put(url, b"first")
        source = find(url)
        objects.delete(url)
        with pytest.raises(TryAgainError, match=rf"^{url} was changed or removed while this run"):
            source.open("rb").read()

    def test_missing_object(self, store):
        """An object that does not exist is not found."""
        with pytest.raises(InputNotFoundError, match=f"no object {store}/a.csv"):
            find(f"{store}/a.csv")


@pytest.mark.parametrize(
    "name",
    ["a b.csv", "a+b%20c.csv", "é ü.csv", "a#b.csv", "what?.csv", "[1]*.csv", "x=y/a&b.csv", "'q'\".csv", "~.csv"],
)
def test_odd_names(store, name):
    """Keys are literal, whatever characters they have."""
    objects.put(f"{store}/{name}", name.encode())
    folder = ObjectPath.from_url(store)
    assert name.encode() == find(f"{store}/{name}").open("rb").read()
    listed = [path / item for path, _, names in folder.walk() for item in names]
    assert [f"{store}/{name}"] == [str(path) for path in listed]
    assert name.encode() == listed[0].find().open("rb").read()


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///a", "s3://bucket//a", "s3://bucket/../a", "s3://bucket/a/./b", "gs://?"]
)
def test_bad_url_is_refused(url):
    """A URL without a bucket, and a key with an empty part, are refused."""
    with pytest.raises(UsageError, match="expected s3://BUCKET/PREFIX"):
        ObjectPath.from_url(url)


@pytest.mark.parametrize(
    "url", ["s3://key:secret@bucket/a", "az://container/a.csv?sv=2&sig=secret", "s3://b/a?X-Sig=secret"]
)
def test_secrets_are_not_printed(url):
    """A URL with a password or a signature is refused, and neither is printed."""
    with pytest.raises(UsageError) as refused:
        ObjectPath.from_url(url)
    assert "secret" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize("s3_url", ["breaking"], indirect=True)
def test_broken_content_is_read_again(s3_url):
    """Content that breaks off is requested again."""
    objects.put(f"{s3_url}/a.csv", b"content")
    assert b"content" == find(f"{s3_url}/a.csv").open("rb").read()


@pytest.mark.parametrize("s3_url", ["denied"], indirect=True)
def test_denied_object_is_an_input_error(s3_url):
    """403 is an error of the input, with a hint at the credentials."""
    with pytest.raises(InputError, match=rf"^{s3_url}/a.csv: .*403 Forbidden") as refused:
        find(f"{s3_url}/a.csv")
    assert 3 == refused.value.exit_code
    assert "docs/reference/object-stores.md" in refused.value.hint


@pytest.mark.parametrize("s3_url", ["broken"], indirect=True)
def test_busy_store_is_try_again(s3_url):
    """503 is an error to try again."""
    with pytest.raises(TryAgainError, match="503 Service Unavailable"):
        find(f"{s3_url}/a.csv")


def test_missing_bucket_is_reported(s3_url):
    """A missing bucket is an error of the input."""
    with pytest.raises(InputError, match="bucket does not exist"):
        list(ObjectPath.from_url(s3_url.replace(servers.BUCKET, "nobodys")).walk())
