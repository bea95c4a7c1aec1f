"""References: how people name a registry, a model, a version and an alias."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass

from gamesales.errors import UsageError

CHAMPION = "champion"
DEFAULT_MODEL = "game-earnings"
DEFAULT_REGISTRY = "registry"
# The environment variable that replaces the default registry.
REGISTRY_VARIABLE = "GAMESALES_REGISTRY"

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


def parse_ref(text: str, model: str = DEFAULT_MODEL, registry: str | None = None) -> Ref:
    """Parse ``4``, ``game-earnings/4``, ``champion``, ``@champion`` or ``game-earnings@champion``.

    A bare word is an alias, never a model. ``model`` is the model of a reference that names none. ``registry`` is the
    path or URL for the hint of an error.

    Raises:
        UsageError: the text is not a reference.
    """
    match = _REF.fullmatch(text)
    if not match and is_alias(text):
        return Ref(check_model(model), alias=text)
    if not match:
        raise UsageError(
            f"{text!r} names no version; expected 4, {model}/4, @{CHAMPION} or {model}@{CHAMPION}",
            hint=f"A version of the model {text}: {text}/4 or {text}@{CHAMPION}"
            if "-" in text and is_model(text)
            else f"List the versions: {format_command('versions', registry, model)}",
        )
    if match["alias"]:
        return Ref(check_model(match["amodel"] or model), alias=check_alias(match["alias"]))
    return Ref(check_model(match["model"] or model), version=int(match["version"]))


def format_command(command: str, registry: str | None = None, model: str = DEFAULT_MODEL) -> str:
    """Format a command for a hint, so that it works as it stands.

    It has ``--registry`` and ``--name`` if the command would otherwise use another registry or model.

    Args:
        command: the command with its arguments, quoted for a shell.
        registry: the path or URL of the registry; None: the default.
        model: the model.
    """
    words = ["gamesales", command]
    if registry is not None and not _is_default_registry(registry):
        words += ["--registry", shlex.quote(registry.rstrip("/") or "/")]
    if model != DEFAULT_MODEL:
        words += ["--name", model]
    return " ".join(words)


def choose_registry(option: str | None, job: str | None) -> str:
    """Return the registry of a job: the option's, or else the registry that the job names, or else the default."""
    location = job if option is None else option
    return DEFAULT_REGISTRY if location is None else location


def _is_default_registry(location: str) -> bool:
    default = os.environ.get(REGISTRY_VARIABLE) or DEFAULT_REGISTRY
    return os.path.realpath(location) == os.path.realpath(default)


def format_ref(model: str, version: int | str) -> str:
    """Format a version as briefly as a command understands it, without the default model."""
    return str(version) if model == DEFAULT_MODEL else f"{model}/{version}"


def check_model(name: str) -> str:
    """Return a model's name.

    Raises:
        UsageError: the name is not one safe path component.
    """
    if not is_model(name):
        raise UsageError(
            f"{name!r} can't name a model; expected lowercase letters, digits and hyphens, such as {DEFAULT_MODEL}"
        )
    return name


def is_model(name: str) -> bool:
    """Return whether a name can be the name of a model."""
    return re.fullmatch(_MODEL, name) is not None


def check_alias(alias: str) -> str:
    """Return an alias.

    Raises:
        UsageError: people may not set this alias.
    """
    if not is_alias(alias):
        raise UsageError(
            f"{alias!r} can't be an alias; expected letters, digits and _, and neither 'latest' nor a version's number"
        )
    return alias


def is_alias(text: str) -> bool:
    """Return whether people may set this alias."""
    return re.fullmatch(_ALIAS, text) is not None and not _RESERVED_ALIAS.fullmatch(text)
