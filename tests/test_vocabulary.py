"""The package and its pages use the field's standard terms: neither banned names nor banned phrases."""

import ast
import re

import pytest

from support.versions import ROOT

MODULES = sorted((ROOT / "gamesales").rglob("*.py"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "gamesales").rglob("*.j2")),
]
# Names that say nothing about what they hold.
BANNED_NAMES = {
    "asked",
    "aside",
    "each",
    "found",
    "given",
    "known",
    "learnt",
    "one",
    "such",
    "tell",
    "thing",
    "told",
    "wanted",
}
# Phrases for which the field has a term: the term stands on the right.
BANNED_PHRASES = {
    r"\b(is|are|was|were|being) told\b|\btells? of\b": "is reported, listed, shown",
    r"\bdoubled ids?\b|\bcomes? twice\b": "duplicate",
    r"\bheld by the interval\b": "coverage; within the interval",
    r"\bchance allowed for\b": "with a bootstrap test",
    r"\bleans? by\b": "bias",
    r"\blearnt aside\b|\bside fit\b": "refit; out-of-fold",
    r"\bdear(est)? titles\b": "expensive titles",
    r"\bon whose word\b": "by whom",
    r"\blies? across\b|\blay across\b": "transposed",
    r"\bso manieth\b|\bhow manieth\b": "every Nth",
    r"\bwaits? for one's turn\b": "is queued",
    r"\bof a front of the two\b": "on the Pareto front",
    r"\d[\u00a0 ]%(?![\w(])": "90%, without a blank",
}


def names_in(tree):
    """All names that a module defines or uses as its own: variables, arguments, functions, classes, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_say_what_they_hold(path):
    """No identifier of the package is a pronoun, a participle or another word without content."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [f"{name}, line {line}" for name, line in names_in(tree) if name.strip("_").lower() in BANNED_NAMES] == []


@pytest.mark.parametrize("path", [*MODULES, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_use_standard_terms(path):
    """Docs, templates, docstrings and messages avoid the phrases for which the field has a term."""
    text = re.sub(r"\s*\n\s*", " ", path.read_text(encoding="utf-8"))
    assert {phrase: term for phrase, term in BANNED_PHRASES.items() if re.search(phrase, text)} == {}
