"""The contract: which columns a table of titles has, and which values they may take.

It is written by people as ``data/contract.toml``, copied into every bundle as JSON, and read back
from there by scoring; ``Contract.from_toml`` and ``Contract.from_json`` are those two ways in. People are told by
Pydantic which key is wrong; scoring reads what was checked so before, and starts without loading it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from gamesales.errors import JobFileError

if TYPE_CHECKING:
    from pydantic import ConfigDict, ValidationError

_STRICT: ConfigDict = {"extra": "forbid"}

Kind = Literal["rating", "flag", "price", "money"]

# Columns that scoring adds; an input may not bring its own.
OUTPUT_COLUMNS = (
    "predicted_earnings",
    "predicted_earnings_low",
    "predicted_earnings_high",
    "outside_training_range",
    "model_version",
)


@dataclass(frozen=True)
class Column:
    """One column: its kind, its unit, and the range of values that are allowed.

    ``minimum`` and ``maximum`` are inclusive, ``above`` is exclusive. A flag is 0 or 1.

    Raises: ValueError: a value has another type, or breaks a rule.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    name: str
    kind: Kind
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    description: str = ""

    def __post_init__(self) -> None:
        texts = (self.name, self.unit, self.description)
        bounds = (self.minimum, self.maximum, self.above)
        if not all(isinstance(text, str) for text in texts) or self.kind not in get_args(Kind):
            raise ValueError(f"expected texts, and a kind of {', '.join(get_args(Kind))}, received {self}")
        if any(bound is not None and type(bound) not in (int, float) for bound in bounds):
            raise ValueError(f"expected bounds that are numbers, received {self}")
        if not self.name or self.name != self.name.strip():
            raise ValueError(f"a column's name must not be empty or padded, received {self.name!r}")
        if self.name in OUTPUT_COLUMNS:
            raise ValueError(f"{self.name!r} is a column that scoring writes; choose another name")
        if self.kind == "flag" and bounds != (None, None, None):
            raise ValueError("a flag is 0 or 1 and takes no minimum, maximum or above")
        lowest = max((b for b in (self.minimum, self.above) if b is not None), default=None)
        if lowest is not None and self.maximum is not None and lowest >= self.maximum:
            raise ValueError(f"the range is empty: from {lowest} to {self.maximum}")

    @property
    def allowed(self) -> str:
        """The allowed values, as people read them: ``0 to 5``, ``above 0``, ``0 or 1``."""
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
    """The nine features in the order that the network takes them, the target, and the identity columns."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    target: Column
    features: tuple[Column, ...]
    identity: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("features: at least one column is needed")
        names = [*self.feature_names, self.target.name, *self.identity]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"each column may appear once; doubled: {', '.join(doubled)}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.features)

    @classmethod
    def from_toml(cls, path: Path) -> Contract:
        """Read a contract that a person wrote.

        Raises: JobFileError: the file is missing, is not TOML, or breaks a rule; it names the key.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(read_toml(path))
        except ValidationError as error:
            raise JobFileError(f"{path} is not a contract: {describe(error)}", hint="See docs/contract.md") from None

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Contract:
        """Read a contract from a bundle.

        Raises: ValueError, TypeError, LookupError, AttributeError: this is not what ``as_json`` returned.
        """
        identity = found["identity"]
        if not all(isinstance(name, str) for name in identity):
            raise ValueError("identity columns are named by texts")
        return cls(Column(**found["target"]), tuple(Column(**one) for one in found["features"]), tuple(identity))

    def as_json(self) -> dict[str, Any]:
        """Return what a bundle keeps, ready for JSON."""
        columns = [{name: value for name, value in vars(one).items() if value is not None} for one in self.features]
        target = {name: value for name, value in vars(self.target).items() if value is not None}
        return {"identity": list(self.identity), "target": target, "features": columns}


def read_toml(path: Path) -> dict[str, object]:
    """Parse a TOML file, or say in one line what is wrong with it and where."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobFileError(f"no file {path}", hint="Give the path of an existing file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise JobFileError(f"{path} can't be read as TOML: {error}") from None


# The key is one that nobody reads, which Pydantic tells in one way for a model and in another for a dataclass.
_EXTRA_TYPES = ("extra_forbidden", "unexpected_keyword_argument")
_EXTRA = "Extra inputs are not permitted"


def describe(error: ValidationError) -> str:
    """Tell a validation error by key: ``training.epochs: expected …, received -3``."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"]) or "the file"
        message = _EXTRA if fault["type"] in _EXTRA_TYPES else fault["msg"].removeprefix("Value error, ")
        received = "" if fault["type"] in ("missing", *_EXTRA_TYPES) else _received(fault["input"])
        lines.append(f"{key}: {message}{received}")
    return "; ".join(lines)


def _received(value: object) -> str:
    text = repr(value)
    return f" (received {text})" if len(text) <= 60 else ""
