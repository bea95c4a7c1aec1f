"""The contract: which columns a table of titles has, and which values they may take.

It is written by people as ``data/contract.toml``, copied into every bundle as JSON, and read back
from there by scoring; ``Contract.from_toml`` and ``Contract.model_validate`` are those two ways in.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from gamesales.errors import JobFileError

Kind = Literal["rating", "flag", "price", "money"]

# Columns that scoring adds; an input may not bring its own.
OUTPUT_COLUMNS = (
    "predicted_earnings",
    "predicted_earnings_low",
    "predicted_earnings_high",
    "outside_training_range",
    "model_version",
)


class Column(BaseModel):
    """One column: its kind, its unit, and the range of values that are allowed.

    ``minimum`` and ``maximum`` are inclusive, ``above`` is exclusive. A flag is 0 or 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    description: str = ""

    @model_validator(mode="after")
    def _check(self) -> Column:
        if not self.name or self.name != self.name.strip():
            raise ValueError(f"a column's name must not be empty or padded, received {self.name!r}")
        if self.name in OUTPUT_COLUMNS:
            raise ValueError(f"{self.name!r} is a column that scoring writes; choose another name")
        bounds = (self.minimum, self.maximum, self.above)
        if self.kind == "flag" and bounds != (None, None, None):
            raise ValueError("a flag is 0 or 1 and takes no minimum, maximum or above")
        lowest = max((b for b in (self.minimum, self.above) if b is not None), default=None)
        if lowest is not None and self.maximum is not None and lowest >= self.maximum:
            raise ValueError(f"the range is empty: from {lowest} to {self.maximum}")
        return self

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


class Contract(BaseModel):
    """The nine features in the order that the network takes them, the target, and the identity columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: tuple[str, ...] = ()
    target: Column
    features: tuple[Column, ...]

    @model_validator(mode="after")
    def _check(self) -> Contract:
        if not self.features:
            raise ValueError("features: at least one column is needed")
        names = [*self.feature_names, self.target.name, *self.identity]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"each column may appear once; doubled: {', '.join(doubled)}")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.features)

    @classmethod
    def from_toml(cls, path: Path) -> Contract:
        """Read a contract that a person wrote.

        Raises: JobFileError: the file is missing, is not TOML, or breaks a rule; it names the key.
        """
        try:
            return cls.model_validate(read_toml(path))
        except ValidationError as error:
            raise JobFileError(f"{path} is not a contract: {describe(error)}", hint="See docs/contract.md") from None


def read_toml(path: Path) -> dict[str, object]:
    """Parse a TOML file, or say in one line what is wrong with it and where."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobFileError(f"no file {path}", hint="Give the path of an existing file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise JobFileError(f"{path} can't be read as TOML: {error}") from None


def describe(error: ValidationError) -> str:
    """Tell a validation error by key: ``training.epochs: expected …, received -3``."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"]) or "the file"
        received = "" if fault["type"] in ("missing", "extra_forbidden") else _received(fault["input"])
        lines.append(f"{key}: {fault['msg'].removeprefix('Value error, ')}{received}")
    return "; ".join(lines)


def _received(value: object) -> str:
    text = repr(value)
    return f" (received {text})" if len(text) <= 60 else ""
