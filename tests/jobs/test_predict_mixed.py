"""The prediction for one title with categories, a date and missing values, from words of a command line."""

import json

import pytest
from jsonschema import validate

from support.mixed import GOOD, GOOD_SALES, mixed_details, publish_mixed
from support.runs import read_failure
from support.versions import ROOT


@pytest.fixture
def command(cli, tmp_path):
    """Predict a title with changes. A change to None leaves a feature out."""
    publish_mixed(tmp_path)

    def run(*more, **changes):
        title = {**GOOD, **changes}
        return cli("predict", *(f"{name}={cell}" for name, cell in title.items() if cell is not None), *more)

    return run


def test_prediction(command):
    """Texts are categories, and a date has the format of the contract. The document follows its schema."""
    document = command("--json").document
    validate(document, json.loads((ROOT / "docs/reference/predict.schema.json").read_bytes()))
    assert (GOOD_SALES, False, []) == (
        document["predicted_earnings"],
        document["outside_training_range"],
        document["unseen"],
    )


@pytest.mark.parametrize("year", ["", " ", "N/A", "tbd", None])
def test_missing_value(command, year):
    """A value is missing if it is empty, a word of the contract, or left out."""
    assert GOOD_SALES - 0.25 == command("--json", year=year).document["predicted_earnings"]


def test_missing_value_not_accepted(command):
    """A value that may not be missing is named."""
    code, message, _ = read_failure(command(genre=""))
    assert (3, "this title can't be scored: genre: missing") == (code, message)
    code, message, hint = read_failure(command(genre=None, year=None))
    assert (3, "a title has 6 features; missing: genre") == (code, message)
    assert "; these may be left out: " in hint
    assert "year" in hint.partition(";")[2]


@pytest.mark.parametrize(
    ("genre", "nearest"),
    [("RPGG", "RPG"), ("rpg", "RPG"), ("action ", "Action"), ("Puzzle", None), ("\N{VIDEO GAME}", None)],
)
def test_unseen_category(command, genre, nearest):
    """An unseen category is named with the nearest one, as text and as JSON. It is scored as other."""
    ran = command(genre=genre)
    guess = f"; nearest: {nearest}" if nearest else ""
    line = f"(genre: {genre.strip()!r} was not in training, or too rare{guess}; scored as other)"
    assert line == ran.out.splitlines()[1]
    document = command("--json", genre=genre).document
    assert [{"column": "genre", "value": genre.strip(), "nearest": nearest}] == document["unseen"]
    assert GOOD_SALES - 3 == document["predicted_earnings"]


def test_rejected_category(command):
    """A category that the contract rejects is an error with the nearest one."""
    code, message, hint = read_failure(command(publisher="2007"))
    assert (3, "this title can't be scored: publisher: a value that the contract does not have") == (code, message)
    assert hint.startswith("publisher: '2007' was not in training, or too rare; nearest: 2006. See ")


@pytest.mark.parametrize("genre", ["x" * 1_000_000, "\u202egnp.exe", "a\nb"])
def test_nasty_category(command, genre):
    """A long text is cut, and marks and line breaks are escaped."""
    line = command(genre=genre).out.splitlines()[1]
    assert len(line) < 150
    assert line.isprintable()
    assert line.endswith("; scored as other)")


def test_outside_training_range(command):
    """A date outside the training range is a date, and a number is a number."""
    ran = command(released="2026-11-30", year="2025")
    document = command("--json", released="2026-11-30", year="2025").document
    first, last = (document["outside"][0][key] for key in ("training_minimum", "training_maximum"))
    assert ("2026-11-30", "1997", "2024") == (document["outside"][0]["value"], first[:4], last[:4])
    assert f"(released is 2026-11-30, outside the range of the training titles: {first} to {last})" in ran.out
    assert "(year is 2,025, outside the range of the training titles: 1,980 to 2,020)" in ran.out


def test_missing_category_that_training_lacks(cli, tmp_path):
    """A missing category is named if no training title had one."""
    profile = mixed_details()["training_profile"]
    (platform,) = (column for column in profile if column["name"] == "platform")
    platform["maximum"] = 3.0
    publish_mixed(tmp_path, record={"training_profile": profile})
    words = [f"{name}={'' if name == 'platform' else cell}" for name, cell in GOOD.items()]
    lines = cli("predict", *words).out.splitlines()
    assert ["(platform: it is missing, which no training title had)"] == lines[1:]
    assert [{"column": "platform", "value": "", "nearest": None}] == cli("predict", *words, "--json").document["unseen"]


def test_wrong_date(command):
    """A text that is not a date is an error with an example."""
    code, message, _ = read_failure(command(released="30.11.2026"))
    reason = "released: not a date, expected a date such as 2026-11-30"
    assert (3, f"this title can't be scored: {reason}") == (code, message)


def test_explanation(command):
    """Values are written as their texts: categories, dates, and missing."""
    lines = [line.split() for line in command("--explain", platform="", genre="Puzzle").out.splitlines()]
    values = {line[0]: line[1] for line in lines if line and line[0] in GOOD}
    expected = {"genre": "other", "platform": "missing", "publisher": "12", "released": "2020-01-01", "year": "2008"}
    assert expected.items() <= values.items()
