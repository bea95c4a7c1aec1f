"""The words in the name of a column, and the quantities and units that they name.

split_words("User_Score")    →  ["user", "score"]
split_words("releaseDate")   →  ["release", "date"]
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[$€£%]")

ID_WORDS = _words("id ids uuid guid key sku isbn asin ean upc url link slug index row rowid number no nr")
TITLE_WORDS = _words("name title")
# Integers with such a name are codes.
CODE_WORDS = _words("id code zip postal plz category class type kind genre group region")
RATING_WORDS = _words("rating score stars metascore")
PRICE_WORDS = _words("price msrp rrp fee fare")
MONEY_WORDS = _words(
    "earnings earned revenue revenues gross income turnover budget cost costs salary profit "
    "money usd eur gbp dollars euros amount"
)
DATE_WORDS = _words("date day released release launched launch published time timestamp")
RANK_WORDS = _words("rank ranking position")
# The unit that a word of the name stands for. Sales have none: they may be units, millions or dollars.
_UNITS = {
    "minutes": "minutes",
    "minute": "minutes",
    "min": "minutes",
    "mins": "minutes",
    "hours": "hours",
    "hour": "hours",
    "hrs": "hours",
    "days": "days",
    "weeks": "weeks",
    "months": "months",
    "years": "years",
    "year": "year",
    "kg": "kg",
    "grams": "g",
    "km": "km",
    "miles": "miles",
    "meters": "m",
    "cm": "cm",
    "percent": "percent",
    "pct": "percent",
    "%": "percent",
    "votes": "votes",
    "reviews": "reviews",
    "ratings": "ratings",
    "pages": "pages",
    "players": "players",
    "downloads": "downloads",
    "owners": "owners",
    "millions": "millions",
    "mio": "millions",
    "thousands": "thousands",
}
# Only whole numbers have these units: others may be millions.
_COUNTED_UNITS = {"units": "units", "copies": "copies", "sold": "units"}
_CURRENCIES = {
    "usd": "US dollars",
    "dollars": "US dollars",
    "$": "US dollars",
    "eur": "euros",
    "euro": "euros",
    "euros": "euros",
    "€": "euros",
    "gbp": "pounds",
    "pounds": "pounds",
    "£": "pounds",
    "jpy": "yen",
    "yen": "yen",
}
_DEFAULT_CURRENCY = "US dollars"


def split_words(name: str) -> list[str]:
    """Return the words of a name in lower case: ``user_score``, ``UserScore`` and ``User Score`` have two."""
    return [word.lower() for word in _WORD.findall(name)]


def has_word(name: str, words: frozenset[str]) -> bool:
    """Return whether a name has one of some words."""
    return not words.isdisjoint(split_words(name))


def ends_in_word(name: str, words: frozenset[str]) -> bool:
    """Return whether the last word of a name is one of some words. The last word is usually the noun."""
    return bool(split_words(name)) and split_words(name)[-1] in words


def guess_unit(name: str, *, is_money: bool = False, is_whole: bool = False) -> str:
    """Return the unit that the name of a column stands for, empty if it names none.

    Args:
        name: the name.
        is_money: whether the values are amounts of money. Without a currency in the name they are US dollars.
        is_whole: whether all values are whole numbers.
    """
    words = split_words(name)
    currencies = [_CURRENCIES[word] for word in words if word in _CURRENCIES]
    if currencies or is_money:
        return currencies[0] if currencies else _DEFAULT_CURRENCY
    units = [_UNITS[word] for word in words if word in _UNITS]
    if not units and is_whole:
        units = [_COUNTED_UNITS[word] for word in words if word in _COUNTED_UNITS]
    return units[-1] if units else ""
