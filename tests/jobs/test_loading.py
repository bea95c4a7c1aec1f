"""Versions with the same weights."""

from pathlib import Path

from gamesales.jobs.loading import find_same_weights, open_registry
from support.versions import publish_simple, simple_graph

WEIGHTS = "a" * 64


def test_first_version_with_same_weights(tmp_path):
    """The first version with the same scoring graph is found, even if it is retired."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    assert find_same_weights(registry, simple_graph(), WEIGHTS) is None
    for bias in (1.0, 0.0, 0.0):
        publish_simple(registry, bias)
    registry.retire(2, "for a test")
    assert 2 == find_same_weights(registry, simple_graph(), WEIGHTS)
    assert find_same_weights(registry, simple_graph(bias=7.0), WEIGHTS) is None
    publish_simple(registry, 9.0, record={"weights_sha256": WEIGHTS})
    assert 4 == find_same_weights(registry, simple_graph(bias=7.0), WEIGHTS)


def test_damaged_versions_are_skipped(tmp_path):
    """A damaged manifest does not stop a training."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    for number in (1, 2):
        publish_simple(registry, record={"attempt": number})
    Path(f"{registry.location}{registry.find_version(1).folder}/MANIFEST.json").unlink()
    assert 2 == find_same_weights(registry, simple_graph(), WEIGHTS)
