"""Run suites, or write the page of the documentation; see ``python -m benchmarks --help``.

results/latest.json and results/latest.md hold the last measurements of this machine, and results/images/ their plots.
They are not in git. ``python -m benchmarks docs`` copies them to docs/benchmarks.json, docs/benchmarks.md and
docs/images/.
"""

import argparse
import json
import math
import os
import platform
import re
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from benchmarks import plots, suites
from benchmarks.assets import Assets
from benchmarks.bench import Bench, load_modules
from benchmarks.measure import MACHINE_BYTES, ROOT, count_cores, print_progress
from benchmarks.tables import Section, Table

FORMAT = 1
RESULTS = Path(__file__).parent / "results"
DOCS = ROOT / "docs"
LIBRARIES = ("gamesales", "numpy", "pyarrow", "onnxruntime", "pandas", "scikit-learn", "keras")
LIBRARIES += ("tensorflow-cpu", "tensorflow")
Results = dict[str, Any]
INTRODUCTION = """\
`python -m benchmarks docs` writes this page from [benchmarks.json](benchmarks.json), which holds every run. Numbers are
medians. The brackets hold the smallest and the largest value of all rounds. Every ratio is computed within a round, and
its brackets also hold the smallest and the largest value.

`make bench` measures again on your machine, in as many rounds as fit into 10 minutes. `make bench-full` measures every
contender on every file in one to two hours. Each section begins with the command that measured it. With `full` instead
of `quick`, the command measures every contender."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _build_parser().parse_args(arguments)
    if options.verb == "docs":
        write_results(read_results(options.output), DOCS / "benchmarks.json")
        return
    options.output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(Assets(work.resolve()), options.verb, options.rounds, options.contenders, earlier=options.earlier)
        for name in options.suite:
            result = measure_suite(name, bench)
            write_results(merge_results(read_results(options.output), name, result), options.output / "latest.json")


def measure_suite(name: str, bench: Bench) -> Results:
    """Run a suite, and record how and when it was measured and the load of the machine."""
    print_progress(f"suite {name}")
    load_before, started = os.getloadavg()[0], time.monotonic()
    bench.deadline = started + suites.QUICK.get(name, math.inf) if bench.scale == "quick" else math.inf
    result = load_modules(suites)[name].run(bench)
    options = ["--rounds", str(bench.rounds)] if bench.rounds else []
    options += ["--contenders", ",".join(bench.contenders)] if bench.contenders else []
    options += ["--earlier", "FOLDER"] if bench.earlier else []
    made = {
        "command": " ".join(["python -m benchmarks", bench.scale, "--suite", name, *options]),
        "commit": describe_commit(ROOT),
        **({"earlier": describe_commit(bench.earlier)} if bench.earlier else {}),
        "date": datetime.now(UTC).date().isoformat(),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }
    return {"made": made, **result}


def merge_results(results: Results, name: str, result: Results) -> Results:
    """Add the result of a suite to earlier results of the same machine and software; drop other results."""
    here = {"format": FORMAT, "machine": describe_machine()}
    if any(results.get(key) != value for key, value in here.items()):
        results = {**here, "suites": {}}
    return {**results, "suites": {**results["suites"], name: result}}


def read_results(folder: Path) -> Results:
    """Read the last results, or else the results of the documentation."""
    path = folder / "latest.json"
    return json.loads((path if path.exists() else DOCS / "benchmarks.json").read_bytes())


def format_results(results: Results) -> str:
    """Return the JSON of results with one line per run, so that differences are readable."""
    text = json.dumps(results, indent=1)
    # Lines that are indented deeper than the beginning of a run are joined; strings hold no line breaks.
    return re.sub(r"\n {5,}|\n {4}(?=[}\]])", " ", text) + "\n"


def write_results(results: Results, path: Path) -> None:
    path.write_text(format_results(results), encoding="utf-8")
    path.with_suffix(".md").write_text(render(results), encoding="utf-8")
    for plot in plots.build_plots(results):
        image = path.parent / plot.path
        image.parent.mkdir(exist_ok=True)
        image.write_text(plots.draw(plot), encoding="utf-8")
    print_progress(f"wrote {path} and {path.with_suffix('.md').name}")


def describe_machine() -> dict[str, Any]:
    """Return the machine and its software, without a host name or a path."""
    processor = _read_values(Path("/proc/cpuinfo"), ":")
    flags = processor.get("flags", "").split()
    widest = next((f" with {flag}" for flag in ("avx512f", "avx2", "asimd") if flag in flags), "")
    system = _read_values(Path("/etc/os-release"), "=").get("PRETTY_NAME", "").strip('"')
    releases = {item.metadata["Name"].lower().replace("_", "-"): item.version for item in distributions()}
    return {
        "processor": f"{processor.get('model name') or platform.processor()}, {platform.machine()}{widest}",
        "cores": count_cores(),
        "memory_gb": round(MACHINE_BYTES / 2**30),
        "system": system or platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: releases[name] for name in LIBRARIES if name in releases},
    }


def _read_values(path: Path, separator: str) -> dict[str, str]:
    """Read a file of keys and values, with the first value of each key; empty without the file."""
    pairs = [line.partition(separator) for line in (path.read_text().splitlines() if path.exists() else [])]
    return {key.strip(): value.strip() for key, _, value in reversed(pairs)}


def describe_commit(checkout: Path) -> str | None:
    """Return the commit, with ``-dirty`` if files have changed; None without a checkout or git."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def render(results: dict[str, Any]) -> str:
    """Return the whole page: headline, plots, the tables of every suite, and the command that measures it again."""
    machine = results["machine"]
    libraries = [f"{name} {release}" for name, release in machine["libraries"].items()]
    parts = [machine["processor"], f"{machine['cores']} cores", f"{machine['memory_gb']} GB", machine["system"]]
    parts = ", ".join([*parts, f"Python {machine['python']}", *libraries])
    images = "\n".join(f"![{plot.describe()}]({plot.path})" for plot in plots.build_plots(results))
    blocks = ["# Benchmarks", *filter(None, (plots.write_headline(results), images, images and plots.NOTE))]
    blocks += [*INTRODUCTION.split("\n\n"), f"Machine: {parts}."]
    for name in suites.NAMES:
        if name in results["suites"]:
            result = results["suites"][name]
            blocks += _render_section(load_modules(suites)[name].build_section(result), result["made"])
    wrapper = textwrap.TextWrapper(100, break_long_words=False, break_on_hyphens=False)
    other = ("#", "|", "    ", "- ", "![")  # blocks that are no paragraphs
    return "\n\n".join(block if block.startswith(other) else wrapper.fill(block) for block in blocks) + "\n"


def _render_section(section: Section, made: dict[str, Any]) -> list[str]:
    commit = f" at commit {made['commit']}" if made.get("commit") else ""
    load = f"Load average: {made['load_before']} before, {made['load_after']} after."
    measured = f"Measured on {made['date']}{commit} in {made['minutes']} minutes. {load}"
    blocks = [f"## {section.title}", f"    {made['command']}", measured, *section.paragraphs]
    for table in section.tables:
        blocks += [f"### {table.heading}", _render_table(table), *([table.note] if table.note else [])]
    if section.skipped:
        lines = [f"- {skipped['contender']}, {skipped['what']}: {skipped['reason']}" for skipped in section.skipped]
        blocks += ["Not measured:", "\n".join(lines)]
    return blocks


def _render_table(table: Table) -> str:
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (table.columns, *table.rows)]
    return "\n".join([rows[0], "|---" + "|---:" * (len(table.columns) - 1) + "|", *rows[1:]])


def _build_parser() -> argparse.ArgumentParser:
    def suite_names(text: str) -> list[str]:
        unknown = sorted(set(text.split(",")) - set(suites.NAMES))
        if unknown:
            raise argparse.ArgumentTypeError(f"no suite {', '.join(unknown)}; expected some of {every}")
        return text.split(",")

    every = ", ".join(suites.NAMES)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition(";")[0] + ".")
    verbs = parser.add_subparsers(dest="verb", required=True)
    quick, full = "measure in about 10 minutes", "measure every contender on every file in one to two hours"
    for scale, summary, defaults in (("quick", quick, suites.QUICK), ("full", full, suites.FULL)):
        verb = verbs.add_parser(scale, help=summary)
        verb.add_argument("--suite", type=suite_names, default=list(defaults), help=f"some of {every}")
        verb.add_argument(
            "--contenders", type=lambda text: text.split(","), default=[], help="some of contenders/ or registries/"
        )
        verb.add_argument("--rounds", type=int, help="the same number of rounds for everything")
        verb.add_argument("--earlier", type=Path, help="earlier checkout, for the suite of this name")
        verb.add_argument("--work", type=Path, help="folder for the shared files, kept for the next call")
    verbs.add_parser("docs", help="write the last results into docs/")
    for verb in verbs.choices.values():
        verb.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    return parser


if __name__ == "__main__":
    main()
