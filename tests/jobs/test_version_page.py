"""``gamesales report REF``: the path of a version's page, and its copy."""

import json
import webbrowser
from pathlib import Path

import pytest
from jsonschema import validate

from gamesales.jobs.loading import open_registry
from gamesales.jobs.version_page import find_version_page
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import open_store
from support.runs import read_failure
from support.versions import ROOT, publish_simple

PAGE = b"<!doctype html>a page"


@pytest.fixture
def registry(tmp_path):
    """A registry with a champion that has a page, and a version without a page."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    registry.publish({"report.html": PAGE}, {}, "for a test")
    publish_simple(registry)
    registry.set_alias("champion", 1, "for a test", lambda state, version: {})
    return registry


@pytest.mark.parametrize("ref", ["1", "champion", "@champion", "game-earnings/1", "game-earnings@champion"])
def test_path_of_page(cli, registry, ref):
    """The command prints the path of the page, which is in the bundle."""
    ran = cli("report", ref)
    assert (0, "") == (ran.code, ran.err)
    assert PAGE == Path(ran.out.strip()).read_bytes()
    assert Path("registry") in Path(ran.out.strip()).parents


def test_copy_of_page(cli, registry):
    """With ``--page``, the page is copied."""
    document = cli("report", "1", "--page", "page.html", "--json").document
    validate(document, json.loads((ROOT / "docs/reference/report.schema.json").read_bytes()))
    assert ("page.html", 1) == (document["page"], document["version"])
    assert PAGE == Path("page.html").read_bytes()


def test_page_is_opened(cli, registry, monkeypatch):
    """With ``--open``, the browser gets the absolute URL of the page."""
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    ran = cli("report", "1", "--open")
    assert ([Path(ran.out.strip()).resolve().as_uri()], "") == (opened, ran.err)


def test_no_browser(cli, registry, monkeypatch):
    """Without a browser, the path is printed with a warning."""
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    ran = cli("report", "1", "--open")
    assert (0, True) == (ran.code, Path(ran.out.strip()).exists())
    assert "warning: no browser could be started" in ran.err


def test_broken_job(cli, registry):
    """A job file that names no registry for the command is not read."""
    Path("jobs").mkdir()
    Path("jobs/score.toml").write_text("[")
    assert 2 == cli("report", "1").code
    assert 0 == cli("report", "1", "--registry", "registry").code


def test_no_page(cli, registry):
    """A version without a page, a changed page, and the removed files of a retired version are errors."""
    ran = cli("report", "2")
    assert (4, True) == (ran.code, "lists no report.html" in ran.err)
    path = Path(cli("report", "1").out.strip())
    path.write_bytes(PAGE.replace(b"a", b"b"))
    ran = cli("report", "1", "--page", "page.html")
    assert (4, True) == (ran.code, "was changed" in ran.err)
    assert not Path("page.html").exists()
    registry.retire(2, "for a test")
    registry.remove(registry.list_bundle_keys())
    code, message, hint = read_failure(cli("report", "2"))
    assert (4, True) == (code, "was removed" in message)
    assert "gamesales show 2" in hint


def test_page_in_object_store(registry, tmp_path, monkeypatch):
    """The page of a version in an object store is checked, and copied to the current folder."""
    monkeypatch.chdir(tmp_path)
    stored = ModelRegistry(open_store("memory:"), registry.model)
    stored.publish({"report.html": PAGE}, {}, "for a test")
    result = find_version_page(stored, Ref(registry.model, version=1))
    assert ("version-1.html", "memory:") == (result.page, result.registry)
    assert PAGE == Path(result.page).read_bytes()


@pytest.mark.parametrize("words", [(), ("1", "--run", "2026-11-24"), ("1", "--output", "out")])
def test_wrong_words(cli, registry, words):
    """A page is of a version or of a run, and only a run has an output."""
    assert 2 == cli("report", *words).code
