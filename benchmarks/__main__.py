"""Run suites and write the page, or keep what they measured for the documentation; see ``python -m benchmarks --help``.

results/latest.json    what was measured here last; results/index.html shows it; neither is in git
docs/benchmarks.json   what was kept by ``python -m benchmarks docs``, and with it docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import suites
from benchmarks.assets import ROOT, Assets
from benchmarks.bench import Bench
from benchmarks.compare import agree, alone, pairs, summary
from benchmarks.machine import commit, load, machine
from benchmarks.page import markdown, page
from benchmarks.rounds import say

FORMAT = 1
RESULTS = Path(__file__).parent / "results"
LATEST = "latest.json"
KEPT = ROOT / "docs/benchmarks.json"
DOCUMENT = ROOT / "docs/benchmarks.md"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    chosen = _parser().parse_args(arguments)
    chosen.do(chosen)


def run(chosen: argparse.Namespace) -> None:
    """Measure suite after suite; what is measured by then is written after each."""
    results = chosen.output / LATEST
    chosen.output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        work = chosen.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(Assets(work.resolve()), chosen.verb, chosen.rounds, chosen.contenders)
        for name in chosen.suite:
            found = measure_suite(name, bench)
            merged = merge(read(results) or read(KEPT), name, found)
            results.write_text(as_text(merged), encoding="utf-8")
            (chosen.output / "index.html").write_text(page(merged), encoding="utf-8")
    say(f"see index.html in {chosen.output}")


def compare(chosen: argparse.Namespace) -> None:
    """Print every ratio that two results share, and exit with 1 if any disagree."""
    both = [_comparable(path) for path in (chosen.first, chosen.second)]
    found = pairs(*both)
    print(*found, *(f"in one only: {'; '.join(place)}" for place in alone(*both)), "", summary(found), sep="\n")
    raise SystemExit(0 if agree(found) else 1)


def _comparable(path: Path) -> dict[str, Any]:
    results = read(path)
    if results is None or results.get("format") != FORMAT:
        raise SystemExit(f"{path} holds no results of format {FORMAT}; python -m benchmarks quick writes some")
    return results


def measure_suite(name: str, bench: Bench) -> dict[str, Any]:
    """Run a suite; with what it found goes how and when it was done, and how busy the machine was."""
    say(f"suite {name}")
    before, started = load(), time.monotonic()
    bench.until = started + suites.QUICK.get(name, math.inf)
    result = suites.load(name).run(bench)
    made = {
        "command": " ".join(["python -m benchmarks", bench.scale, "--suite", name, *_options(bench)]),
        "commit": commit(ROOT),
        "date": datetime.now(UTC).date().isoformat(),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "load_before": before,
        "load_after": load(),
    }
    return {"made": made, **result}


def merge(results: dict[str, Any] | None, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Put a suite's result among those taken before on the same machine with the same software; others are dropped."""
    here = {"format": FORMAT, "machine": machine()}
    if results is None or any(results.get(key) != value for key, value in here.items()):
        results = {**here, "suites": {}}
    return {**results, "suites": {**results["suites"], name: found}}


def read(path: Path) -> dict[str, Any] | None:
    """Read results, None if there are none."""
    return json.loads(path.read_bytes()) if path.exists() else None


def as_text(results: dict[str, Any]) -> str:
    """Return results as their file holds them, one line a run, so that a change can be read."""
    text = json.dumps(results, indent=1)
    # What stands deeper than the beginning of a run, four levels down, joins its line; strings hold no line breaks.
    return re.sub(r"\n {5,}|\n {4}(?=[}\]])", " ", text) + "\n"


def keep(results: dict[str, Any] | None) -> None:
    """Write what the documentation shows."""
    if results is None:
        raise SystemExit("nothing is measured yet; type: python -m benchmarks quick")
    KEPT.write_text(as_text(results), encoding="utf-8")
    DOCUMENT.write_text(markdown(results), encoding="utf-8")
    say("wrote docs/benchmarks.json and docs/benchmarks.md")


def _options(bench: Bench) -> list[str]:
    rounds = ["--rounds", str(bench.rounds)] if bench.rounds else []
    return rounds + (["--contenders", ",".join(bench.contenders)] if bench.contenders else [])


def _parser() -> argparse.ArgumentParser:
    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    def suite_names(text: str) -> list[str]:
        unknown = sorted(set(names(text)) - set(suites.NAMES))
        if unknown:
            raise argparse.ArgumentTypeError(f"no suite {', '.join(unknown)}; there is {', '.join(suites.NAMES)}")
        return names(text)

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition(";")[0] + ".")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for scale, told, every in (
        ("quick", "measure in 10 minutes or so", suites.QUICK),
        ("full", "every contender on every file: an hour or two", suites.NAMES),
    ):
        measuring = verbs.add_parser(scale, help=told)
        measuring.add_argument(
            "--suite", type=suite_names, default=list(every), help="some of: " + ",".join(suites.NAMES)
        )
        measuring.add_argument("--contenders", type=names, default=[], help="some of contenders/ or registries/")
        measuring.add_argument("--rounds", type=int, help="for all alike, instead of fewer for what takes longer")
        measuring.add_argument("--output", type=Path, default=RESULTS, help="folder for the results")
        measuring.add_argument("--work", type=Path, help="folder for the shared files, kept for the next call")
        measuring.set_defaults(do=run)
    keeping = verbs.add_parser("docs", help="keep the last results in docs/")
    keeping.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    keeping.set_defaults(do=lambda chosen: keep(read(chosen.output / LATEST) or read(KEPT)))
    comparing = verbs.add_parser("compare", help="tell whether two results agree on every ratio")
    comparing.add_argument("first", type=Path, metavar="A.json")
    comparing.add_argument("second", type=Path, metavar="B.json")
    comparing.set_defaults(do=compare)
    return parser


if __name__ == "__main__":
    main()
