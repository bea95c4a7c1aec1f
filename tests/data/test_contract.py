"""The contract: read from TOML, stored as JSON, and refused with the name of the wrong key."""

import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gamesales.data.contract import OUTPUT_COLUMNS, Column, Contract, read_toml
from gamesales.data.validation import explain_faults
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


def refuse(tmp_path, text):
    """Return the message that refuses a contract."""
    path = tmp_path / "contract.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JobFileError) as failure:
        Contract.from_toml(path)
    assert str(path) in failure.value.message
    return failure.value.message


def test_shipped_contract_has_course_columns(contract):
    """The shipped contract has the features, target and identity of the course."""
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
def test_allowed_values_in_words(column, allowed):
    """The allowed range of a column is described in words."""
    assert column.allowed == allowed


bounds = st.none() | st.floats(-1e6, 1e6)
names = st.text(min_size=1, max_size=8).filter(lambda name: name == name.strip() and name not in OUTPUT_COLUMNS)


@given(st.lists(names, min_size=2, max_size=5, unique=True), bounds, bounds)
@settings(deadline=None, max_examples=50)
def test_json_round_trip(columns, above, width):
    """A contract from the JSON of a bundle equals the original."""
    maximum = None if above is None or width is None else above + abs(width) + 1
    features = tuple(Column(name=name, kind="price", above=above, maximum=maximum) for name in columns[1:])
    contract = Contract(target=Column(name=columns[0], kind="money"), features=features)
    assert Contract.from_json(json.loads(json.dumps(contract.as_json()))) == contract


def test_contract_is_immutable(contract):
    """Contracts and columns are frozen."""
    with pytest.raises(FrozenInstanceError):
        contract.identity = ()
    with pytest.raises(FrozenInstanceError):
        contract.features[0].maximum = 100.0


class TestRefused:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ('kind = "price"', 'kind = "cost"', "features.0.kind: "),
            ('kind = "price"', 'kind = "cost"', 'received "cost"'),
            ("above = 0", 'above = "low"', "features.0.above: "),
            ("above = 0", "over = 0", "features.0.over: unknown key"),
            ('name = "unit_price"', "", "features.0.name: missing"),
            ('name = "unit_price"', 'name = ""', "must not be empty or padded, received ''"),
            ('name = "unit_price"', 'name = " unit_price"', "must not be empty or padded, received ' unit_price'"),
            ("above = 0", "above = 5\nmaximum = 5", "the range is empty: from 5.0 to 5.0"),
            ("above = 0", "minimum = 9\nmaximum = 5", "the range is empty: from 9.0 to 5.0"),
            ('kind = "price"', 'kind = "flag"', "a flag is 0 or 1 and takes no minimum, maximum or above"),
            (
                'name = "unit_price"',
                'name = "total_earnings"',
                "each column may appear once; duplicates: total_earnings",
            ),
            ("[target]", 'identity = ["a", "b", "a"]\n[target]', "duplicates: a"),
            ("[target]", 'colour = "red"\n[target]', "colour: unknown key"),
        ],
    )
    def test_wrong_key_is_named(self, tmp_path, old, new, expected):
        """The message names the key that is wrong and the value received."""
        assert old in SMALL
        assert expected in refuse(tmp_path, SMALL.replace(old, new))

    @pytest.mark.parametrize("name", OUTPUT_COLUMNS)
    def test_output_names_are_reserved(self, tmp_path, name):
        """A feature may not have the name of a column that scoring writes."""
        message = refuse(tmp_path, SMALL.replace('"unit_price"', f'"{name}"'))
        assert f"'{name}' is a column that scoring writes; choose another name" in message

    def test_all_wrong_keys_are_named(self, tmp_path):
        """One message names every wrong key."""
        message = refuse(tmp_path, SMALL.replace('kind = "price"', 'kind = "x"').replace('kind = "money"', ""))
        assert "target.kind: " in message
        assert "features.0.kind: " in message

    def test_no_features_are_refused(self, tmp_path):
        """A contract needs at least one feature."""
        text = 'features = []\n[target]\nname = "y"\nkind = "money"\n'
        assert "features: at least one column is needed" in refuse(tmp_path, text)

    def test_empty_file_is_refused(self, tmp_path):
        """An empty file lacks the target and the features."""
        message = refuse(tmp_path, "")
        assert "target: missing" in message
        assert "features: missing" in message

    def test_long_value_is_not_shown(self, tmp_path):
        """The message does not repeat a long value."""
        message = refuse(tmp_path, SMALL.replace('"price"', f'"{"x" * 500}"'))
        assert "xxx" not in message

    def test_missing_file_is_named(self, tmp_path):
        """The message names the missing file."""
        with pytest.raises(JobFileError, match=r"^no file .*nowhere\.toml$"):
            Contract.from_toml(tmp_path / "nowhere.toml")

    def test_toml_error_names_line(self, tmp_path):
        """An error of TOML syntax names the line."""
        assert "can't be read as TOML" in refuse(tmp_path, "[target\n")
        assert "line 3" in refuse(tmp_path, "a = 1\nb = 2\nc = \n")

    def test_byte_order_mark_is_skipped(self, tmp_path):
        """Editors of Windows write a byte order mark."""
        (tmp_path / "c.toml").write_bytes(b'\xef\xbb\xbfa = "x"\n')
        assert read_toml(tmp_path / "c.toml") == {"a": "x"}

    def test_binary_file_is_refused(self, tmp_path):
        """Bytes that are not text are not TOML."""
        (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(JobFileError, match="can't be read as TOML"):
            read_toml(tmp_path / "c.toml")

    def test_folder_is_refused(self, tmp_path):
        """A folder is not TOML."""
        with pytest.raises(JobFileError, match="can't be read as TOML"):
            read_toml(tmp_path)

    def test_error_of_whole_file(self):
        """An error of the whole document names the file instead of a key."""
        with pytest.raises(ValidationError) as failure:
            TypeAdapter(Contract).validate_python([])
        assert explain_faults(failure.value, Contract).startswith("the file: ")


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
def test_damaged_json_is_refused(contract, change):
    """JSON that no bundle contains is not a contract."""
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        Contract.from_json({**contract.as_json(), **change})


def test_shipped_contract_round_trip(contract):
    """The shipped contract from TOML equals its JSON round trip."""
    assert Contract.from_json(contract.as_json()) == Contract.from_toml(DATA / "contract.toml")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"kind": "category", "values": ("2006.0",)}, "'2006' instead of '2006.0'"),
        ({"kind": "category", "values": ("RPG", "")}, "different texts"),
        ({"kind": "date", "date_format": "%Y %Q"}, "expects a year"),
        ({"kind": "date", "date_format": "%Y-%Y"}, "expects a year"),
        ({"kind": "date", "date_format": "%%Y"}, "expects a year"),
    ],
)
def test_keys_that_no_cell_fits(keys, expected):
    """A value that no cell has, and a format that no date has, are refused instead of giving other values."""
    with pytest.raises(ValueError, match=expected):
        Column("x", **keys)


def test_value_is_no_missing_text():
    """A text can't be both a value of a category and a missing cell."""
    region = Column("region", "category", values=("EU", "NA"))
    with pytest.raises(ValueError, match="not both: NA"):
        Contract(Column("sales", "number"), (region,), missing_values=("NA",))
    with pytest.raises(ValueError, match="without blanks around them"):
        Contract(Column("sales", "number"), (Column("region", "category"),), missing_values=(" NA",))
