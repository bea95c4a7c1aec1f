"""Any change of a registry is refused, and the message names the changed file.

The one exception is a removed last event: a chain can't show that its end was cut off, as docs/reference/registry.md
says.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError, collect_warnings
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import LocalStore
from support.operations import evaluate, open_registry, promote, publish, roll_back
from support.sampling import many, sample

MODEL = "game-earnings"
EVENTS = 6
MASKS = (0x01, 0x20, 0x80)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A registry with two versions, an evaluation, two promotions and a rollback; and with another model."""
    root = tmp_path_factory.mktemp("tamper") / "registry"
    registry = open_registry(root)
    for content in (b"a", b"b"):
        promote(registry, publish(registry, content))
    evaluate(registry, 1)
    roll_back(registry)
    other = ModelRegistry(LocalStore(root), "other")
    for number in range(EVENTS + 1):
        publish(other, b"%d" % number)
    assert (EVENTS, 6) == registry.verify()
    return root


@pytest.fixture
def root(sound, tmp_path):
    """A copy of the sound registry."""
    return shutil.copytree(sound, tmp_path / "registry")


def event_path(root, sequence):
    return root / MODEL / f"log/{sequence:020d}.json"


def event_paths(root):
    return [event_path(root, sequence) for sequence in range(1, EVENTS + 1)]


def bundle_folder(root):
    """Return the folder of version 2, found by its graph."""
    return next(path.parent for path in (root / MODEL).rglob("scorer.onnx") if path.read_bytes() == b"b")


def bundle_paths(root):
    return sorted(bundle_folder(root).iterdir())


def read_version(root):
    """Read all files of version 2, as scoring does."""
    _, opened = open_registry(root).resolve(Ref(MODEL, version=2))
    for name in opened.files:
        opened.read(name)


def check_refused(root, changed):
    """Check that verification and every read of a changed file fail, and that the message names the file."""
    reads = [read_version]
    if "bundles" not in changed.parts:
        reads += [lambda root: open_registry(root).read_events(), lambda root: open_registry(root).read_state()]
    for call in (lambda root: open_registry(root).verify(), *reads):
        with pytest.raises(IntegrityError, match=re.escape(str(changed))):
            call(root)


# Bytes


def flip_all(root, path):
    """Flip each byte of a file, one at a time, or its ends and a sample. Return how many flips were refused."""
    whole = path.read_bytes()
    places = range(len(whole))
    positions = sorted({*places[:8], *places[-8:], *sample(f"bytes of {path.name}", places, 24)})
    for position in positions:
        for mask in MASKS:
            path.write_bytes(whole[:position] + bytes([whole[position] ^ mask]) + whole[position + 1 :])
            check_refused(root, path)
    path.write_bytes(whole)
    return len(positions) * len(MASKS)


@pytest.mark.slow
def test_flipped_bundle_byte_is_refused(root):
    """Any flipped byte of a bundle is refused, and the file is named."""
    assert many(600, 60) < sum(flip_all(root, path) for path in bundle_paths(root))
    read_version(root)


@pytest.mark.slow
def test_flipped_log_byte_is_refused(root):
    """Any flipped byte of the log is refused, also of its last event, and the file is named."""
    assert many(5_000, 300) < sum(flip_all(root, path) for path in event_paths(root))
    assert EVENTS == len(open_registry(root).read_events())


@st.composite
def edits(draw):
    """Draw a function from a file's bytes to other bytes."""
    position, length = draw(st.integers(0, 10_000)), draw(st.integers(0, 20))
    added = draw(st.binary(max_size=20))

    def edit(data):
        start = position % (len(data) + 1)
        return data[:start] + added + data[start + length :]

    return edit


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), edit=edits())
def test_any_edit_is_refused(root, data, edit):
    """Bytes replaced, inserted, removed or cut off anywhere are refused, and the file is named."""
    path = data.draw(st.sampled_from([*event_paths(root), *bundle_paths(root)]))
    whole = path.read_bytes()
    try:
        path.write_bytes(edit(whole))
        if path.read_bytes() != whole:
            check_refused(root, path)
    finally:
        path.write_bytes(whole)


# Files


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\n")


def put_link(path):
    """Put a symbolic link to the same bytes."""
    target = path.rename(path.parents[3] / "target")
    path.symlink_to(target)


def put_pipe(path):
    path.unlink()
    os.mkfifo(path)


def put_folder(path):
    path.unlink()
    (path / "inside").mkdir(parents=True)
    (path / "inside/file").touch()


def remove(path):
    path.unlink()


TARGETS = [*range(1, EVENTS + 1), "MANIFEST.json", "report.html", "scorer.onnx"]


def target_path(root, name):
    """Return the path of an event, by its number, or of a file of version 2."""
    return event_path(root, name) if isinstance(name, int) else bundle_folder(root) / name


@pytest.mark.parametrize("change", [truncate, empty, lengthen, put_link, put_pipe, put_folder, remove])
@pytest.mark.parametrize("name", TARGETS)
def test_replaced_file_is_refused(root, name, change):
    """Anything in place of a file is refused, and the file is named."""
    path = target_path(root, name)
    change(path)
    if (name, change) == (EVENTS, remove):
        assert EVENTS - 1 == len(open_registry(root).read_events()), "a chain can't show that its end was cut off"
    else:
        check_refused(root, path)


@pytest.mark.parametrize("first", range(1, EVENTS))
def test_swapped_events_are_refused(root, first):
    """Two swapped events are refused, and the first is named."""
    path, next_path = event_path(root, first), event_path(root, first + 1)
    whole = path.read_bytes()
    path.write_bytes(next_path.read_bytes())
    next_path.write_bytes(whole)
    check_refused(root, path)


@pytest.mark.parametrize("first", range(1, EVENTS + 2))
def test_foreign_event_is_refused(root, first):
    """An event of another model, in place of an event or after the last, is refused and named."""
    path = event_path(root, first)
    path.unlink(missing_ok=True)
    shutil.copy(root / "other/log" / path.name, path)
    check_refused(root, path if first > 1 else event_path(root, 2))


@pytest.mark.parametrize("name", ["notes.txt", "00000000000000000002 (copy).json", "deep/1.json"])
def test_other_log_file_is_reported(root, name):
    """A file in the log that is not an event changes nothing, and verify warns of it."""
    before = open_registry(root).verify()
    path = event_path(root, 1).parent / name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(event_path(root, 2), path)
    with collect_warnings() as messages:
        assert before == open_registry(root).verify()
    (message,) = messages
    assert f"{event_path(root, 1).parent / Path(name).parts[0]} is not an event, and is ignored" in message
    read_version(root)


@pytest.mark.parametrize("name", ["scaler.joblib", "deep/scorer.onnx", "Scorer.onnx"])
@pytest.mark.parametrize("put", [lambda path: path.touch(), os.mkfifo, lambda path: path.symlink_to("scorer.onnx")])
def test_unlisted_file_fails_verify(root, name, put):
    """Verify names an unlisted file; nothing reads it, so scoring goes on."""
    path = bundle_folder(root) / name
    path.parent.mkdir(exist_ok=True)
    put(path)
    with pytest.raises(IntegrityError, match=f"{path.parents[len(Path(name).parts) - 1]} holds files .* list: {name}$"):
        open_registry(root).verify()
    read_version(root)


@pytest.mark.parametrize("part", ["", "log", "bundles", "bundle"])
def test_linked_folder_is_refused(root, tmp_path, part):
    """A symbolic link in place of a folder is refused, even to the same files."""
    path = bundle_folder(root) if part == "bundle" else root / MODEL / part
    path.rename(tmp_path / "target")
    path.symlink_to(tmp_path / "target")
    check_refused(root, path)
