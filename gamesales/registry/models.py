"""The models of a registry, and the error for a model that it does not have."""

from __future__ import annotations

import shlex
from difflib import get_close_matches
from pathlib import Path

from gamesales.errors import GamesalesError, UnknownVersionError
from gamesales.registry.log import EventLog
from gamesales.registry.refs import format_command, is_model
from gamesales.storage.store import LocalStore, Store

# More models than this are not listed in a message.
_MAX_MODELS = 10


def list_models(store: Store) -> list[str]:
    """List the models of a registry that have a version, sorted."""
    return [name for name in store.list_folders() if is_model(name) and _has_events(store, name)]


def _has_events(store: Store, model: str) -> bool:
    try:
        return EventLog(store, model).has_events()
    except GamesalesError:  # a folder of another kind, or without permission
        return False


def make_unknown_model_error(store: Store, model: str) -> UnknownVersionError:
    """Make the error for a model that a registry does not have. It names the place in full, and the models there."""
    place = str(Path(store.location).absolute()) if isinstance(store, LocalStore) else store.location
    models = list_models(store)
    message = f"no model {model} in {place}"
    if models:
        others = f" and {len(models) - _MAX_MODELS} more" if len(models) > _MAX_MODELS else ""
        noun = "model" if len(models) == 1 else "models"
        similar = get_close_matches(model, models, 1)
        return UnknownVersionError(
            f"{message}; found the {noun} {', '.join(models[:_MAX_MODELS])}{others}",
            hint=f"Did you mean --name {similar[0]}?" if similar else "Name one of them: --name MODEL",
        )
    train = f"Train a version: {format_command('train', store.location)}; or give --registry PATH"
    if not isinstance(store, LocalStore):
        return UnknownVersionError(f"{message}; no version was registered there", hint=train)
    if not Path(place).exists():
        return UnknownVersionError(f"{message}: there is no such folder", hint=train)
    parent, name = Path(place).parent, Path(place).name
    if is_model(name) and "log" in store.list_folders():
        return UnknownVersionError(
            f"{message}: this is the folder of a model, not of a registry",
            hint=f"The registry is the folder above: --registry {shlex.quote(str(parent))} --name {name}",
        )
    return UnknownVersionError(f"{message}: the folder has no registered version", hint=train)
