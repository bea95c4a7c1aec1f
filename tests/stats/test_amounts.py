"""Amounts as text: dollars as before, and other units with digits that suit their magnitude."""

from dataclasses import asdict, dataclass
from threading import Thread

import pytest

from gamesales.data.contract import Column, Contract
from gamesales.report.format import (
    format_compact_money,
    format_money,
    format_range,
    format_signed_money,
    format_value,
)
from gamesales.stats.amounts import (
    DOLLARS,
    InUnit,
    amounts_in,
    format_amount,
    get_unit,
    keeps_unit,
    label_amounts,
    name_unit,
    read_unit,
    set_unit,
    unit_of,
)
from gamesales.stats.metrics import format_metrics


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (1234.4, DOLLARS, "$1,234"),
        (-0.4, DOLLARS, "-$0"),
        (0.388, "million units", "0.388 million units"),
        (0.0003881, "million units", "0.000388 million units"),
        (-12.345, "hours", "-12.3 hours"),
        (123456.7, "EUR", "123,457 EUR"),
        (3.21e-9, "EUR", "3.21e-09 EUR"),
        (0.0, "hours", "0 hours"),
        (0.388, "", "0.388"),
    ],
)
def test_digits(amount, unit, text):
    """A small amount is not rounded to 0, and a large one has no decimals."""
    with amounts_in(unit):
        assert text == format_amount(amount)


def test_pages():
    """Pages write a typographic minus, and the amounts of a figure alike."""
    with amounts_in("hours"):
        assert "−0.500 hours" == format_money(-0.5)
        assert ("−0.400 hours", "0 hours") == (format_money(-0.4, [1000.0]), format_money(-1e-9, [1000.0]))
        assert "+0.500 hours" == format_signed_money(0.5)
        assert ("+0.400 hours", "0 hours") == (format_signed_money(0.4, [1000.0]), format_signed_money(1e-9, [1000.0]))
        assert "0.012 hours to 1.000 hours" == format_range((0.012, 0.9999))
        assert ("2.5k", "Average error, hours") == (format_compact_money(2500.0), label_amounts("Average error"))
    with amounts_in(""):
        assert ("−0.500", "Average error") == (format_money(-0.5), label_amounts("Average error"))
    assert ("$2.5k", "Average error") == (format_compact_money(2500.0), label_amounts("Average error"))


def test_values_of_columns():
    """A value has the unit of its column, whatever the unit of the target is."""
    with amounts_in("hours"):
        assert "$59.99" == format_value(59.99, Column("price", "price", DOLLARS))
        assert "$120k" == format_value(120_000.0, Column("budget", "money"))
    assert "59.99 EUR" == format_value(59.99, Column("price", "price", "EUR"))
    assert "120,000 units" == format_value(120_000.0, Column("sold", "number", "units"))


def test_unit_of_contract():
    """Money without a unit is in dollars, as it always was. A number without a unit has none."""
    features = (Column("rating", "rating"),)
    assert "hours" == Contract(Column("played", "number", "hours"), features).unit
    assert (DOLLARS, "") == (name_unit("", "money"), name_unit("", "number"))
    contract = Contract(Column("earnings", "money", "EUR"), features)
    assert ("EUR", "EUR") == (contract.unit, read_unit({"contract": contract.as_json()}))
    assert (DOLLARS, DOLLARS) == (read_unit({}), read_unit({"contract": {"target": None}}))


@dataclass(frozen=True)
class _Error(InUnit):
    mae: float


def test_result_keeps_unit():
    """A result is written in the unit in which it was made. Its JSON has no unit, and it equals the same result."""

    @keeps_unit
    def measure():
        set_unit("hours")
        return _Error(0.5)

    result = measure()
    assert (DOLLARS, "hours", {"mae": 0.5}) == (get_unit(), unit_of(result), asdict(result))
    assert ["-", "0.500 hours", "-", "-", "-"] == format_metrics(asdict(result), result)
    assert ["-", "$0", "-", "-", "-"] == format_metrics(asdict(result))
    assert _Error(0.5) == result


def test_threads_do_not_share_units():
    """The unit of one thread is not the unit of another."""
    units = []
    with amounts_in("hours"):
        thread = Thread(target=lambda: units.append(get_unit()))
        thread.start()
        thread.join()
    assert [DOLLARS] == units
