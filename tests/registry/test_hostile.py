"""A hostile registry with correct digests.

Every event is sealed, and every manifest has the digest in the log. Only shapes, names and sizes are wrong.
"""

import hashlib
import json
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError
from gamesales.registry.event import VERSION_REGISTERED
from gamesales.registry.log import EventLog
from gamesales.registry.refs import Ref
from gamesales.storage.store import LocalStore
from support.operations import open_registry, promote, publish

MODEL = "game-earnings"
FOLDER = f"{MODEL}/bundles/20261124T020000Z-0123456789ab"
LISTING = {"size": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}


@pytest.fixture
def root(tmp_path):
    """A registry with one sound champion, and a file outside that must not be reached."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    registry = open_registry(tmp_path / "registry")
    promote(registry, publish(registry))
    return tmp_path / "registry"


def plant(root, content):
    """Register a version 2 whose manifest is these bytes."""
    path = root / FOLDER / "MANIFEST.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    plant_event(root, {"version": 2, "folder": FOLDER, "digest": hashlib.sha256(content).hexdigest()})
    return path


def plant_event(root, body):
    EventLog(LocalStore(root), MODEL).append(VERSION_REGISTERED, "planted", lambda events: body)


def encode_manifest(files):
    return json.dumps({"format": 1, "model": MODEL, "files": files}).encode()


def read_contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_refused(root, pattern):
    """Check that every use of version 2 is refused, that nothing is written, and that version 1 works."""
    before = read_contents(root.parent)
    registry = open_registry(root)
    version_2 = Ref(MODEL, version=2)
    for call in (registry.verify, lambda: registry.verify(version_2), lambda: registry.resolve(version_2)):
        with pytest.raises(IntegrityError, match=pattern):
            call()
    assert b"a graph" == registry.resolve(Ref(MODEL, alias="champion"))[1].read("scorer.onnx")
    assert before == read_contents(root.parent)


NAMES = {
    "out of the bundle": "../scorer.onnx",
    "out of the registry": "../../../../outside/secret",
    "by way of a folder": "a/../../../../../outside/secret",
    "absolute": "/etc/passwd",
    "home": "~/secret",
    "in a folder": "deep/scorer.onnx",
    "backslashes": "..\\..\\outside\\secret",
    "a drive": "C:secret",
    "a stream": "scorer.onnx:secret",
    "NUL at the end": "scorer.onnx\0",
    "NUL inside": "scorer.onnx\0.txt",
    "a line break": "scorer.onnx\n",
    "an escape": "\x1b[2Jscorer.onnx",
    "a dot": ".",
    "two dots": "..",
    "none": "",
    "blank": " ",
    "hidden": ".tmp-0123456789abcdef",
    "an option": "-rf",
    "the manifest": "MANIFEST.json",
    "the manifest in small": "manifest.json",
    "a character too long": "a" * 256,
    "far too long": "a" * 1_000_000,
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "right to left": "\u202exnno.rerocs",
    "no width": "scorer\u200b.onnx",
    "wide letters": "\uff53corer.onnx",
    "letters of another alphabet": "s\u0441orer.onnx",
    "digits of another script": "scorer\u0664",
    "half a character": "\ud800",
    "a wide slash": "..\uff0fsecret",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_unsafe_name_is_refused(root, name):
    """A file name that could lead elsewhere is refused, and the manifest is named."""
    path = plant(root, encode_manifest({name: LISTING}))
    check_refused(root, f"{path} must list its files as plain names, each with a size and a sha256$")


@pytest.mark.parametrize("pair", [("scorer.onnx", "Scorer.onnx"), ("a", "A"), ("STRASSE", "strasse")])
def test_case_clash_is_refused(root, pair):
    """Names that are one file on some disks are refused, and the manifest is named."""
    path = plant(root, encode_manifest(dict.fromkeys(pair, LISTING)))
    check_refused(root, f"{path} lists file names that differ in case only$")


def test_unicode_clash_is_refused(root):
    """Names that differ only in their Unicode form are refused, and the manifest is named."""
    path = plant(root, encode_manifest(dict.fromkeys(["caf\u00e9", "cafe\u0301"], LISTING)))
    check_refused(root, f"{path} must list its files as plain names")


SIZES = [True, False, None, -1, -(2**63), 2**31 + 1, 2**63, 10**30, 6.0, 1e300, "6", [6], {}]


@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_invalid_size_is_refused(root, size):
    """A size that is not a plausible integer is refused, and the manifest is named."""
    path = plant(root, encode_manifest({"scorer.onnx": {**LISTING, "size": size}}))
    (path.parent / "scorer.onnx").write_bytes(b"secret")
    check_refused(root, f"{path} must list its files as plain names, each with a size and a sha256$")


@pytest.mark.parametrize("size", [0, 5, 7, 2**31])
def test_wrong_size_is_refused(root, size):
    """A wrong size is refused, the file is named, and no memory is allocated by the size."""
    path = plant(root, encode_manifest({"scorer.onnx": {**LISTING, "size": size}})).with_name("scorer.onnx")
    path.write_bytes(b"secret")
    registry = open_registry(root)
    for call in (registry.verify, lambda: registry.resolve(Ref(MODEL, version=2))[1].read("scorer.onnx")):
        with pytest.raises(IntegrityError, match=f"{path} was changed: expected {size:,} bytes, found"):
            call()


DEEP = 100_000
CONTENTS = {
    "nothing": b"",
    "lists in lists": b"[" * DEEP + b"]" * DEEP,
    "objects in objects": b'{"files":' * DEEP + b"1" + b"}" * DEEP,
    "deep next to the files": b'{"format":1,"files":{},"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a number of a million digits": b'{"format":1,"files":{},"x":' + b"9" * 1_000_000 + b"}",
    "not UTF-8": b'{"format":1,"files":{"\xff":1}}',
    "a byte too many": encode_manifest({}) + b"\0",
    "a graph": b"\x08\x08\x12\x00",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_hostile_json_is_refused(root, content):
    """JSON that would break a parser is refused, and the manifest is named."""
    check_refused(root, f"{plant(root, content)} is not JSON: ")


FOLDERS = {
    "outside": "../outside",
    "absolute": "/etc",
    "back and forth": f"{MODEL}/bundles/../log",
    "backslashes": "..\\outside",
    "NUL": f"{FOLDER}\0",
    "a long name": "a" * 256,
    "long in all": "/".join(["a" * 200] * 30),
    "odd": "\u202e\ud7ff",
    "none": "",
}


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
def test_folder_outside_is_refused(root, folder):
    """An event that names a folder outside the registry is refused."""
    plant_event(root, {"version": 2, "folder": folder, "digest": "0" * 64})
    check_refused(root, "is not a key: expected names of letters, digits")


def test_link_with_right_digest_is_refused(root):
    """A symbolic link to a file with the listed size and digest is refused."""
    path = plant(root, encode_manifest({"scorer.onnx": LISTING})).with_name("scorer.onnx")
    path.symlink_to(root.parent / "outside/secret")
    registry = open_registry(root)
    for call in (registry.verify, lambda: registry.resolve(Ref(MODEL, version=2))[1].read("scorer.onnx")):
        with pytest.raises(IntegrityError, match=f"{path} is a symbolic link"):
            call()


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries({"size": JSON_LIKE, "sha256": JSON_LIKE | st.just("0" * 64)}) | JSON_LIKE


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(st.text(max_size=300), ENTRIES, min_size=1, max_size=3))
def test_any_planted_listing_is_refused(root, files):
    """Either the manifest is refused, or the file that it lists is missing."""
    content = encode_manifest(files)
    path = root / FOLDER / "MANIFEST.json"
    (root / FOLDER).mkdir(exist_ok=True)
    path.write_bytes(content)
    planted = open_registry(root).find_version(1)
    planted = replace(planted, folder=FOLDER, digest=hashlib.sha256(content).hexdigest())
    with pytest.raises(IntegrityError, match=re.escape(str(path.parent))):
        open_registry(root).open_bundle(planted).verify()
