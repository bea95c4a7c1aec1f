"""Digests that are taken in the background: those of the files, and no wait for what nobody needs any more."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data import files as module
from gamesales.data.files import hashing


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5_000), max_size=6), st.integers(1, 2_000))
def test_digests_are_those_of_the_files_whatever_their_sizes(tmp_path_factory, sizes, piece):
    folder = tmp_path_factory.mktemp("files")
    contents = [bytes([place]) * size for place, size in enumerate(sizes)]
    paths = [folder / str(place) for place in range(len(sizes))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE_BYTES", piece)
        with hashing(paths) as digest:
            found = [digest(place) for place in range(len(paths))]
    assert found == [hashlib.sha256(content).hexdigest() for content in contents]


def test_a_file_that_is_not_there_is_told_to_who_asks_for_it(tmp_path):
    (tmp_path / "there").write_bytes(b"x")
    with hashing([tmp_path / "there", tmp_path / "gone"]) as digest:
        with pytest.raises(FileNotFoundError, match="gone"):
            digest(1)
        assert hashlib.sha256(b"x").hexdigest() == digest(0)


def test_who_gives_up_does_not_wait_for_a_huge_file(tmp_path):
    """To hash these files to their end would take an hour."""
    paths = [tmp_path / str(number) for number in range(8)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    with pytest.raises(KeyboardInterrupt), hashing(paths):
        raise KeyboardInterrupt
