"""References: how people name a version, a model and an alias."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gamesales.errors import UsageError

CHAMPION = "champion"
DEFAULT_MODEL = "game-earnings"

_MODEL = r"[a-z0-9][a-z0-9-]{0,62}"
_ALIAS = r"[A-Za-z0-9_]+"
_REF = re.compile(rf"(?:(?P<model>{_MODEL})/)?(?P<version>[1-9][0-9]{{0,8}})|(?P<amodel>{_MODEL})?@(?P<alias>{_ALIAS})")
# Names that would read as a version, or as an alias that moves by itself.
_RESERVED_ALIAS = re.compile(r"latest|v?[0-9]+", re.IGNORECASE)


@dataclass(frozen=True)
class Ref:
    """A version as people write it: by number or by alias."""

    model: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}" if self.alias else f"{self.model}/{self.version}"


def parse_ref(text: str, model: str = DEFAULT_MODEL) -> Ref:
    """Parse ``4``, ``game-earnings/4``, ``@champion`` or ``game-earnings@champion``.

    ``model`` is the model of a reference that names none.

    Raises:
        UsageError: the text is not a reference.
    """
    match = _REF.fullmatch(text)
    if not match:
        raise UsageError(
            f"{text!r} names no version; expected 4, {model}/4, @{CHAMPION} or {model}@{CHAMPION}",
            hint="List the versions: gamesales versions",
        )
    if match["alias"]:
        return Ref(check_model(match["amodel"] or model), alias=check_alias(match["alias"]))
    return Ref(check_model(match["model"] or model), version=int(match["version"]))


def format_ref(model: str, version: int | str) -> str:
    """Format a version as briefly as a command understands it, without the default model."""
    return str(version) if model == DEFAULT_MODEL else f"{model}/{version}"


def check_model(name: str) -> str:
    """Return a model's name.

    Raises:
        UsageError: the name is not one safe path component.
    """
    if not re.fullmatch(_MODEL, name):
        raise UsageError(
            f"{name!r} can't name a model; expected lowercase letters, digits and hyphens, such as {DEFAULT_MODEL}"
        )
    return name


def check_alias(alias: str) -> str:
    """Return an alias.

    Raises:
        UsageError: people may not set this alias.
    """
    if not re.fullmatch(_ALIAS, alias) or _RESERVED_ALIAS.fullmatch(alias):
        raise UsageError(
            f"{alias!r} can't be an alias; expected letters, digits and _, and neither 'latest' nor a version's number"
        )
    return alias
