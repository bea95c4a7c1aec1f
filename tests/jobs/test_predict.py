"""The prediction for one title, and errors that name missing, misspelled and wrong values."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from jsonschema import validate

from gamesales.errors import ColumnsError, InputError, UsageError
from gamesales.jobs.predict import parse_title, predict
from gamesales.registry.refs import Ref
from gamesales.scoring.reference_titles import REFERENCES_FILE
from support.runs import CONTRACT, GOOD, GOOD_EARNS, picky_version, read_failure
from support.versions import (
    FEATURES,
    INTERVAL,
    NEW_RECORD,
    ROOT,
    SIMPLE_WEIGHTS,
    publish_simple,
    simple_details,
    title_values,
)

TITLE = dict(zip(FEATURES, GOOD, strict=True))
CHAMPION = Ref("game-earnings", alias="champion")


def words(**changes):
    """Return the title as words of a command line. A change to None leaves a feature out."""
    return [f"{name}={value}" for name, value in {**TITLE, **changes}.items() if value is not None]


class TestParsing:
    def test_name_and_value(self):
        """A word is a name and a value, split at the first =."""
        assert parse_title(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}

    def test_word_without_value(self):
        """A word without a value is named."""
        with pytest.raises(UsageError) as failure:
            parse_title(["a=1", "is_action"])
        assert failure.value.message == "'is_action' is no name=value; expected, for example, critic_rating=4.5"

    def test_duplicate_name(self):
        """A duplicate name is named."""
        with pytest.raises(UsageError, match="'a=2' is given twice; expected, for example"):
            parse_title(["a=1", "a=2"])


class TestPredict:
    def test_prediction(self, simple_registry):
        """The prediction follows the formula of the version."""
        prediction = predict(simple_registry, CHAMPION, TITLE)
        assert (prediction.model, prediction.model_version) == ("game-earnings", 1)
        assert prediction.predicted_earnings == GOOD_EARNS
        assert not prediction.outside_training_range

    def test_flags_and_order(self, simple_registry):
        """Flags may be words, and features may come in any order."""
        title = dict(reversed({**TITLE, "is_action": "true", "is_sports": "False"}.items()))
        assert predict(simple_registry, CHAMPION, title).predicted_earnings == GOOD_EARNS

    def test_any_version(self, simple_registry):
        """Any version can predict."""
        publish_simple(simple_registry, bias=1000.0)
        assert predict(simple_registry, Ref("game-earnings", version=2), TITLE).predicted_earnings == GOOD_EARNS + 1000
        assert predict(simple_registry, CHAMPION, TITLE).predicted_earnings == GOOD_EARNS

    def test_outside_training_range(self, simple_registry):
        """A title outside the training range is flagged."""
        assert predict(simple_registry, CHAMPION, {**TITLE, "unit_price": "200"}).outside_training_range

    def test_missing_and_misspelled_features(self, simple_registry):
        """One error names all missing and misspelled features."""
        title = {name: value for name, value in TITLE.items() if name not in ("is_sports", "unit_price")}
        with pytest.raises(ColumnsError) as failure:
            predict(simple_registry, CHAMPION, {**title, "unit_prise": "60", "colour": "red"})
        assert failure.value.message == (
            "a title has 9 features; missing: is_sports, unit_price; "
            "unknown: unit_prise (did you mean unit_price?); unknown: colour"
        )
        assert failure.value.hint.startswith("Give each feature once: critic_rating=… is_action=…")

    def test_values_not_allowed(self, simple_registry):
        """One error names all values that the contract does not allow."""
        with pytest.raises(InputError) as failure:
            predict(simple_registry, CHAMPION, {**TITLE, "critic_rating": "6", "is_action": "", "unit_price": "cheap"})
        assert failure.value.message == (
            "this title can't be scored: critic_rating: out of range, allowed: 0 to 5; is_action: missing; "
            "unit_price: not a number"
        )

    def test_prediction_not_finite(self, simple_registry):
        """A prediction that is not finite is an error."""
        details = simple_details(CONTRACT)
        details["golden"] = {"values": [[1] * 9], "expected_predictions": [-1 / 12], "prediction_tolerance": [0.01]}
        number = simple_registry.publish({"scorer.onnx": picky_version(forbidden=13.0)}, details, "for a test")
        ref = Ref("game-earnings", version=number)
        assert math.isfinite(predict(simple_registry, ref, {**TITLE, "unit_price": "14"}).predicted_earnings)
        with pytest.raises(InputError, match="the prediction is not a finite number"):
            predict(simple_registry, ref, {**TITLE, "unit_price": "13"})


class TestExplanation:
    @pytest.fixture
    def command(self, cli, simple_registry):
        """Explain the title with a version that has 40 reference titles."""
        publish_simple(simple_registry, references=title_values(40, seed=2))
        return lambda *more, **changes: cli("predict", *words(**changes), "--model", "2", "--explain", *more)

    def test_text(self, command):
        """The effects are listed, largest first, with the values; the mean and the sum follow."""
        lines = [line.split() for line in command().out.splitlines()]
        assert ["$5,700.00", "by", "version", "2", "of", "game-earnings"] == lines[0]
        assert [[], ["column", "value", "effect"]] == lines[1:3]
        assert ["critic_rating", "4.5", "stars", "+$1,000"] == lines[3]
        assert ["suitable_for_kids", "no", "-$315"] == lines[4]
        assert ["mean", "of", "40", "reference", "titles", "$5,387"] == lines[-2]
        assert ["sum", "=", "prediction", "$5,700"] == lines[-1]
        assert 14 == len(lines)

    def test_document(self, command):
        """The document follows its schema. Each effect of a sum is the difference from the mean of its column."""
        document = command("--json").document
        validate(document, json.loads((ROOT / "docs/reference/predict.schema.json").read_bytes()))
        explanation = document["explanation"]
        effects = {effect["column"]: effect["effect"] for effect in explanation["effects"]}
        differences = np.array(GOOD, float) - title_values(40, seed=2).mean(axis=0)
        expected = dict(zip(FEATURES, differences * SIMPLE_WEIGHTS, strict=True))
        assert effects == pytest.approx(expected, abs=1e-3)  # prices are exact in float32 only
        assert explanation["mean"] + sum(effects.values()) == pytest.approx(document["predicted_earnings"])
        assert (40, "US dollars") == (explanation["reference_titles"], explanation["unit"])
        assert {None} == {effect["standard_error"] for effect in explanation["effects"]}

    def test_version_without_reference_titles(self, cli, simple_registry):
        """A version of an earlier release, or one whose job opted out, says so and what to type. It still predicts."""
        publish_simple(simple_registry, record={"reference_titles": 0})
        for number, reason, hint in (
            (1, "an earlier release trained it", "Train a version with this release: gamesales train"),
            (2, "its job has reference_titles = 0", "Remove this key from the job, then: gamesales train"),
        ):
            code, message, found_hint = read_failure(cli("predict", *words(), "--model", number, "--explain"))
            start = (
                f"version {number} of game-earnings can't explain its predictions, because it has no reference titles"
            )
            assert (4, f"{start}: {reason}", hint) == (code, message, found_hint)
            assert 0 == cli("predict", *words(), "--model", number).code

    @pytest.mark.parametrize("registry", ["registry-1", "registry-2"])
    def test_frozen_version(self, cli, registry):
        """Versions of earlier releases predict, and can't be explained."""
        command = ["predict", *words(), "--model", "1", "--registry", ROOT / "tests/frozen" / registry]
        assert 0 == cli(*command).code
        assert 4 == cli(*command, "--explain").code

    def test_changed_reference_titles(self, command, simple_registry):
        """A changed byte of the reference titles is an error. Without --explain, nobody reads them."""
        bundle = simple_registry.open_bundle(simple_registry.find_version(2))
        path = Path(bundle.location) / REFERENCES_FILE
        path.write_bytes(path.read_bytes().replace(b"59.99", b"59.98", 1))
        code, message, _ = read_failure(command())
        assert (4, True) == (code, f"{REFERENCES_FILE} was changed: expected sha256 " in message)


class TestCommand:
    def test_text(self, cli, simple_registry):
        """The command prints the prediction and the version."""
        ran = cli("predict", *words())
        assert (ran.code, ran.out, ran.err) == (0, "$5,700.00  by version 1 of game-earnings\n", "")

    def test_text_outside_training_range(self, cli, simple_registry):
        """The command names each value outside the training range."""
        ran = cli("predict", *words(unit_price="199.5", critic_rating="0.7"))
        assert ran.out.splitlines() == [
            "$3,295.00  by version 1 of game-earnings",
            "(critic_rating is 0.7, outside the range of the training titles: 2 to 5)",
            "(unit_price is 199.5, outside the range of the training titles: 30 to 70)",
        ]
        document = cli("predict", *words(unit_price="199.5"), "--json").document
        assert document["outside"] == [
            {"column": "unit_price", "value": 199.5, "training_minimum": 30.0, "training_maximum": 70.0}
        ]

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"is_portable": "1"}, "(no training title had this combination of flags)"),
            ({"unit_price": "500"}, "(no prediction interval: the title is too unlike the training titles)"),
        ],
    )
    def test_unfamiliar_title(self, cli, simple_registry, changes, line):
        """A version that recorded its training titles says why a title is unfamiliar."""
        publish_simple(simple_registry, record=NEW_RECORD)
        ran = cli("predict", *words(**changes), "--model", "2")
        assert ran.out.splitlines()[-1] == line
        document = cli("predict", *words(**changes), "--model", "2", "--json").document
        assert document["unfamiliar"]
        assert (document["predicted_earnings_low"] is None) == ("unit_price" in changes)
        assert not cli("predict", *words(), "--model", "2", "--json").document["unfamiliar"]

    def test_clipped_prediction(self, cli, simple_registry):
        """A prediction below the target's minimum is the minimum, and the command says so."""
        publish_simple(simple_registry, bias=-9_000.0)
        ran = cli("predict", *words(), "--model", "2")
        assert ran.out.splitlines()[0] == "$0.00  by version 2 of game-earnings"
        assert "a value that the target can't have" in ran.out
        assert cli("predict", *words(), "--model", "2", "--json").document["clipped"]

    def test_json_document(self, cli, simple_registry):
        """--json prints one document."""
        ran = cli("predict", *words(), "--json")
        assert (ran.code, ran.err) == (0, "")
        assert ran.document == {
            "model": "game-earnings",
            "model_version": 1,
            "predicted_earnings": 5700.0,
            "predicted_earnings_low": None,
            "predicted_earnings_high": None,
            "coverage": None,
            "outside_training_range": False,
            "unfamiliar": None,
            "outside": [],
            "unseen": [],
            "clipped": False,
            "explanation": None,
        }

    def test_prediction_interval(self, cli, simple_registry):
        """A version with intervals adds the prediction interval."""
        publish_simple(simple_registry, interval=INTERVAL)
        ran = cli("predict", *words(), "--model", "2")
        assert ran.out == "$5,700.00 (90%: $4,930 to $6,470)  by version 2 of game-earnings\n"
        document = cli("predict", *words(), "--model", "2", "--json").document
        keys = ("predicted_earnings_low", "predicted_earnings", "predicted_earnings_high", "coverage")
        assert [document[key] for key in keys] == [4930.0, 5700.0, 6470.0, 0.9]

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (words(unit_price=None, is_sports=None), 3, "missing: is_sports, unit_price"),
            (words(is_aktion="1", is_action=None), 3, "unknown: is_aktion (did you mean is_action?)"),
            (words(is_action="2"), 3, "is_action: out of range, allowed: 0 or 1"),
            ([*words(), "nonsense"], 2, "'nonsense' is no name=value"),
            ([*words(), "is_action=0"], 2, "'is_action=0' is given twice"),
            ([], 2, "NAME=VALUE is missing"),
            ([*words(), "--model", "7"], 4, "no version 7 of game-earnings in registry/; newest is 1"),
            ([*words(), "--model", "@none"], 4, "no version of game-earnings is none in registry/"),
            ([*words(), "--model", "newest"], 4, "no version of game-earnings is newest in registry/"),
            ([*words(), "--model", "latest"], 2, "'latest' names no version"),
            ([*words(), "--registry", "elsewhere"], 4, "/elsewhere: there is no such folder"),
        ],
    )
    def test_errors(self, cli, simple_registry, arguments, code, message):
        """Errors have an exit code and name what is wrong, as text and as JSON."""
        ran = cli("predict", *arguments)
        assert (code, "") == (ran.code, ran.out)
        assert message in ran.err
        assert "Traceback" not in ran.err
        assert message in cli("predict", *arguments, "--json").document["error"]["message"]
