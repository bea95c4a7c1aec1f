"""A bundle: what was published is what is read, or the file that is not is named."""

import hashlib
import json
import re
import shutil
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError
from gamesales.registry.bundle import MANIFEST_SIZE_LIMIT, open_bundle, write_bundle
from gamesales.registry.store import LocalStore

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
    """Where the bundle's files lie."""
    return tmp_path / "registry" / bundle.folder


def reopened(store, bundle):
    return open_bundle(store, bundle.folder, bundle.digest)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def refused(call, pattern):
    """Make a call that must be refused; return the error."""
    with pytest.raises(IntegrityError, match=pattern) as refusal:
        call()
    assert 4 == refusal.value.exit_code
    return refusal.value


def open_planted(store, manifest):
    """Open a bundle with a manifest that nobody here would write, and whose digest is right all the same."""
    content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    store.delete(f"{FOLDER}/MANIFEST.json")
    store.create(f"{FOLDER}/MANIFEST.json", content)
    return open_bundle(store, FOLDER, sha256(content))


def manifest_of(*names, **changes):
    return {"format": 1, "model": "game-earnings", "files": dict.fromkeys(names, LISTING), **changes}


# What was published is what is read


@settings(deadline=None, max_examples=40)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=64), max_size=4).filter(lambda files: "manifest.json" not in files),
    details=st.dictionaries(NAMES.map("my_{}".format), JSON_LIKE, max_size=4),
)
def test_a_bundle_opens_as_it_was_written(tmp_path_factory, files, details):
    store = LocalStore(tmp_path_factory.mktemp("bundles"))
    written = write_bundle(store, "game-earnings", files, details)
    opened = reopened(store, written)

    assert files == {name: opened.read(name) for name in opened.files}
    assert details == {key: opened.manifest[key] for key in details}
    assert written == opened
    assert len(files) + 1 == opened.verify()


def test_the_manifest_tells_model_format_sizes_and_digests(bundle, folder):
    """Anybody can check a bundle with sha256sum and a JSON parser."""
    manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))

    assert (1, "game-earnings") == (manifest["format"], manifest["model"])
    assert {name: {"size": len(data), "sha256": sha256(data)} for name, data in FILES.items()} == manifest["files"]
    assert bundle.digest == sha256((folder / "MANIFEST.json").read_bytes())
    assert re.fullmatch(r"game-earnings/bundles/\d{8}T\d{6}Z-[0-9a-f]{12}", bundle.folder)
    assert bundle.folder.endswith(bundle.digest[:12])


def test_the_manifest_is_written_last(tmp_path):
    """A bundle with a manifest is whole, even if its writer was killed."""
    created = []

    class Recorded(LocalStore):
        def create(self, key, data):
            created.append(key.rpartition("/")[2])
            return super().create(key, data)

    write_bundle(Recorded(tmp_path), "game-earnings", FILES, DETAILS)
    assert [*FILES, "MANIFEST.json"] == created


def test_writing_the_same_bundle_again_changes_nothing(tmp_path):
    """Two publishers of the same bytes in the same second share a folder."""

    class Twice(LocalStore):
        def create(self, key, data):
            assert super().create(key, data)
            return super().create(key, data)

    bundle = write_bundle(Twice(tmp_path), "game-earnings", FILES, DETAILS)
    assert len(FILES) + 1 == bundle.verify()


def test_a_bundle_is_never_written_over_other_content(tmp_path):
    class Taken(LocalStore):
        def create(self, key, data):
            super().create(key, b"something else")
            return super().create(key, data)

    with pytest.raises(IntegrityError, match=r"bundles/[^/]+/scorer\.onnx exists with other content"):
        write_bundle(Taken(tmp_path), "game-earnings", FILES, DETAILS)


@pytest.mark.parametrize("names", [["../scorer.onnx"], ["a/b"], ["MANIFEST.json"], ["Manifest.JSON"], ["A", "a"], [""]])
def test_a_bundle_that_nobody_could_open_is_not_written(tmp_path, store, names):
    with pytest.raises(IntegrityError, match=r"must list its files as plain names|differ in case only"):
        write_bundle(store, "game-earnings", dict.fromkeys(names, b"data"), {})
    assert [] == list(tmp_path.iterdir())


def test_a_manifest_that_json_cannot_hold_is_not_written(tmp_path, store):
    with pytest.raises(ValueError, match="Out of range float values"):
        write_bundle(store, "game-earnings", FILES, {"mae": float("inf")})
    assert [] == list(tmp_path.iterdir())


# What was changed is named


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_of_a_file_is_named_with_expected_and_found_digest(store, bundle, folder, name):
    for place in range(len(FILES[name])):
        flipped = bytearray(FILES[name])
        flipped[place] ^= 0x10
        (folder / name).write_bytes(flipped)

        expected, found = sha256(FILES[name]), sha256(flipped)
        pattern = f"{bundle.folder}/{re.escape(name)} was changed: expected sha256 {expected}, found {found}"
        refused(lambda: reopened(store, bundle).read(name), pattern)
        refused(lambda: reopened(store, bundle).verify(), pattern)


def test_every_flipped_byte_of_a_manifest_is_named_with_expected_and_found_digest(store, bundle, folder):
    whole = (folder / "MANIFEST.json").read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x01
        (folder / "MANIFEST.json").write_bytes(flipped)

        pattern = rf"MANIFEST\.json was changed: expected sha256 {bundle.digest}, found {sha256(flipped)}"
        error = refused(lambda: reopened(store, bundle), pattern)
    assert "Restore it from a backup of the registry, or promote another version" == error.hint


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\n", lambda data: b""])
@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_a_file_of_another_length_is_named(store, bundle, folder, name, change):
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    refused(lambda: reopened(store, bundle).verify(), f"{bundle.folder}/{re.escape(name)} was changed")


def test_of_a_file_that_grew_no_more_is_read_than_tells_so(store, bundle, folder):
    """A hole of a terabyte takes no room on the disk; whoever read it whole would take it in memory."""
    with open(folder / "scorer.onnx", "r+b") as file:
        file.truncate(2**40)
    pattern = r"scorer\.onnx was changed: expected 9 bytes, found more$"
    error = refused(lambda: reopened(store, bundle).read("scorer.onnx"), pattern)
    assert "Restore it from a backup of the registry" == error.hint


def test_of_a_manifest_that_grew_no_more_is_read_than_a_manifest_may_have(store, bundle, folder):
    with open(folder / "MANIFEST.json", "r+b") as file:
        file.truncate(2**40)
    refused(lambda: reopened(store, bundle), r"MANIFEST\.json is larger than the limit of 16,777,216 bytes$")


def test_a_file_whose_bytes_fit_the_digest_and_not_the_size_is_refused(store):
    """Sizes are not decoration: a reader may take the room that they tell before it reads."""
    for size, found in ((3, "more"), (5, "4")):
        store.create(f"{FOLDER}/a", b"data")
        opened = open_planted(store, manifest_of(files={"a": {"size": size, "sha256": sha256(b"data")}}))
        refused(lambda opened=opened: opened.read("a"), f"/a was changed: expected {size} bytes, found {found}$")


@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_a_missing_file_is_named(store, bundle, folder, name):
    (folder / name).unlink()
    error = refused(lambda: reopened(store, bundle).verify(), f"{bundle.folder}/{re.escape(name)} is missing")
    assert "Restore it from a backup of the registry" == error.hint


def test_files_that_the_manifest_does_not_list_are_all_named(store, bundle, folder, tmp_path):
    (folder / "deep").mkdir()
    (folder / "deep/scaler.joblib").write_bytes(b"unpickle me")
    (folder / "link").symlink_to(tmp_path)
    (folder / "model.keras.bak").write_bytes(b"")

    pattern = "holds files that its manifest does not list: deep/scaler.joblib, link, model.keras.bak$"
    refused(lambda: reopened(store, bundle).verify(), pattern)
    assert FILES["scorer.onnx"] == reopened(store, bundle).read("scorer.onnx"), "strangers stop no nightly run"


def test_a_link_in_a_files_place_is_refused_even_if_it_leads_to_the_same_bytes(store, bundle, folder, tmp_path):
    shutil.move(folder / "scorer.onnx", tmp_path / "elsewhere")
    (folder / "scorer.onnx").symlink_to(tmp_path / "elsewhere")
    refused(lambda: reopened(store, bundle).read("scorer.onnx"), r"scorer\.onnx is a symbolic link")


def test_a_file_that_the_manifest_does_not_list_is_not_read(store, bundle, folder):
    (folder / "scaler.joblib").write_bytes(b"unpickle me")
    pattern = r"lists no scaler\.joblib; it holds model\.keras, report\.html, scorer\.onnx"
    refused(lambda: reopened(store, bundle).read("scaler.joblib"), pattern)


# Manifests that nobody here would write


@pytest.mark.parametrize(
    "manifest",
    [
        *map(manifest_of, ["../scorer.onnx", "/etc/passwd", "a/b", "..", ".", ".hidden", "", "-o", "a\\b", "a\n"]),
        *map(manifest_of, ["MANIFEST.json", "manifest.json"]),
        manifest_of(files=["scorer.onnx"]),
        manifest_of(files=None),
        {"format": 1},
        manifest_of(files={"scorer.onnx": None}),
        manifest_of(files={"scorer.onnx": {"sha256": "0" * 64}}),
        manifest_of(files={"scorer.onnx": {"size": "1", "sha256": "0" * 64}}),
        manifest_of(files={"scorer.onnx": {"size": 1}}),
        *[manifest_of(files={"scorer.onnx": {**LISTING, "size": size}}) for size in (True, False, -1, 1.0, 2**31 + 1)],
        manifest_of(files={"scorer.onnx": {"size": 1, "sha256": "0" * 63}}),
        manifest_of(files={"scorer.onnx": {"size": 1, "sha256": "A" * 64}}),
        manifest_of(files={"scorer.onnx": {"size": 1, "sha256": "0" * 64 + "\n"}}),
    ],
    ids=lambda manifest: json.dumps(manifest.get("files"))[:40],
)
def test_a_manifest_with_a_bad_listing_is_refused(store, manifest):
    pattern = r"MANIFEST\.json must list its files as plain names, each with a size and a sha256$"
    refused(lambda: open_planted(store, manifest), pattern)


def test_names_that_differ_in_case_only_are_refused(store):
    """On some disks they would be one file."""
    manifest = manifest_of("scorer.onnx", "Scorer.ONNX")
    refused(lambda: open_planted(store, manifest), "lists file names that differ in case only")


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (manifest_of("a", format=2), "2"),
        (manifest_of("a", format="1"), "'1'"),
        ({"files": {}}, "None"),
        ([1], "'list'"),
        (None, "'NoneType'"),
    ],
)
def test_another_format_is_refused_with_what_to_do(store, manifest, found):
    error = refused(lambda: open_planted(store, manifest), f"MANIFEST.json has format {found}; this release reads 1$")
    assert "Upgrade gamesales" == error.hint


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"format": 1' + b"0" * 5_000 + b"}", b"{'format': 1}"],
    ids=["empty", "cut off", "not UTF-8", "deep", "huge number", "not JSON"],
)
def test_a_manifest_that_is_not_json_is_refused(store, content):
    refused(lambda: open_planted(store, content), r"MANIFEST\.json is not JSON: ")


def test_a_huge_manifest_is_refused_before_it_is_parsed(store):
    content = b"[" * (MANIFEST_SIZE_LIMIT + 2)
    refused(lambda: open_planted(store, content), r"MANIFEST\.json is larger than the limit of 16,777,216 bytes$")


def test_a_manifest_that_is_too_large_to_open_is_not_written(tmp_path, store):
    details = {"note": "n" * MANIFEST_SIZE_LIMIT}
    with pytest.raises(IntegrityError, match=r"MANIFEST\.json is larger than the limit of 16,777,216 bytes$"):
        write_bundle(store, "game-earnings", FILES, details)
    assert [] == list(tmp_path.iterdir())


@settings(deadline=None, max_examples=150)
@given(
    manifest=JSON_LIKE
    | st.fixed_dictionaries({"format": st.sampled_from([1, 1, 1, 2]), "files": JSON_LIKE})
    | st.dictionaries(st.text(max_size=5), st.just(LISTING), max_size=3).map(lambda files: manifest_of(files=files))
)
def test_any_manifest_opens_or_is_refused(tmp_path_factory, manifest):
    """Never another error; and one that opens lists plain names only."""
    store = LocalStore(tmp_path_factory.getbasetemp() / "any")
    try:
        opened = open_planted(store, manifest)
    except IntegrityError:
        return
    assert not [name for name in opened.files if "/" in name or name.startswith(".") or not name.isprintable()]
