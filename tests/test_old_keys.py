"""Documents carry the old spelling of each renamed key, and are read without it."""

import pytest

from gamesales.old_keys import OLD_KEYS, add_old_keys, drop_old_keys


@pytest.mark.parametrize("key", OLD_KEYS)
def test_both_spellings_are_read_as_one(key):
    """A key is written in both spellings and read in the new spelling, at any depth."""
    document = {"versions": [{key: 1}]}
    assert {"versions": [{key: 1, OLD_KEYS[key]: 1}]} == add_old_keys(document)
    assert document == drop_old_keys(add_old_keys(document))


def test_old_document_is_read():
    """A document of an earlier release is read with the new spellings."""
    findings = {"findings": [{"condition": "a", "holds": True, "found": "fine"}], "mae_usd": 1.0}
    assert {"findings": [{"condition": "a", "is_met": True, "observation": "fine"}], "mae": 1.0} == drop_old_keys(
        findings
    )


def test_written_by_people_is_kept():
    """The parts of a document that a person wrote keep their keys."""
    document = {"contract": {"found": 1, "mae": 2}}
    assert document == add_old_keys(document) == drop_old_keys(document)
