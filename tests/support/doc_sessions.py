"""Run the blocks of a page in bash, in a copy of the project, and compare what they print with the page."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from support.doc_blocks import JOB_MARKS, ROOT, Block, mask, matches

# On the pages, this date is today.
TODAY = "2026-11-30"
# Targets that would change .venv, which the copies share.
INSTALLED = ("install", ".venv/train.stamp", ".venv/package.stamp", ".venv/dev.stamp")


@dataclass(frozen=True)
class Step:
    """A piece of the script of a page: a command with the output on the page, or a whole block."""

    label: str
    script: str
    shown: str | None = None
    exit_code: int = 0


def make_checkout(folder: Path) -> Path:
    """Copy what a person touches, and what make needs, into a folder."""
    for name in ("data", "jobs", "registry", "requirements"):
        ignore = shutil.ignore_patterns("game-earnings") if name == "registry" else None
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("Makefile", "README.md", "LICENSE", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def make_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a page, with programs that run the gamesales of this checkout.

    pip finds what is installed, and installs nothing.
    """
    (folder / "bin").mkdir()
    (folder / "home").mkdir()
    old = " ".join(f"--old-file={name}" for name in INSTALLED)
    programs = {
        "gamesales": f'exec "{sys.executable}" -m gamesales "$@"',
        "python": f'exec "{sys.executable}" "$@"',
        "pip": f'shift; exec "{sys.executable}" -m pip install --no-index --dry-run --quiet "$@"',
        "make": f'exec {shutil.which("make")} --no-print-directory {old} "$@"',
    }
    for name, command in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        (folder / "bin" / name).chmod(0o755)
    kept = {name: os.environ[name] for name in ("TMPDIR", "COVERAGE_PROCESS_START") if name in os.environ}
    return kept | {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder / "home"),
        "LOGNAME": "root",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",  # lines of both streams in order, as in a terminal
    }


def make_steps(blocks: list[Block]) -> list[Step]:
    """Return the steps of a page, in order."""
    steps, jobs, python = [], {}, ""
    for block in blocks:
        if block.outcome != "run":
            continue
        if "before" in block.marks:
            steps.append(Step(f"{block.label}, before", block.marks["before"]))
        if "file" in block.marks:
            steps.append(Step(block.label, _write_file(block.marks["file"], block.text)))
        if "added to" in block.marks:
            name = block.marks["added to"]
            jobs[name] = _merge(jobs.get(name) or _read_toml(ROOT / name), tomllib.loads(block.text))
            steps.append(Step(block.label, _write_file(name, write_toml(jobs[name]))))
        if "output of" in block.marks:
            steps.append(Step(block.label, block.marks["output of"], block.text))
        elif block.language == "console":
            steps += [
                Step(f"{block.label}: {command.text}", command.text, command.output, command.exit_code)
                for command in block.commands()
            ]
        elif block.language == "sh":
            steps.append(Step(block.label, block.text))
        elif block.language == "python":
            python += block.text + "\n"
            steps.append(Step(block.label, _write_file(".example.py", python) + "python .example.py"))
    return steps


def run_steps(steps: list[Step], folder: Path, environment: dict[str, str], *, mask_numbers: bool = False) -> list[str]:
    """Run the steps in one shell that starts in ``folder``; return what differs from the page."""
    today = str(datetime.now(UTC).date())
    script = "".join(_wrap_step(number, step) for number, step in enumerate(steps)).replace(TODAY, today)
    (folder.parent / "page.sh").write_text(script, encoding="utf-8")
    done = subprocess.run(
        ["bash", folder.parent / "page.sh"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    printed = done.stdout.decode().replace(str(folder), "/srv/gamesales").replace(today, TODAY)
    pieces = re.split(r"\x1e(\d+)\n(.*?)(?:\x1e(\d+)\n|\Z)", printed, flags=re.DOTALL)
    results = {int(pieces[i]): (pieces[i + 1], pieces[i + 2]) for i in range(1, len(pieces), 4)}
    return [
        fault for number, step in enumerate(steps) if (fault := _find_fault(step, results.get(number), mask_numbers))
    ]


def _wrap_step(number: int, step: Step) -> str:
    script = step.script.rstrip("\n")
    # Only commands whose output is on the page may fail.
    before, after = ("set +e", "code=$?\nset -e") if step.shown is not None else ("set -e", "code=0")
    return f"printf '\\036{number}\\n'\n{before}\n{script}\n{after}\nprintf '\\036%d\\n' $code\n"


def _find_fault(step: Step, result: tuple[str, str | None] | None, mask_numbers: bool) -> str | None:
    if result is None:
        return f"{step.label}: did not run"
    printed, code = result
    if code is None or int(code) != step.exit_code:
        return f"{step.label}: exit code {code}, expected {step.exit_code}\n{printed}"
    if step.shown is None or matches(step.shown, printed, numbers=mask_numbers):
        return None
    lines = difflib.unified_diff(mask(step.shown).splitlines(), mask(printed).splitlines(), "page", "printed", n=9)
    return f"{step.label}: the output differs\n" + "\n".join(lines)


def _write_file(name: str, text: str) -> str:
    return f"mkdir -p \"$(dirname '{name}')\"\ncat >'{name}' <<'END_OF_FILE'\n{text.rstrip()}\nEND_OF_FILE\n"


def _read_toml(path: Path) -> dict[str, object]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def merge_keys(block: Block) -> list[tuple[str, dict[str, object]]]:
    """Return the name of a job of the project, and the job with the keys of a block, or with each line of it."""
    (name,) = [block.marks[mark] for mark in JOB_MARKS if mark in block.marks]
    parts = block.text.splitlines() if "alternatives for" in block.marks else [block.text]
    return [(name, _merge(_read_toml(ROOT / name), tomllib.loads(part))) for part in parts if part]


def _merge(old: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(old.get(key), dict)
        merged[key] = _merge(old[key], value) if both else value
    return merged


def write_toml(table: dict[str, object]) -> str:
    """Write a table as TOML: values first, then its tables, in which other tables are inline."""
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    tables = [(key, value) for key, value in table.items() if isinstance(value, dict)]
    return _write_values(values) + "".join(f"[{key}]\n{_write_values(value)}" for key, value in tables)


def _write_values(table: dict[str, object]) -> str:
    return "".join(f"{key} = {_write_value(value)}\n" for key, value in table.items())


def _write_value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_write_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
