"""A version is copied to another registry with its bytes, its evaluations and its origin."""

import json
from pathlib import Path

import pytest

from gamesales.errors import IntegrityError, UnknownVersionError
from gamesales.jobs.copy import copy_version
from gamesales.jobs.loading import open_registry
from gamesales.registry.event import EVALUATION_RECORDED, VERSION_REGISTERED
from gamesales.registry.refs import Ref
from support.racing import race
from support.versions import publish_promoted, publish_simple

MODEL = "game-earnings"
CHAMPION = Ref(MODEL, alias="champion")
COPY = """
from gamesales.jobs.copy import copy_version
from gamesales.jobs.loading import open_registry
from gamesales.registry.refs import Ref
source, target = (open_registry(path, "game-earnings") for path in sys.argv[1:])
wait_for_start()
print(copy_version(source, Ref("game-earnings", version=1), target, "race").changed)
"""


@pytest.fixture
def source(tmp_path):
    """A registry whose version 1 is promoted and evaluated."""
    return publish_promoted(tmp_path)


@pytest.fixture
def target(tmp_path):
    """A registry with one other version."""
    registry = open_registry(tmp_path / "target", MODEL)
    publish_simple(registry, 500.0, evaluated=False)
    return registry


def read_bundle(registry, number):
    bundle = registry.open_bundle(registry.find_version(number))
    return bundle.digest, {name: bundle.read(name) for name in bundle.files}


def test_copy_has_the_same_bytes(source, target):
    """A copy has the digest, the files and the evaluations of the original, under the next number."""
    result = copy_version(source, CHAMPION, target, "to the store")
    assert (2, True, 1) == (result.version, result.changed, result.evaluations)
    assert read_bundle(source, 1) == read_bundle(target, 2)
    first, second = source.find_version(1), target.find_version(2)
    assert [e.metrics for e in first.read_evaluations()] == [e.metrics for e in second.read_evaluations()]
    registered = first.registration
    origin = {
        "registry": source.location,
        "version": 1,
        "event": registered.digest,
        "time": registered.time,
        "actor": registered.actor,
        "reason": "for a test",
    }
    assert ("to the store", origin) == (second.registration.reason, second.registration.body["origin"])
    assert {} == target.read_state().read_targets()
    target.verify()


def test_second_copy_adds_new_evaluations(source, target):
    """A second copy registers nothing, and adds only the evaluations that were made since."""
    copy_version(source, CHAMPION, target, "")
    source.record_evaluation(1, {"data": "new.csv", "data_sha256": "1" * 64, "rows": 9, "metrics": {"mae": 1.0}}, "")
    result = copy_version(source, CHAMPION, target, "")
    assert (2, False, 1) == (result.version, result.changed, result.evaluations)
    assert 0 == copy_version(source, CHAMPION, target, "").evaluations
    assert ["test.csv", "new.csv"] == [e.data for e in target.find_version(2).read_evaluations()]


def test_copy_of_a_copy_keeps_its_origin(source, target, tmp_path):
    """A copy of a copy names the first registry, and a copy back changes nothing."""
    copy_version(source, CHAMPION, target, "")
    third = open_registry(tmp_path / "third", MODEL)
    copy_version(target, Ref(MODEL, version=2), third, "")
    assert source.location == third.find_version(1).registration.body["origin"]["registry"]
    events = source.read_events()
    result = copy_version(third, Ref(MODEL, version=1), source, "")
    assert (1, False, 0) == (result.version, result.changed, result.evaluations)
    assert events == source.read_events()


def test_damaged_file_registers_nothing(source, target):
    """If a file of the original was changed, the copy fails with its name, and no version is registered."""
    (Path(source.location) / source.find_version(1).folder / "scorer.onnx").write_bytes(b"other bytes")
    with pytest.raises(IntegrityError, match=r"scorer\.onnx was changed"):
        copy_version(source, CHAMPION, target, "")
    assert 1 == target.read_state().newest


def test_retired_version_is_not_copied(source, target):
    """A retired version is not copied; a version whose copy was retired is copied anew."""
    publish_simple(source, 1.0)
    number = copy_version(source, Ref(MODEL, version=2), target, "").version
    target.retire(number, "a test")
    assert number + 1 == copy_version(source, Ref(MODEL, version=2), target, "").version
    source.retire(2, "a test")
    with pytest.raises(UnknownVersionError, match="was retired"):
        copy_version(source, Ref(MODEL, version=2), target, "")


def test_concurrent_copies_register_once(source, target):
    """Four processes that copy a version at once register one version and one evaluation."""
    outputs = race(COPY, [[source.location, target.location]] * 4)
    assert ["False\n"] * 3 + ["True\n"] == sorted(outputs)
    kinds = [event.kind for event in target.read_events()]
    assert [VERSION_REGISTERED, VERSION_REGISTERED, EVALUATION_RECORDED] == kinds


def test_copy_command(source, target, cli):
    """The command prints the new number and how to promote it, and show tells where the version comes from."""
    ran = cli("copy", "champion", "--to", target.location, "--registry", source.location, "--reason", "a test")
    assert 0 == ran.code, ran.err
    assert "is now version 2" in ran.out
    assert f"gamesales promote 2 --registry {target.location.rstrip('/')}" in ran.out
    shown = cli("show", "2", "--registry", target.location)
    assert f"copied      from version 1 in {source.location}" in shown.out
    ran = cli("copy", "1", "--to", target.location, "--registry", source.location, "--json")
    assert not json.loads(ran.out)["changed"]
