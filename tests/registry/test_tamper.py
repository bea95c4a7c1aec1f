"""Whoever changes anything in a registry is found out, and by the name of what was changed.

Of this registry every file is a victim but the last event where that is removed: a chain can't show that its end
was cut off, as docs/registry.md says.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.store import LocalStore
from support.operations import evaluate, open_registry, promote, publish, roll_back

MODEL = "game-earnings"
EVENTS = 6
MASKS = (0x01, 0x80)


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
    """A copy of it to be worked on."""
    return shutil.copytree(sound, tmp_path / "registry")


def event(root, sequence):
    return root / MODEL / f"log/{sequence:020d}.json"


def events(root):
    return [event(root, sequence) for sequence in range(1, EVENTS + 1)]


def bundle_folder(root):
    """Return where the files of version 2 lie, as its graph shows."""
    return next(path.parent for path in (root / MODEL).rglob("scorer.onnx") if path.read_bytes() == b"b")


def bundle(root):
    return sorted(bundle_folder(root).iterdir())


def read_version(root):
    """Read all that there is of version 2, as scoring does."""
    _, opened = open_registry(root).resolve(Ref(MODEL, version=2))
    for name in opened.files:
        opened.read(name)


def check_refused(root, changed):
    """Check that a changed file stops verification and whatever reads it, and that its name is told."""
    reads = [read_version]
    if "bundles" not in changed.parts:
        reads += [lambda root: open_registry(root).events(), lambda root: open_registry(root).state()]
    for call in (lambda root: open_registry(root).verify(), *reads):
        with pytest.raises(IntegrityError, match=re.escape(str(changed))):
            call(root)


# Bytes


def flip_all(root, path):
    """Flip every byte of a file, one at a time; return how many flips were refused."""
    whole = path.read_bytes()
    for place in range(len(whole)):
        for mask in MASKS:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            check_refused(root, path)
    path.write_bytes(whole)
    return len(whole) * len(MASKS)


@pytest.mark.slow
def test_every_flipped_byte_of_a_bundle_is_refused_and_the_file_named(root):
    assert 600 < sum(flip_all(root, path) for path in bundle(root))
    read_version(root)


@pytest.mark.slow
def test_every_flipped_byte_of_the_log_is_refused_and_the_file_named(root):
    """Of the last event too."""
    assert 5_000 < sum(flip_all(root, path) for path in events(root))
    assert EVENTS == len(open_registry(root).events())


@st.composite
def edits(draw):
    """Draw a function from a file's bytes to other bytes."""
    place, length = draw(st.integers(0, 10_000)), draw(st.integers(0, 20))
    added = draw(st.binary(max_size=20))

    def edit(data):
        at = place % (len(data) + 1)
        return data[:at] + added + data[at + length :]

    return edit


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), edit=edits())
def test_any_edit_of_any_file_is_refused_and_the_file_named(root, data, edit):
    """Bytes replaced, put in, taken out or cut off, wherever."""
    path = data.draw(st.sampled_from([*events(root), *bundle(root)]))
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
    """Put a symbolic link to the very same bytes."""
    aside = path.rename(path.parents[3] / "aside")
    path.symlink_to(aside)


def put_pipe(path):
    path.unlink()
    os.mkfifo(path)


def put_folder(path):
    path.unlink()
    (path / "inside").mkdir(parents=True)
    (path / "inside/file").touch()


def remove(path):
    path.unlink()


VICTIMS = [*range(1, EVENTS + 1), "MANIFEST.json", "report.html", "scorer.onnx"]


def victim(root, name):
    """Return the path of an event, by its number, or of a file of version 2."""
    return event(root, name) if isinstance(name, int) else bundle_folder(root) / name


@pytest.mark.parametrize("change", [truncate, empty, lengthen, put_link, put_pipe, put_folder, remove])
@pytest.mark.parametrize("name", VICTIMS)
def test_what_is_put_in_the_place_of_any_file_is_refused_and_the_file_named(root, name, change):
    path = victim(root, name)
    change(path)
    if (name, change) == (EVENTS, remove):
        assert EVENTS - 1 == len(open_registry(root).events()), "a chain can't show that its end was cut off"
    else:
        check_refused(root, path)


@pytest.mark.parametrize("first", range(1, EVENTS))
def test_two_events_that_are_swapped_are_refused_and_the_first_named(root, first):
    one, other = event(root, first), event(root, first + 1)
    whole = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(whole)
    check_refused(root, one)


@pytest.mark.parametrize("first", range(1, EVENTS + 2))
def test_an_event_of_another_models_log_is_refused_and_named(root, first):
    """In place of one of ours, or after our last one."""
    path = event(root, first)
    path.unlink(missing_ok=True)
    shutil.copy(root / "other/log" / path.name, path)
    check_refused(root, path if first > 1 else event(root, 2))


@pytest.mark.parametrize("name", ["notes.txt", "00000000000000000002 (copy).json", "deep/1.json"])
def test_a_file_among_the_events_that_is_none_is_refused_and_named(root, name):
    path = event(root, 1).parent / name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(event(root, 2), path)
    check_refused(root, path)


@pytest.mark.parametrize("name", ["scaler.joblib", "deep/scorer.onnx", "Scorer.onnx"])
@pytest.mark.parametrize("put", [lambda path: path.touch(), os.mkfifo, lambda path: path.symlink_to("scorer.onnx")])
def test_a_file_in_a_bundle_that_its_manifest_does_not_list_is_refused_and_named(root, name, put):
    """Nothing reads it, so that scoring goes on; verification tells of it."""
    path = bundle_folder(root) / name
    path.parent.mkdir(exist_ok=True)
    put(path)
    with pytest.raises(IntegrityError, match=f"{path.parents[len(Path(name).parts) - 1]} holds files .* list: {name}$"):
        open_registry(root).verify()
    read_version(root)


@pytest.mark.parametrize("part", ["", "log", "bundles", "bundle"])
def test_a_link_in_the_place_of_a_folder_is_refused_and_named(root, tmp_path, part):
    """Even if it leads to the very same files."""
    path = bundle_folder(root) if part == "bundle" else root / MODEL / part
    path.rename(tmp_path / "aside")
    path.symlink_to(tmp_path / "aside")
    check_refused(root, path)
