"""A bundle: its files are read as they were published, or the changed file is named."""

import hashlib
import json
import re
import shutil
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError
from gamesales.old_keys import drop_old_keys
from gamesales.registry.bundle import MANIFEST_SIZE_LIMIT, read_bundle, write_bundle
from gamesales.storage.store import LocalStore

FILES = {"scorer.onnx": b"a graph\x00\x01", "model.keras": b"a network" * 9, "report.html": b"<p>a page</p>\n"}
DETAILS = {"seed": 7, "metrics": {"mae": 1000.5, "mape_percent": None}, "note": "für größere Läden – 大きい"}
FOLDER = "game-earnings/bundles/20261124T020000Z-0123456789ab"
LISTING = {"size": 1, "sha256": "0" * 64}

NAMES = st.text(string.ascii_lowercase + string.digits + "._=-", min_size=1, max_size=12).filter(
    lambda name: name[0] not in ".=-"
)
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "registry")


@pytest.fixture
def bundle(store):
    return write_bundle(store, "game-earnings", FILES, DETAILS)


@pytest.fixture
def folder(tmp_path, bundle):
    """The folder of the bundle's files."""
    return tmp_path / "registry" / bundle.folder


def reopen(store, bundle):
    return read_bundle(store, bundle.folder, bundle.digest)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def check_refused(call, pattern):
    """Check that a call fails with this message; return the error."""
    with pytest.raises(IntegrityError, match=pattern) as refusal:
        call()
    assert 4 == refusal.value.exit_code
    return refusal.value


def open_planted(store, manifest):
    """Open a bundle with a planted manifest, whose digest is right."""
    content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    store.delete(f"{FOLDER}/MANIFEST.json")
    store.create(f"{FOLDER}/MANIFEST.json", content)
    return read_bundle(store, FOLDER, sha256(content))


def make_manifest(*names, **changes):
    return {"format": 1, "model": "game-earnings", "files": dict.fromkeys(names, LISTING), **changes}


# Writing and reading


@settings(deadline=None, max_examples=40)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=64), max_size=4).filter(lambda files: "manifest.json" not in files),
    details=st.dictionaries(NAMES.map("my_{}".format), JSON_LIKE, max_size=4),
)
def test_bundle_round_trips(tmp_path_factory, files, details):
    """A bundle opens with the files and details that were written."""
    store = LocalStore(tmp_path_factory.mktemp("bundles"))
    written = write_bundle(store, "game-earnings", files, details)
    opened = reopen(store, written)

    assert files == {name: opened.read(name) for name in opened.files}
    assert drop_old_keys(details) == {key: opened.manifest[key] for key in details}
    assert written == opened
    assert len(files) + 1 == opened.verify()


@settings(deadline=None, max_examples=40)
@given(
    details=st.dictionaries(NAMES.map("my_{}".format), JSON_LIKE, max_size=4),
    layout=st.sampled_from([{"indent": 1}, {"indent": 2}, {}, {"indent": 1, "separators": (",", ":")}]),
    end=st.sampled_from(["\n", "", "\n\n"]),
    data=st.data(),
)
def test_chosen_keys_are_read(tmp_path_factory, details, layout, end, data):
    """A manifest in any layout can be read with some of its keys."""
    store = LocalStore(tmp_path_factory.mktemp("bundles"))
    content = (json.dumps(make_manifest(**details), ensure_ascii=False, **layout) + end).encode()
    store.create(f"{FOLDER}/MANIFEST.json", content)
    chosen = data.draw(st.sets(st.sampled_from([*details, "no key"])))

    whole = read_bundle(store, FOLDER, sha256(content)).manifest
    part = read_bundle(store, FOLDER, sha256(content), chosen).manifest
    for key in {"format", "model", "files", *chosen} & whole.keys():
        assert whole[key] == part[key]


def test_file_named_like_old_key(store):
    """A file keeps its name, even if a renamed key of a document had this name."""
    written = write_bundle(store, "game-earnings", {"titles_doubled": b"a file"}, {})
    assert b"a file" == reopen(store, written).read("titles_doubled")


def test_manifest_lists_sizes_and_digests(bundle, folder):
    """sha256sum and a JSON parser are enough to check a bundle."""
    manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))

    assert (1, "game-earnings") == (manifest["format"], manifest["model"])
    assert {name: {"size": len(data), "sha256": sha256(data)} for name, data in FILES.items()} == manifest["files"]
    assert bundle.digest == sha256((folder / "MANIFEST.json").read_bytes())
    assert re.fullmatch(r"game-earnings/bundles/\d{8}T\d{6}Z-[0-9a-f]{12}", bundle.folder)
    assert bundle.folder.endswith(bundle.digest[:12])


def test_manifest_is_written_last(tmp_path):
    """A bundle with a manifest is whole, even if its writer was killed."""
    created = []

    class RecordingStore(LocalStore):
        def create(self, key, data):
            created.append(key.rpartition("/")[2])
            return super().create(key, data)

    write_bundle(RecordingStore(tmp_path), "game-earnings", FILES, DETAILS)
    assert [*FILES, "MANIFEST.json"] == created


def test_same_bundle_is_written_twice(tmp_path):
    """Two publishers of the same bytes in the same second share a folder."""

    class TwiceWritingStore(LocalStore):
        def create(self, key, data):
            assert super().create(key, data)
            return super().create(key, data)

    bundle = write_bundle(TwiceWritingStore(tmp_path), "game-earnings", FILES, DETAILS)
    assert len(FILES) + 1 == bundle.verify()


def test_other_content_is_kept(tmp_path):
    """A bundle is never written over other content."""

    class TakenStore(LocalStore):
        def create(self, key, data):
            super().create(key, b"something else")
            return super().create(key, data)

    with pytest.raises(IntegrityError, match=r"bundles/[^/]+/scorer\.onnx exists with other content"):
        write_bundle(TakenStore(tmp_path), "game-earnings", FILES, DETAILS)


@pytest.mark.parametrize("names", [["../scorer.onnx"], ["a/b"], ["MANIFEST.json"], ["Manifest.JSON"], ["A", "a"], [""]])
def test_unreadable_bundle_is_not_written(tmp_path, store, names):
    """A bundle with names that could not be opened is not written."""
    with pytest.raises(IntegrityError, match=r"must list its files as plain names|differ in case only"):
        write_bundle(store, "game-earnings", dict.fromkeys(names, b"data"), {})
    assert [] == list(tmp_path.iterdir())


def test_infinity_is_not_written(tmp_path, store):
    """A manifest with an infinite number is not written."""
    with pytest.raises(ValueError, match="Out of range float values"):
        write_bundle(store, "game-earnings", FILES, {"mae": float("inf")})
    assert [] == list(tmp_path.iterdir())


# Damage


@pytest.mark.parametrize("name", FILES)
def test_flipped_file_byte_is_named(store, bundle, folder, name):
    """A flipped byte of a file is named with the expected and the actual digest."""
    for position in range(len(FILES[name])):
        flipped = bytearray(FILES[name])
        flipped[position] ^= 0x10
        (folder / name).write_bytes(flipped)

        expected, actual = sha256(FILES[name]), sha256(flipped)
        pattern = f"{bundle.folder}/{re.escape(name)} was changed: expected sha256 {expected}, found {actual}"
        check_refused(lambda: reopen(store, bundle).read(name), pattern)
        check_refused(lambda: reopen(store, bundle).verify(), pattern)


def test_flipped_manifest_byte_is_named(store, bundle, folder):
    """A flipped byte of a manifest is named with both digests."""
    whole = (folder / "MANIFEST.json").read_bytes()
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 0x01
        (folder / "MANIFEST.json").write_bytes(flipped)

        pattern = rf"MANIFEST\.json was changed: expected sha256 {bundle.digest}, found {sha256(flipped)}"
        error = check_refused(lambda: reopen(store, bundle), pattern)
    assert "Restore it from a backup of the registry, or promote another version" == error.hint


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\n", lambda data: b""])
@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_wrong_length_is_named(store, bundle, folder, name, change):
    """A file that is shorter, longer or empty is named."""
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    check_refused(lambda: reopen(store, bundle).verify(), f"{bundle.folder}/{re.escape(name)} was changed")


def test_grown_file_is_read_partly(store, bundle, folder):
    """Of a file that grew to a terabyte, one byte more than its size is read."""
    with open(folder / "scorer.onnx", "r+b") as file:
        file.truncate(2**40)
    pattern = r"scorer\.onnx was changed: expected 9 bytes, found more$"
    error = check_refused(lambda: reopen(store, bundle).read("scorer.onnx"), pattern)
    assert "Restore it from a backup of the registry" == error.hint


def test_grown_manifest_is_read_partly(store, bundle, folder):
    """Only the size limit is read of a manifest that grew to a terabyte."""
    with open(folder / "MANIFEST.json", "r+b") as file:
        file.truncate(2**40)
    check_refused(lambda: reopen(store, bundle), r"MANIFEST\.json is larger than the limit of 16,777,216 bytes$")


def test_wrong_size_is_refused(store):
    """A file with the right digest and a wrong size is refused: readers allocate by size."""
    for size, actual in ((3, "more"), (5, "4")):
        store.create(f"{FOLDER}/a", b"data")
        opened = open_planted(store, make_manifest(files={"a": {"size": size, "sha256": sha256(b"data")}}))
        check_refused(lambda opened=opened: opened.read("a"), f"/a was changed: expected {size} bytes, found {actual}$")


@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_missing_file_is_named(store, bundle, folder, name):
    """The message names a missing file, and the hint says to restore it."""
    (folder / name).unlink()
    error = check_refused(lambda: reopen(store, bundle).verify(), f"{bundle.folder}/{re.escape(name)} is missing")
    assert "Restore it from a backup of the registry" == error.hint


def test_unlisted_files_are_named(store, bundle, folder, tmp_path):
    """All files that the manifest does not list are named."""
    (folder / "deep").mkdir()
    (folder / "deep/scaler.joblib").write_bytes(b"unpickle me")
    (folder / "link").symlink_to(tmp_path)
    (folder / "model.keras.bak").write_bytes(b"")

    pattern = "holds files that its manifest does not list: deep/scaler.joblib, link, model.keras.bak$"
    check_refused(lambda: reopen(store, bundle).verify(), pattern)
    assert FILES["scorer.onnx"] == reopen(store, bundle).read("scorer.onnx"), (
        "unknown files do not stop the nightly run"
    )


def test_linked_file_is_refused(store, bundle, folder, tmp_path):
    """A symbolic link is refused, even to the same bytes."""
    shutil.move(folder / "scorer.onnx", tmp_path / "elsewhere")
    (folder / "scorer.onnx").symlink_to(tmp_path / "elsewhere")
    check_refused(lambda: reopen(store, bundle).read("scorer.onnx"), r"scorer\.onnx is a symbolic link")


def test_unlisted_file_is_not_read(store, bundle, folder):
    """A file that the manifest does not list is not read."""
    (folder / "scaler.joblib").write_bytes(b"unpickle me")
    pattern = r"lists no scaler\.joblib; it holds model\.keras, report\.html, scorer\.onnx"
    check_refused(lambda: reopen(store, bundle).read("scaler.joblib"), pattern)


# Planted manifests


@pytest.mark.parametrize(
    "manifest",
    [
        *map(make_manifest, ["../scorer.onnx", "/etc/passwd", "a/b", "..", ".", ".hidden", "", "-o", "a\\b", "a\n"]),
        *map(make_manifest, ["MANIFEST.json", "manifest.json"]),
        make_manifest(files=["scorer.onnx"]),
        make_manifest(files=None),
        {"format": 1},
        make_manifest(files={"scorer.onnx": None}),
        make_manifest(files={"scorer.onnx": {"sha256": "0" * 64}}),
        make_manifest(files={"scorer.onnx": {"size": "1", "sha256": "0" * 64}}),
        make_manifest(files={"scorer.onnx": {"size": 1}}),
        *[
            make_manifest(files={"scorer.onnx": {**LISTING, "size": size}})
            for size in (True, False, -1, 1.0, 2**31 + 1)
        ],
        make_manifest(files={"scorer.onnx": {"size": 1, "sha256": "0" * 63}}),
        make_manifest(files={"scorer.onnx": {"size": 1, "sha256": "A" * 64}}),
        make_manifest(files={"scorer.onnx": {"size": 1, "sha256": "0" * 64 + "\n"}}),
    ],
    ids=lambda manifest: json.dumps(manifest.get("files"))[:40],
)
def test_bad_listing_is_refused(store, manifest):
    """A manifest with a bad name, size or digest is refused."""
    pattern = r"MANIFEST\.json must list its files as plain names, each with a size and a sha256$"
    check_refused(lambda: open_planted(store, manifest), pattern)


def test_case_clash_is_refused(store):
    """Names that differ in case only are refused: on some disks they are one file."""
    manifest = make_manifest("scorer.onnx", "Scorer.ONNX")
    check_refused(lambda: open_planted(store, manifest), "lists file names that differ in case only")


@pytest.mark.parametrize(
    ("manifest", "actual"),
    [
        (make_manifest("a", format=2), "2"),
        (make_manifest("a", format="1"), "'1'"),
        ({"files": {}}, "None"),
        ([1], "'list'"),
        (None, "'NoneType'"),
    ],
)
def test_other_format_hints_to_upgrade(store, manifest, actual):
    """A manifest of another format is refused with a hint to upgrade."""
    error = check_refused(
        lambda: open_planted(store, manifest), f"MANIFEST.json has format {actual}; this release reads 1$"
    )
    assert "Upgrade gamesales" == error.hint


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"format": 1' + b"0" * 5_000 + b"}", b"{'format': 1}"],
    ids=["empty", "cut off", "not UTF-8", "deep", "huge number", "not JSON"],
)
def test_invalid_json_is_refused(store, content):
    """A manifest that is not JSON is refused."""
    check_refused(lambda: open_planted(store, content), r"MANIFEST\.json is not JSON: ")


def test_huge_manifest_is_not_parsed(store):
    """A manifest above the size limit is refused before it is parsed."""
    content = b"[" * (MANIFEST_SIZE_LIMIT + 2)
    check_refused(lambda: open_planted(store, content), r"MANIFEST\.json is larger than the limit of 16,777,216 bytes$")


def test_huge_manifest_is_not_written(tmp_path, store):
    """A manifest above the size limit is not written."""
    details = {"note": "n" * MANIFEST_SIZE_LIMIT}
    with pytest.raises(IntegrityError, match=r"MANIFEST\.json is larger than the limit of 16,777,216 bytes$"):
        write_bundle(store, "game-earnings", FILES, details)
    assert [] == list(tmp_path.iterdir())


@settings(deadline=None, max_examples=150)
@given(
    manifest=JSON_LIKE
    | st.fixed_dictionaries({"format": st.sampled_from([1, 1, 1, 2]), "files": JSON_LIKE})
    | st.dictionaries(st.text(max_size=5), st.just(LISTING), max_size=3).map(lambda files: make_manifest(files=files))
)
def test_any_manifest_opens_or_fails(tmp_path_factory, manifest):
    """Any manifest opens with plain names or is refused, never another error."""
    store = LocalStore(tmp_path_factory.getbasetemp() / "any")
    try:
        opened = open_planted(store, manifest)
    except IntegrityError:
        return
    assert not [name for name in opened.files if "/" in name or name.startswith(".") or not name.isprintable()]
