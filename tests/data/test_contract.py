"""What a table of titles is: read from TOML, kept as JSON, refused with the key that is wrong."""

import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gamesales.data.contract import OUTPUT_COLUMNS, Column, Contract, describe, read_toml
from gamesales.errors import JobFileError
from support.versions import DATA, FEATURES

SMALL = """
[target]
name = "total_earnings"
kind = "money"
[[features]]
name = "unit_price"
kind = "price"
above = 0
"""


def refused(tmp_path, text):
    path = tmp_path / "contract.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JobFileError) as failure:
        Contract.from_toml(path)
    assert str(path) in failure.value.message
    return failure.value.message


def test_the_shipped_contract_is_the_course_table(contract):
    assert contract.feature_names == FEATURES
    assert contract.target.name == "total_earnings"
    assert contract.identity == ("title_id",)


@pytest.mark.parametrize(
    ("column", "allowed"),
    [
        (Column(name="x", kind="flag"), "0 or 1"),
        (Column(name="x", kind="rating", minimum=0, maximum=5), "0 to 5"),
        (Column(name="x", kind="price", above=0), "above 0"),
        (Column(name="x", kind="price", above=0, maximum=99.5), "above 0 and 99.5 or less"),
        (Column(name="x", kind="money", minimum=0), "0 or more"),
        (Column(name="x", kind="money", maximum=7), "7 or less"),
        (Column(name="x", kind="money"), "any number"),
    ],
)
def test_the_allowed_values_are_told_in_words(column, allowed):
    assert column.allowed == allowed


bounds = st.none() | st.floats(-1e6, 1e6)
names = st.text(min_size=1, max_size=8).filter(lambda name: name == name.strip() and name not in OUTPUT_COLUMNS)


@given(st.lists(names, min_size=2, max_size=5, unique=True), bounds, bounds)
@settings(deadline=None, max_examples=50)
def test_what_a_bundle_keeps_is_the_contract_again(columns, above, width):
    """The two ways in, TOML by people and JSON from the manifest, give equal contracts."""
    maximum = None if above is None or width is None else above + abs(width) + 1
    features = tuple(Column(name=name, kind="price", above=above, maximum=maximum) for name in columns[1:])
    contract = Contract(target=Column(name=columns[0], kind="money"), features=features)
    assert Contract.from_json(json.loads(json.dumps(contract.as_json()))) == contract


def test_a_contract_can_not_be_changed(contract):
    with pytest.raises(FrozenInstanceError):
        contract.identity = ()
    with pytest.raises(FrozenInstanceError):
        contract.features[0].maximum = 100.0


class TestRefused:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('kind = "price"', 'kind = "cost"', "features.0.kind: "),
            ('kind = "price"', 'kind = "cost"', "(received 'cost')"),
            ("above = 0", 'above = "low"', "features.0.above: "),
            ("above = 0", "over = 0", "features.0.over: Extra inputs"),
            ('name = "unit_price"', "", "features.0.name: Field required"),
            ('name = "unit_price"', 'name = ""', "must not be empty or padded, received ''"),
            ('name = "unit_price"', 'name = " unit_price"', "must not be empty or padded, received ' unit_price'"),
            ("above = 0", "above = 5\nmaximum = 5", "the range is empty: from 5.0 to 5.0"),
            ("above = 0", "minimum = 9\nmaximum = 5", "the range is empty: from 9.0 to 5.0"),
            ('kind = "price"', 'kind = "flag"', "a flag is 0 or 1 and takes no minimum, maximum or above"),
            ('name = "unit_price"', 'name = "total_earnings"', "each column may appear once; doubled: total_earnings"),
            ("[target]", 'identity = ["a", "b", "a"]\n[target]', "doubled: a"),
            ("[target]", 'colour = "red"\n[target]', "colour: Extra inputs"),
        ],
    )
    def test_the_key_that_is_wrong_is_named(self, tmp_path, old, new, said):
        assert old in SMALL
        assert said in refused(tmp_path, SMALL.replace(old, new))

    @pytest.mark.parametrize("name", OUTPUT_COLUMNS)
    def test_a_feature_may_not_have_the_name_of_a_result(self, tmp_path, name):
        message = refused(tmp_path, SMALL.replace('"unit_price"', f'"{name}"'))
        assert f"'{name}' is a column that scoring writes; choose another name" in message

    def test_every_wrong_key_is_named_at_once(self, tmp_path):
        message = refused(tmp_path, SMALL.replace('kind = "price"', 'kind = "x"').replace('kind = "money"', ""))
        assert "target.kind: " in message
        assert "features.0.kind: " in message

    def test_no_features_at_all(self, tmp_path):
        text = 'features = []\n[target]\nname = "y"\nkind = "money"\n'
        assert "features: at least one column is needed" in refused(tmp_path, text)

    def test_an_empty_file_lacks_target_and_features(self, tmp_path):
        message = refused(tmp_path, "")
        assert "target: Field required" in message
        assert "features: Field required" in message

    def test_a_long_value_is_not_repeated(self, tmp_path):
        message = refused(tmp_path, SMALL.replace('"price"', f'"{"x" * 500}"'))
        assert "xxx" not in message

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(JobFileError, match=r"^no file .*nowhere\.toml$"):
            Contract.from_toml(tmp_path / "nowhere.toml")

    def test_what_is_no_toml_is_told_with_its_line(self, tmp_path):
        assert "can't be read as TOML" in refused(tmp_path, "[target\n")
        assert "line 3" in refused(tmp_path, "a = 1\nb = 2\nc = \n")

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(JobFileError, match="can't be read as TOML"):
            read_toml(tmp_path / "c.toml")

    def test_a_folder_in_the_place_of_the_file(self, tmp_path):
        with pytest.raises(JobFileError, match="can't be read as TOML"):
            read_toml(tmp_path)

    def test_a_fault_of_the_whole_is_told_without_a_key(self):
        with pytest.raises(ValidationError) as failure:
            TypeAdapter(Contract).validate_python([])
        assert describe(failure.value).startswith("the file: ")


@pytest.mark.parametrize(
    "change",
    [
        {"identity": [1]},
        {"target": None},
        {"features": []},
        {"features": [{"name": "x", "kind": "price", "over": 0}]},
        {"features": [{"name": "x", "kind": "cost"}]},
        {"features": [{"name": 7, "kind": "price"}]},
        {"features": [{"name": "x", "kind": "price", "above": "0"}]},
        {"features": [{"name": "x", "kind": "price", "above": True}]},
    ],
)
def test_what_no_bundle_keeps_is_no_contract(contract, change):
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        Contract.from_json({**contract.as_json(), **change})


def test_the_shipped_contract_survives_the_bundle(contract):
    assert Contract.from_json(contract.as_json()) == Contract.from_toml(DATA / "contract.toml")
