"""Read a job file, whose relative paths start at its ``root`` if it has one, or else at the current folder."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gamesales.data.contract import read_toml
from gamesales.errors import JobFileError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/|memory:$")


def read_job_file(path: Path, path_keys: Mapping[str, str | None]) -> dict[str, Any]:
    """Read a job file, with its paths as they are below its root.

    Args:
        path: The job file.
        path_keys: The keys that hold paths, such as ``data.train``, each with the path that a job without the key
            has. None: it has none.

    Returns:
        The tables and keys of the file, without ``root``. Without a root, nothing is changed.

    Raises:
        JobFileError: The file is missing or is not TOML, or its root is no folder.
    """
    fields: dict[str, Any] = dict(read_toml(path))
    if "root" not in fields:
        return fields
    root = _find_root(path, fields.pop("root"))
    for key, default in path_keys.items():
        table, _, name = key.rpartition(".")
        values = fields.get(table) if table else fields
        if isinstance(values, dict) and (values.get(name) is not None or default is not None):
            values[name] = _resolve(root, values.get(name, default))
    return fields


def _find_root(path: Path, root: object) -> Path:
    if not isinstance(root, str) or not root:
        raise JobFileError(f'{path}: root expects a folder relative to the job file, such as "..", received {root!r}')
    folder = (path.parent / root).resolve()
    if not folder.is_dir():
        raise JobFileError(
            f"{path}: root expects a folder relative to the job file, but {root!r} is {folder}, which is no folder",
            hint='For a job file in jobs/, the folder above is root = ".."',
        )
    return folder


def _resolve(root: Path, value: object) -> object:
    """Return a path, or each path or glob of a list, below a root. Absolute paths and URLs stay as they are.

    A value that is no path stays too: the job's own check reports it.
    """
    if isinstance(value, list):
        return [
            _resolve(Path(glob.escape(str(root))) if isinstance(text, str) and glob.has_magic(text) else root, text)
            for text in value
        ]
    if not isinstance(value, str) or not value or _URL.match(value):
        return value
    return str(root / value)
