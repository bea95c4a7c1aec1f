"""docs/notebook.ipynb: it runs, its outputs are those that are stored, and they say nothing about a machine."""

import getpass
import json
import re
import subprocess
import sys

import pytest

import gamesales
from support.versions import ROOT

NOTEBOOK = ROOT / "docs/notebook.ipynb"
# Moments of the log, and digests of files that hold moments.
CHANGING = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::[\d.]+Z?)?|\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b")
NUMBER = re.compile(r"\d[\d,]*\.?\d*(?:e[-+]\d+)?")


def read_cells(path, kind="code"):
    """The cells of a kind."""
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def list_outputs(cell):
    """The texts that a cell shows, and the kinds of its pictures."""
    texts = []
    for output in cell["outputs"]:
        data = output.get("data", {output.get("name"): output.get("text", "")})
        texts += [kind if kind.startswith("image/") else f"{kind}: {''.join(text)}" for kind, text in data.items()]
    return texts


def test_outputs_are_stored():
    """Every cell was run, in order, and none failed. Results, tables and a plot are stored."""
    cells = read_cells(NOTEBOOK)
    assert list(range(1, len(cells) + 1)) == [cell["execution_count"] for cell in cells]
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert {"execute_result", "display_data", "stream"} == kinds
    shown = [text for cell in cells for text in list_outputs(cell)]
    assert 1 == shown.count("image/png")
    assert len([text for text in shown if text.startswith("text/html: ")]) > 8


def test_no_trace_of_a_machine():
    """No output has a path of a machine, or the name of its user."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|usr|work|var)/", text)
    assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text)
    assert NOTEBOOK.stat().st_size < 200_000


def test_links_and_names():
    """Links lead to pages of the project, and imports take public names."""
    for cell in read_cells(NOTEBOOK, "markdown"):
        for link in re.findall(r"\]\(([^)]+)\)", "".join(cell["source"])):
            assert (NOTEBOOK.parent / link).exists()
    code = "\n".join("".join(cell["source"]) for cell in read_cells(NOTEBOOK))
    imported = {name for line in re.findall(r"from gamesales import (.*)", code) for name in line.split(", ")}
    assert imported <= set(gamesales.__all__)
    compile(code, "notebook", "exec")


@pytest.mark.slow
def test_outputs_again(tmp_path):
    """The notebook gives the stored outputs again, apart from moments and the last digits of numbers."""
    if not (ROOT / "tests/.servers/notebook.stamp").exists():
        pytest.skip("make notebook installs what executes it")
    command = [sys.executable, ROOT / "docs/make_notebook.py", tmp_path / "executed.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=900)
    for stored, executed in zip(read_cells(NOTEBOOK), read_cells(tmp_path / "executed.ipynb"), strict=True):
        assert stored["source"] == executed["source"]
        for pair in zip(list_outputs(stored), list_outputs(executed), strict=True):
            before, now = (CHANGING.sub("…", text) for text in pair)
            assert NUMBER.sub("#", before) == NUMBER.sub("#", now)
            numbers = [[float(number.replace(",", "")) for number in NUMBER.findall(text)] for text in (before, now)]
            assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.002)
