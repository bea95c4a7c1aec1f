"""The contract: the columns of a table of titles, and their allowed values.

People write it as ``data/contract.toml``. Every bundle has a copy in JSON, which scoring reads. ``Contract.from_toml``
validates with Pydantic, which names the wrong keys. ``Contract.from_json`` does not load Pydantic, so scoring starts
faster.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from gamesales.errors import JobFileError

if TYPE_CHECKING:
    from pydantic import ConfigDict

_STRICT: ConfigDict = {"extra": "forbid"}

ColumnKind = Literal["rating", "flag", "price", "money"]

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
    """A column: its kind, its unit, and the range of its allowed values.

    ``minimum`` and ``maximum`` are inclusive, ``above`` is exclusive. A flag is 0 or 1.

    Raises:
        ValueError: an attribute has the wrong type, or the range is empty.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    name: str
    kind: ColumnKind
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    description: str = ""

    def __post_init__(self) -> None:
        texts = (self.name, self.unit, self.description)
        bounds = (self.minimum, self.maximum, self.above)
        if not all(isinstance(text, str) for text in texts) or self.kind not in get_args(ColumnKind):
            raise ValueError(f"expected text, and a kind of {', '.join(get_args(ColumnKind))}, received {self}")
        if any(bound is not None and type(bound) not in (int, float) for bound in bounds):
            raise ValueError(f"expected bounds that are numbers, received {self}")
        if not self.name or self.name != self.name.strip():
            raise ValueError(f"a column's name must not be empty or padded, received {self.name!r}")
        if self.name in OUTPUT_COLUMNS:
            raise ValueError(f"{self.name!r} is a column that scoring writes; choose another name")
        if self.kind == "flag" and bounds != (None, None, None):
            raise ValueError("a flag is 0 or 1 and takes no minimum, maximum or above")
        lowest = max((bound for bound in (self.minimum, self.above) if bound is not None), default=None)
        if lowest is not None and self.maximum is not None and lowest >= self.maximum:
            raise ValueError(f"the range is empty: from {lowest} to {self.maximum}")

    @property
    def allowed(self) -> str:
        """The allowed values in words, such as ``0 to 5``, ``above 0`` or ``0 or 1``."""
        if self.kind == "flag":
            return "0 or 1"
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
    """The columns of a table: the target, the features in the order of the network's inputs, and the identity."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    target: Column
    features: tuple[Column, ...]
    identity: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("features: at least one column is needed")
        names = [*self.feature_names, self.target.name, *self.identity]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"each column may appear once; duplicates: {', '.join(duplicates)}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.features)

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
        identity = document["identity"]
        if not all(isinstance(name, str) for name in identity):
            raise ValueError("the names of identity columns must be text")
        features = tuple(Column(**feature) for feature in document["features"])
        return cls(Column(**document["target"]), features, tuple(identity))

    def as_json(self) -> dict[str, Any]:
        """Return the contract as a manifest stores it."""
        target, *features = (
            {name: value for name, value in vars(column).items() if value is not None}
            for column in (self.target, *self.features)
        )
        return {"identity": list(self.identity), "target": target, "features": features}


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
