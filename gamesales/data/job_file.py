"""Read and format a job file. Its relative paths start at its ``root`` if it has one, or else at the current folder."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping, Sequence
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


def format_job_file(job: Mapping[str, Any]) -> str:
    """Format a job as a job file that ``read_job_file`` reads again.

    Args:
        job: keys with texts, numbers, lists, and tables of them. Keys with None and empty tables are left out.
    """
    tables = {key: value for key, value in job.items() if isinstance(value, Mapping)}
    blocks = [_format_keys({key: value for key, value in job.items() if key not in tables})]
    blocks += [f"[{_format_key(name)}]\n{_format_keys(table)}" for name, table in tables.items() if table]
    return "\n".join(filter(None, blocks))


def _format_keys(table: Mapping[str, Any]) -> str:
    return "".join(f"{_format_key(key)} = {_format_toml(value)}\n" for key, value in table.items() if value is not None)


def _format_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _format_toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_format_key(key)} = {_format_toml(part)}" for key, part in value.items() if part is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = list(map(_format_toml, value))
        if any(isinstance(part, Mapping) for part in value):  # a table on a line of its own
            return "".join(["[\n", *(f"  {part},\n" for part in parts), "]"])
        return f"[{', '.join(parts)}]"
    return json.dumps(value, ensure_ascii=False)


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
