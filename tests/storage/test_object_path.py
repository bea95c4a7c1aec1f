"""Objects as folders and files: globs, markers of folders, and folders that may not be listed."""

import glob
import secrets

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gamesales.storage.object_path import ObjectPath
from support import objects, servers

NAMES = st.sampled_from(["a", "b.csv", "day=1", ".hidden", "_x", "a1"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PARTS = st.sampled_from(["a", "b.csv", "*", "**", "a*", ".*", "?", "[ab]*", "day=*", "b.csv*"])


@pytest.fixture(scope="module")
def bucket(s3):
    """The URL of an empty folder in a store."""
    with pytest.MonkeyPatch.context() as patch:
        yield s3.enter(patch)


def write_tree(folder, url, paths):
    """Write the files that can exist together on a disk to a folder and to a store."""
    for path in sorted(paths):
        file = folder / path
        if any(parent.is_file() for parent in file.parents) or file.is_dir():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"content")
    objects.upload(folder, url)


@settings(max_examples=30, deadline=None)
@given(st.sets(PATHS, max_size=6), st.lists(PARTS, min_size=1, max_size=3).map("/".join))
@example({"a"}, "a/**")
def test_glob_matches_as_on_a_disk(bucket, tmp_path_factory, paths, pattern):
    """A glob matches the same paths in a store and on a disk."""
    folder, url = tmp_path_factory.mktemp("tree"), f"{bucket}/{secrets.token_hex(4)}"
    write_tree(folder, url, paths)
    matches = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207, the function whose rules apply
    expected = {match.rstrip("/") for match in matches if (folder / match).exists()}
    base = ObjectPath.from_url(url)
    assert expected - {""} == {path.relative_to(base).as_posix() for path in base.glob(pattern)} - {"."}


@settings(max_examples=30, deadline=None)
@given(st.sets(PATHS, max_size=6))
def test_walk_finds_every_object(bucket, tmp_path_factory, paths):
    """A walk finds the files of a disk, and probes agree with it."""
    folder, url = tmp_path_factory.mktemp("tree"), f"{bucket}/{secrets.token_hex(4)}"
    write_tree(folder, url, paths)
    base = ObjectPath.from_url(url)
    expected = {path.relative_to(folder).as_posix(): path.is_dir() for path in folder.rglob("*")}
    walked = {}
    for parent, folders, names in base.walk():
        walked |= {(parent / name).relative_to(base).as_posix(): True for name in folders}
        walked |= {(parent / name).relative_to(base).as_posix(): False for name in names}
    assert expected == walked
    for path, is_folder in expected.items():
        probe = ObjectPath.from_url(f"{url}/{path}")
        assert (is_folder, not is_folder, True) == (probe.is_dir(), probe.is_file(), probe.exists())


def test_markers_are_no_files(bucket):
    """Empty objects that stand for folders are not listed."""
    url = f"{bucket}/{secrets.token_hex(4)}"
    for name in ("in", "in/sub", "in/sub_$folder$"):
        objects.put(f"{url}/{name}", b"")
    objects.put(f"{url}/in/sub/a.csv", b"content")
    walked = [(str(path), folders, names) for path, folders, names in ObjectPath.from_url(f"{url}/in").walk()]
    assert [(f"{url}/in", ["sub"], []), (f"{url}/in/sub", [], ["a.csv"])] == walked


def test_denied_folder_matches_nothing(monkeypatch):
    """A folder that may not be listed has no matches, as on a disk."""
    url = servers.s3("denied").enter(monkeypatch)
    assert [] == list(ObjectPath.from_url(url).glob("_delta_log"))
