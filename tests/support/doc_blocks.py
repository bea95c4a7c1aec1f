"""The blocks of a page of the docs: what runs, what another test checks, and what can't run, with the reason.

A block is a fence with a language. Comments before a block, which a rendered page does not show, say how it is tested:

    <!-- not run: needs a Kubernetes cluster -->      the block is only counted
    <!-- checked by: tests/test_schedules.py -->      another test checks the block
    <!-- before: COMMANDS -->                         commands of the shell that prepare the block
    <!-- keys of: jobs/score.toml -->                 the job with these keys is valid
    <!-- added to: jobs/score.toml -->                the same, and later blocks have the job with these keys
    <!-- alternatives for: jobs/score.toml -->        each line of the block alone is valid in the job
    <!-- file: policy.toml -->                        the block is saved as this file
    <!-- output of: COMMAND -->                       the block is what the command prints

Without a comment, a block of the shell or of Python runs, and any other block is an error. The output of a command is
compared with the lines below it. A line with only an ellipsis stands for any lines, and an ellipsis in a line for any
text. A command may fail only if its comment says so: ``$ gamesales promote 2    # exit code 5``.

    PYTHONPATH=tests .venv/bin/python -m support.doc_blocks      counts the blocks of each page
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
MARKS = ("not run", "checked by", "before", "keys of", "added to", "alternatives for", "file", "output of")
JOB_MARKS = ("keys of", "added to", "alternatives for")
RUNS = ("console", "sh", "python")
# Comments, each on lines of its own, and then a fence.
_BLOCK = re.compile(
    r"(?P<comments>(?:^<!--(?:(?!-->).)*-->\n\s*)*)^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
# What differs between two runs of a command: durations, times, sizes of files with times in them, and digests.
_MASKS = (
    (re.compile(r"\d[\d,.]* (?:s|ms|min|minutes|seconds)\b"), "<duration>"),
    (re.compile(r"\d[\d,.]* (?:bytes|[KMG]B)(?!\w)"), "<size>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?"), "<time>"),
    (re.compile(r"\d{8}T\d{6}Z"), "<time>"),
    (re.compile(r"(?<![0-9a-z])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,64}(?![0-9a-z])"), "<digest>"),
)
# Figures of trained versions, where the CPU trains other weights than the CPU of the pages.
_NUMBERS = ((re.compile(r"[-+]?\$?\d[\d,.e-]*"), "<number>"),)


@dataclass(frozen=True)
class Command:
    """A command of a console block, the output that the page shows, and its exit code."""

    text: str
    output: str
    exit_code: int


@dataclass(frozen=True)
class Block:
    """A block of a page, with the line of its fence and the comments before it."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def label(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def outcome(self) -> str:
        """How the block is tested: ``run``, ``checked`` or ``not run``; ``unknown`` is an error."""
        if "not run" in self.marks:
            return "not run"
        if "checked by" in self.marks:
            return "checked"
        tested = self.language in RUNS or self.marks.keys() & {*JOB_MARKS, "file", "output of"}
        return "run" if tested else "unknown"

    def commands(self) -> list[Command]:
        """Return the commands of a console block."""
        return [_read_command(part) for part in re.split(r"(?m)^\$ ", self.text)[1:]]


def _read_command(text: str) -> Command:
    lines = text.splitlines()
    last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
    command, output = "\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :])
    code = re.search(r"# exit code (\d+)", command)
    return Command(command, output, int(code[1]) if code else 0)


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in _BLOCK.finditer(text):
        comments = (comment.partition(":") for comment in _COMMENT.findall(match["comments"]))
        marks = {name: value.strip() for name, _, value in comments}
        line = text.count("\n", 0, match.end("comments")) + 1
        blocks.append(Block(page, line, match["language"], match["text"], marks))
    return blocks


def find_indented(page: Path) -> list[int]:
    """Return the lines at which a page has a block without a fence."""
    text = re.sub(r"(?ms)^```.*?^```$", lambda match: "\n" * match[0].count("\n"), page.read_text(encoding="utf-8"))
    return [text.count("\n", 0, match.start()) + 2 for match in re.finditer(r"(?m)(?<=^\n)    \S", text)]


def mask(text: str, *, numbers: bool = False) -> str:
    """Replace durations, times, sizes and digests, and the runs of blanks of these lines, which depend on them."""
    lines = []
    for line in text.rstrip().splitlines():
        masked = line.rstrip()
        for pattern, name in (*_MASKS, *(_NUMBERS if numbers else ())):
            masked = pattern.sub(name, masked)
        lines.append(masked if masked == line.rstrip() else re.sub(" +", " ", masked))
    return "\n".join(lines)


def matches(shown: str, printed: str, *, numbers: bool = False) -> bool:
    """Check that the output on a page is what a command printed, with masks on both sides, also for all numbers."""
    lines = [
        r"(?:[^\n]*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", "[^\n]*") + "\n"
        for line in mask(shown, numbers=numbers).splitlines()
    ]
    return re.fullmatch("".join(lines), mask(printed, numbers=numbers) + "\n" if printed.strip() else "") is not None


def count_blocks() -> dict[str, Counter[str]]:
    """Return the number of blocks by outcome for each page."""
    return {page.name: Counter(block.outcome for block in read_blocks(page)) for page in PAGES}


def describe_counts() -> str:
    """Return the number of blocks by page, and the reasons of the blocks that do not run."""
    counts = count_blocks()
    lines = [
        f"{name:<22} {counter['run']:>4} run {counter['checked']:>4} checked {counter['not run']:>4} not run"
        for name, counter in {**counts, "total": sum(counts.values(), Counter())}.items()
    ]
    blocks = [block for page in PAGES for block in read_blocks(page)]
    reasons = [
        f"{block.label:<26} {mark}: {block.marks[mark]}"
        for block in blocks
        for mark in ("checked by", "not run")
        if mark in block.marks
    ]
    return "\n".join([*lines, "", *reasons, ""])


if __name__ == "__main__":
    sys.stdout.write(describe_counts())
