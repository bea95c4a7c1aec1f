"""The contract: the columns of a table of titles, and their allowed values.

People write it as ``data/contract.toml``. Every bundle has a copy in JSON, which scoring reads. ``Contract.from_toml``
validates with Pydantic, which names the wrong keys. ``Contract.from_json`` does not load Pydantic, so scoring starts
faster.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gamesales.data.column_rules import check_column
from gamesales.errors import JobFileError
from gamesales.stats.amounts import name_unit

if TYPE_CHECKING:
    from pydantic import ConfigDict

_STRICT: ConfigDict = {"extra": "forbid"}

ColumnKind = Literal["rating", "flag", "price", "money", "number", "category", "date"]
# The kinds without a range, with their allowed values in words.
_ALLOWED = {"flag": "0 or 1", "category": "any text", "date": "a date such as 2026-11-30"}
# A manifest has these keys for each column, and further keys only if they are set.
_FIRST_KEYS = ("name", "kind", "unit", "minimum", "maximum", "above", "description")

# Columns that scoring adds. An input must not have columns with these names.
PREDICTION_COLUMN = "predicted_earnings"
LOW_COLUMN = "predicted_earnings_low"
HIGH_COLUMN = "predicted_earnings_high"
OUTSIDE_COLUMN = "outside_training_range"
VERSION_COLUMN = "model_version"
OUTPUT_COLUMNS = (PREDICTION_COLUMN, LOW_COLUMN, HIGH_COLUMN, OUTSIDE_COLUMN, VERSION_COLUMN)
# Only versions that recorded the combinations of flags in training write it. Inputs of older versions may have it.
UNFAMILIAR_COLUMN = "unfamiliar"


@dataclass(frozen=True)
class Column:
    """A column: its kind, its unit, its allowed values, and its rules for missing and unseen values.

    ``minimum`` and ``maximum`` are inclusive, ``above`` is exclusive. A flag is 0 or 1.

    Attributes:
        missing: what becomes of a missing cell. It rejects the row, or becomes the mean, the median or a value, or a
            category of its own.
        encoding: how a number enters the network: scaled to 0..1, or by pieces between the quantiles of training.
        scale: of the target: scaled to 0..1 as it is, or after a logarithm.
        values: of a category: its texts. Training learns them if the contract lists none.
        min_count: of a category: how many training titles a text needs. Rarer texts are unseen values.
        unseen: of a category: whether an unseen value becomes ``other`` or rejects its row.
        date_format: of a date in text, such as ``%d/%m/%Y``; empty for ISO 8601.

    Raises:
        ValueError: an attribute has the wrong type, does not belong to the kind, or the range is empty.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    name: str
    kind: ColumnKind
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    description: str = ""
    missing: str | float = "reject"
    encoding: Literal["minmax", "quantiles"] = "minmax"
    scale: Literal["minmax", "log"] = "minmax"
    values: tuple[str, ...] = ()
    min_count: int = 5
    unseen: Literal["other", "reject"] = "other"
    date_format: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        check_column(self)

    @property
    def may_be_missing(self) -> bool:
        """Whether a missing cell is accepted."""
        return self.missing != "reject"

    def as_json(self) -> dict[str, Any]:
        """Return the keys as a manifest stores them. Newer keys are left out if they are not set."""
        fields = self.__dataclass_fields__
        document = {
            key: value
            for key, value in vars(self).items()
            if value is not None and (key in _FIRST_KEYS or value != fields[key].default)
        }
        return {**document, **({"values": list(self.values)} if self.values else {})}

    @property
    def allowed(self) -> str:
        """The allowed values in words, such as ``0 to 5``, ``above 0`` or ``0 or 1``."""
        if self.kind == "date" and self.date_format:
            return f"a date such as {date(2026, 11, 30).strftime(self.date_format)}"
        if self.kind == "category" and self.values and self.unseen == "reject":
            return f"one of {len(self.values):,} values"
        if self.kind in _ALLOWED:
            return _ALLOWED[self.kind]
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        parts = []
        if self.above is not None:
            parts.append(f"above {self.above:g}")
        if self.minimum is not None:
            parts.append(f"{self.minimum:g} or more")
        if self.maximum is not None:
            parts.append(f"{self.maximum:g} or less")
        return " and ".join(parts) or "any number"


@dataclass(frozen=True)
class Contract:
    """The columns of a table: the target, the features in the order of the network's inputs, and the identity.

    ``missing_values`` lists the texts that stand for a missing cell, such as ``N/A``. An empty cell is always missing.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    target: Column
    features: tuple[Column, ...]
    identity: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("features: at least one column is needed")
        if self.target.kind in ("category", "date") or self.target.may_be_missing:
            raise ValueError(f"the target must be a number in every row, and {self.target.name} may be something else")
        if self.target.encoding != "minmax" or any(column.scale != "minmax" for column in self.features):
            raise ValueError("scale is a key of the target, and encoding is a key of features")
        if padded := [text for text in self.missing_values if text != text.strip()]:
            raise ValueError(f"missing_values expects texts without blanks around them, received {padded}")
        both = sorted({value for column in self.features for value in column.values if value in self.missing_values})
        if both:
            raise ValueError(f"a text is a value or a missing cell, and not both: {', '.join(both)}")
        names = [*self.feature_names, self.target.name, *self.identity]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"each column may appear once; duplicates: {', '.join(duplicates)}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.features)

    @property
    def number_names(self) -> tuple[str, ...]:
        """The features that a reader may parse as numbers: all but categories and dates."""
        return tuple(column.name for column in self.features if column.kind not in ("category", "date"))

    @property
    def unit(self) -> str:
        """The unit of the target, such as ``US dollars``, which texts write with its amounts."""
        return name_unit(self.target.unit, self.target.kind)

    @classmethod
    def from_toml(cls, path: Path) -> Contract:
        """Read a contract from a TOML file.

        Raises:
            JobFileError: the file is missing, is not TOML, or is not a contract. The message names the key.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(read_toml(path))
        except ValidationError as error:
            from gamesales.data.validation import explain_faults

            raise JobFileError(
                f"{path} is not a contract: {explain_faults(error, cls, path)}", hint="See docs/reference/contract.md"
            ) from None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Contract:
        """Read a contract from the manifest of a bundle.

        Args:
            document: the result of ``as_json``.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: the document is not a contract.
        """
        identity, missing_values = document["identity"], document.get("missing_values", [])
        if not all(isinstance(name, str) for name in [*identity, *missing_values]):
            raise ValueError("the names of identity columns and the missing values must be text")
        features = tuple(Column(**feature) for feature in document["features"])
        return cls(Column(**document["target"]), features, tuple(identity), tuple(missing_values))

    def as_json(self) -> dict[str, Any]:
        """Return the contract as a manifest stores it."""
        document = {
            "identity": list(self.identity),
            "target": self.target.as_json(),
            "features": [column.as_json() for column in self.features],
        }
        return document | ({"missing_values": list(self.missing_values)} if self.missing_values else {})


def read_toml(path: Path) -> dict[str, object]:
    """Parse a TOML file.

    Raises:
        JobFileError: the file is missing or is not TOML. The message names the line.
    """
    text = ""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors write a byte order mark
        return tomllib.loads(text)
    except FileNotFoundError:
        hint = "Give the path of an existing file" + ("" if path.is_absolute() else f"; there is no {path.absolute()}")
        raise JobFileError(f"no file {path}", hint=hint) from None
    except tomllib.TOMLDecodeError as error:
        from gamesales.data.validation import explain_syntax

        raise explain_syntax(path, text, error) from None
    except (UnicodeDecodeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise JobFileError(f"{path} can't be read as TOML: {reason}") from None
