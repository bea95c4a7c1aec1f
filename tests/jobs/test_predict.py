"""One title, answered in dollars; what is missing, misspelt or not allowed is named."""

import math

import pytest

from gamesales.errors import ColumnsError, InputError, UsageError
from gamesales.jobs.predict import parse_title, predict
from gamesales.registry.refs import Ref
from support.runs import CONTRACT, GOOD, GOOD_EARNS, picky_version
from support.versions import FEATURES, INTERVAL, publish_simple, simple_details

TITLE = dict(zip(FEATURES, GOOD, strict=True))
CHAMPION = Ref("game-earnings", alias="champion")


def words(**changes):
    """The title as words of a command line; a change to None leaves one out."""
    return [f"{name}={value}" for name, value in {**TITLE, **changes}.items() if value is not None]


class TestParsing:
    def test_name_and_value(self):
        assert parse_title(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}

    def test_a_word_without_a_value_is_shown(self):
        with pytest.raises(UsageError) as failure:
            parse_title(["a=1", "is_action"])
        assert failure.value.message == "'is_action' is no name=value; expected, for example, critic_rating=4.5"

    def test_a_name_given_twice_is_shown(self):
        with pytest.raises(UsageError, match="'a=2' is given twice; expected, for example"):
            parse_title(["a=1", "a=2"])


class TestPredict:
    def test_by_the_formula(self, simple_registry):
        found = predict(simple_registry, CHAMPION, TITLE)
        assert (found.model, found.model_version) == ("game-earnings", 1)
        assert found.predicted_earnings == GOOD_EARNS
        assert not found.outside_training_range

    def test_flags_may_be_words_and_columns_in_any_order(self, simple_registry):
        title = dict(reversed({**TITLE, "is_action": "true", "is_sports": "False"}.items()))
        assert predict(simple_registry, CHAMPION, title).predicted_earnings == GOOD_EARNS

    def test_any_version_can_be_asked(self, simple_registry):
        publish_simple(simple_registry, bias=1000.0)
        assert predict(simple_registry, Ref("game-earnings", version=2), TITLE).predicted_earnings == GOOD_EARNS + 1000
        assert predict(simple_registry, CHAMPION, TITLE).predicted_earnings == GOOD_EARNS

    def test_a_title_unlike_the_training_titles_is_flagged(self, simple_registry):
        assert predict(simple_registry, CHAMPION, {**TITLE, "unit_price": "200"}).outside_training_range

    def test_everything_missing_or_misspelt_is_named_at_once(self, simple_registry):
        title = {name: value for name, value in TITLE.items() if name not in ("is_sports", "unit_price")}
        with pytest.raises(ColumnsError) as failure:
            predict(simple_registry, CHAMPION, {**title, "unit_prise": "60", "colour": "red"})
        assert failure.value.message == (
            "a title has 9 characteristics; missing: is_sports, unit_price; "
            "unknown: unit_prise (did you mean unit_price?); unknown: colour"
        )
        assert failure.value.hint.startswith("Give each once: critic_rating=… is_action=…")

    def test_every_value_that_is_not_allowed_is_named(self, simple_registry):
        with pytest.raises(InputError) as failure:
            predict(simple_registry, CHAMPION, {**TITLE, "critic_rating": "6", "is_action": "", "unit_price": "cheap"})
        assert failure.value.message == (
            "this title can't be scored: critic_rating: out of range, allowed: 0 to 5; is_action: missing; "
            "unit_price: not a number"
        )

    def test_a_prediction_that_is_no_number_is_told(self, simple_registry):
        details = simple_details(CONTRACT)
        details["golden"] = {"values": [[1] * 9], "expected_predictions": [-1 / 12], "prediction_tolerance": [0.01]}
        number = simple_registry.publish({"scorer.onnx": picky_version(forbidden=13.0)}, details, "for a test")
        ref = Ref("game-earnings", version=number)
        assert math.isfinite(predict(simple_registry, ref, {**TITLE, "unit_price": "14"}).predicted_earnings)
        with pytest.raises(InputError, match="the prediction is not a finite number"):
            predict(simple_registry, ref, {**TITLE, "unit_price": "13"})


class TestCommand:
    def test_in_words(self, cli, simple_registry):
        ran = cli("predict", *words())
        assert (ran.code, ran.out, ran.err) == (0, "$5,700.00  by version 1 of game-earnings\n", "")

    def test_a_warning_for_a_title_unlike_the_others(self, cli, simple_registry):
        ran = cli("predict", *words(unit_price="199.5"))
        assert ran.out.splitlines() == [
            "$7,095.00  by version 1 of game-earnings",
            "(a characteristic lies outside what the version was trained on)",
        ]

    def test_as_a_document(self, cli, simple_registry):
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
        }

    def test_with_its_interval_where_the_version_gives_one(self, cli, simple_registry):
        publish_simple(simple_registry, interval=INTERVAL)
        ran = cli("predict", *words(), "--model", "2")
        assert ran.out == "$5,700.00 (90 %: $4,930 to $6,470)  by version 2 of game-earnings\n"
        document = cli("predict", *words(), "--model", "2", "--json").document
        keys = ("predicted_earnings_low", "predicted_earnings", "predicted_earnings_high", "coverage")
        assert [document[key] for key in keys] == [4930.0, 5700.0, 6470.0, 0.9]

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (words(unit_price=None, is_sports=None), 3, "missing: is_sports, unit_price"),
            (words(is_aktion="1", is_action=None), 3, "unknown: is_aktion (did you mean is_action?)"),
            (words(is_action="2"), 3, "is_action: out of range, allowed: 0 or 1"),
            ([*words(), "nonsense"], 2, "'nonsense' is no name=value"),
            ([*words(), "is_action=0"], 2, "'is_action=0' is given twice"),
            ([], 2, "Missing argument"),
            ([*words(), "--model", "7"], 4, "no version 7 of game-earnings in registry/; newest is 1"),
            ([*words(), "--model", "@none"], 4, "no version of game-earnings is none in registry/"),
            ([*words(), "--model", "newest"], 2, "'newest' names no version"),
            ([*words(), "--registry", "elsewhere"], 4, "no model game-earnings in elsewhere/"),
        ],
    )
    def test_what_is_wrong_is_said(self, cli, simple_registry, arguments, code, said):
        ran = cli("predict", *arguments)
        assert (code, "") == (ran.code, ran.out)
        assert said in ran.err
        assert "Traceback" not in ran.err
        assert said in cli("predict", *arguments, "--json").document["error"]["message"]
