"""``gamesales tune``: whole searches with real training, what they register, and searches that are killed."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from gamesales.cli.main import run
from gamesales.cli.train import describe_choice
from gamesales.jobs.loading import open_registry
from gamesales.jobs.tune import Finalist, SearchResult
from support import warm_process
from support.searches import SPACE, START, run_trials_by_formula, write_tune_job
from support.versions import ROOT, Ran

ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder and the output of a search of a few trials, of which the last two are trained."""
    folder = tmp_path_factory.mktemp("finished")
    # The fewest trials that measure the importance of hyperparameters.
    job = write_tune_job(
        folder / "job.toml", search={"trials": 10, "pruning": False}, intervals={"method": "cv", "folds": 2}
    )
    run_trials_by_formula(job, folder / ".tune", 8)
    ran = run_in(folder, "tune", job, "--reason", "for a test")
    assert ran.code == 0, ran.err
    return folder, ran


def run_in(folder, *arguments):
    """Run a command line in this process, from a folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*map(str, arguments), "--registry", "registry"])
    return Ran(code, out.getvalue(), err.getvalue())


def gamesales(folder, *arguments):
    return warm_process.run(arguments, cwd=folder, timeout=300)


def read_version(folder, number=1):
    registry = open_registry(folder / "registry", "game-earnings")
    version = registry.find_version(number)
    return version, registry.open_bundle(version)


def read_trials(folder):
    """The content of a search's folder, without the durations."""
    documents = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob(".tune/*/[tf]*/*.json"))]
    return [{**document, "seconds": 0} for document in documents]


@pytest.mark.slow
def test_search_on_ray(finished, tmp_path, monkeypatch):
    """A search on a Ray registers the version of a search in processes, after the same trials."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    folder, _ = finished
    shutil.copy(folder / "job.toml", tmp_path)
    run_trials_by_formula(tmp_path / "job.toml", tmp_path / ".tune", 8)
    ran = run_in(tmp_path, "tune", "job.toml", "--engine", "ray", "--workers", "2")
    assert ran.code == 0, ran.err
    assert read_trials(folder) == read_trials(tmp_path)
    expected, manifest = (read_version(each)[1].manifest for each in (folder, tmp_path))
    assert expected["weights_sha256"] == manifest["weights_sha256"]
    assert expected["search"]["finalists"] == manifest["search"]["finalists"]


# --- A finished search.


def test_output_of_search(finished):
    """The output has the trials, the result and the next command."""
    folder, ran = finished
    lines = ran.err.splitlines()
    assert [f"reading {folder}/job.toml", "reading titles"] == lines[:2]
    trials = [line for line in lines if re.match(r"  trial \d+  complete  \d\.\d\de[+-]\d\d +\d+ parameters  \d", line)]
    assert 10 == len(trials)
    assert re.search(r"training the smallest, [\d-]+ (relu|silu), on all titles", ran.err)
    assert re.match(r"10 trials in \d+\.\d minutes: 10 complete, 0 pruned, 0 failed\n", ran.out)
    assert re.search(r"^importance  \w+ \d+%", ran.out, re.MULTILINE)
    assert re.search(r"^version 1 of game-earnings is the .*smallest .*within 10% of ", ran.out, re.MULTILINE)
    for label in ("the search", "report"):
        path = folder / re.search(rf"^{label} +(.*)$", ran.out, re.MULTILINE)[1]
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    promote = re.search(r"^promote +gamesales (.*)$", ran.out, re.MULTILINE)[1]
    assert 0 == run_in(folder, *promote.split()).code


def test_manifest_keeps_the_search(finished):
    """The manifest has the search with its settings, finalists and front."""
    folder, _ = finished
    version, bundle = read_version(folder)
    search = bundle.manifest["search"]
    assert (10, 10, 0, 0, 1000) == tuple(search[key] for key in ("trials", "complete", "pruned", "failed", "titles"))
    assert "smallest" == search["chosen"]
    assert SPACE["batch_size"] == search["settings"]["space"]["batch_size"]["choices"][0]
    assert START["units"] == search["start"]["candidate"]["units"] == search["settings"]["start"]["units"]
    assert 2 == len(search["finalists"])
    assert sum(search["importances"].values()) == pytest.approx(1)
    sizes = [trial["parameters"] for trial in search["front"]]
    assert sizes == sorted(sizes)
    smallest, best = search["smallest"], search["best"]
    assert smallest["parameters"] <= best["parameters"]
    assert smallest["final_error"] <= 1.1 * best["final_error"]
    assert "for a test" == version.registration.reason
    (study,) = (folder / ".tune").iterdir()
    assert study.name == search["study"][:16]
    assert search["study"] == json.loads((study / "study.json").read_text("utf-8"))["identity"]


def test_description_of_choice(finished):
    """A sentence describes the network that was registered."""
    folder, _ = finished
    _, bundle = read_version(folder)
    search = dict(bundle.manifest["search"])
    best, smallest = (Finalist(**{**search["best"], "trial": size, "parameters": size}) for size in (2000, 300))

    def describe(chosen, smallest):
        return describe_choice(SearchResult(**{**search, "chosen": chosen, "best": best, "smallest": smallest}))

    assert "the best, with 2,000 parameters" == describe("best", smallest)
    assert "the smallest network within 10% of the best, with 300 parameters to its 2,000" == describe(
        "smallest", smallest
    )
    assert "the best network and the smallest within 10% of it, with 2,000 parameters" == describe("smallest", best)


def test_winner_is_the_version(finished):
    """The version has the network and the training of the winner."""
    folder, _ = finished
    _, bundle = read_version(folder)
    manifest = bundle.manifest
    winner = manifest["search"]["smallest"]["candidate"]
    dense = [layer["units"] for layer in manifest["network"]["layers"] if layer["layer"] == "Dense"]
    assert [*winner["units"], 1] == dense
    assert (winner["epochs"], winner["batch_size"]) == (
        manifest["training"]["epochs"],
        manifest["training"]["batch_size"],
    )
    assert 1000 == manifest["data"]["train"]["rows"] == manifest["interval"]["rows"]
    assert bundle.verify()


def test_page_of_search(finished):
    """The page is in the bundle and in the study, and the report links to it."""
    folder, _ = finished
    _, bundle = read_version(folder)
    (page,) = folder.glob(".tune/*/tune.html")
    assert bundle.read("tune.html") == page.read_bytes()
    report = bundle.read("report.html").decode()
    assert "the smallest within 10% of the best of 10 trials" in report
    assert '<a href="tune.html">the search that found this network</a>' in report


def test_document_of_search(finished):
    """A finished search that runs again only trains its winner, and its document fits the schema."""
    folder, _ = finished
    _, bundle = read_version(folder)
    again = run_in(folder, "tune", "job.toml", "--json")
    assert "resuming after 10 trials" in again.err
    jsonschema.validate(again.document, json.loads((ROOT / "docs/reference/tune.schema.json").read_text("utf-8")))
    assert 2 == again.document["version"]
    assert bundle.manifest["search"]["finalists"] == again.document["search"]["finalists"]


@pytest.mark.slow
def test_best_is_registered(cli, tmp_path):
    """The best is registered if the job says so, and the test file does not influence the search."""
    changes = {"search": {"trials": 4, "choose": "best", "tolerance": 1.0}}
    tuned = cli("tune", write_tune_job(tmp_path / "job.toml", **changes), "--json").document
    search = tuned["search"]
    assert ("best", 1) == (search["chosen"], tuned["version"])
    _, bundle = read_version(tmp_path)
    assert search["best"]["candidate"]["units"] == [
        layer["units"] for layer in bundle.manifest["network"]["layers"][:-1]
    ]
    assert search == json.loads(json.dumps(bundle.manifest["search"]))
    # With another test file, it is the same search.
    with open(tmp_path / "other.csv", "w", encoding="utf-8") as file:
        lines = (tmp_path / "job.toml").read_text("utf-8").split('test = "')[1].split('"')[0]
        file.writelines(Path(lines).read_text("utf-8").splitlines(keepends=True)[:200])
    again = cli("tune", write_tune_job(tmp_path / "o.toml", data={"test": tmp_path / "other.csv"}, **changes), "--json")
    assert search["best"] == again.document["search"]["best"]
    assert "resuming after 4 trials" in again.err
    text = cli("tune", tmp_path / "job.toml").out
    assert re.search(
        r"^version 3 of game-earnings is the best, with \d+ parameters; metrics on the test titles:", text, re.MULTILINE
    )
    assert "importance  too few trials to estimate" in text


@pytest.mark.slow
def test_calibration_titles_are_held_out(cli, tmp_path):
    """Titles that calibrate prediction intervals are held out from the search."""
    intervals = {"method": "split", "coverage": 0.8, "calibration_share": 0.3}
    job = write_tune_job(tmp_path / "job.toml", search={"trials": 1}, intervals=intervals)
    tuned = cli("tune", job, "--json").document
    assert 700 == tuned["search"]["titles"]
    assert 300 == tuned["interval"]["rows"]


# --- Mistakes that are found before the search.


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"space": {"activation": ["relu", "nonsense"]}}, 2, "space.activation, 'nonsense': "),
        ({"search": {"folds": 2000}}, 3, "1000 training rows can't be cut into 2000 folds"),
        ({"search": {"folds": 999, "grouped": True}}, 3, "distinct training rows can't be cut into 999 folds"),
        ({"data": {"test": "nowhere.csv"}}, 3, "no file nowhere.csv"),
        ({"data": {"test": None}}, 2, "data.test: missing"),
    ],
)
def test_mistakes_before_the_search(cli, tmp_path, changes, code, message):
    """A job that cannot work fails before the search."""
    ran = cli("tune", write_tune_job(tmp_path / "job.toml", **changes))
    assert code == ran.code
    assert message in ran.err
    assert "trial" not in ran.err
    assert not (tmp_path / "registry").exists()


def test_search_without_success(cli, tmp_path):
    """A search without any complete trial registers nothing."""
    changes = {"start": {"learning_rate": 1e30}, "search": {"trials": 1}}
    ran = cli("tune", write_tune_job(tmp_path / "job.toml", **changes))
    assert 3 == ran.code
    assert "  trial 0  failed           -" in ran.err
    assert "none of 1 trial could be trained: " in ran.err
    assert not (tmp_path / "registry").exists()


# --- Killed searches.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A job, and the trials of an uninterrupted search."""
    folder = tmp_path_factory.mktemp("whole")
    job = write_tune_job(folder / "job.toml", search={"trials": 6}, space={"epochs": [2, 4]})
    assert 0 == gamesales(folder, "tune", job, "--workers", "1").returncode
    return job, read_trials(folder)


def start_search(folder, job, workers):
    """Start a search and wait until two of its trials are over."""
    process = warm_process.start(["tune", job, "--workers", workers], cwd=folder)
    while len(read_trials(folder)) < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    return process


def list_children(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("utf-8").split()


def is_running(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGTERM, 2), (signal.SIGINT, 1)]
)
def test_killed_search_resumes(tmp_path, whole, number, workers):
    """A killed search leaves no process, and resumes to the same trials."""
    job, trials = whole
    process = start_search(tmp_path, job, workers)
    worker_pids = list_children(process) if sys.platform == "linux" else []
    assert len(worker_pids) >= workers - 1
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert ENDS.get(number, -number) == process.returncode
    if number != signal.SIGKILL:
        assert "error: interrupted; nothing is half written" in err
        assert "Traceback" not in err
    while any(is_running(pid) for pid in worker_pids):
        time.sleep(0.05)
    assert len(read_trials(tmp_path)) < len(trials)
    assert not (tmp_path / "registry").exists()
    ran = gamesales(tmp_path, "tune", job, "--workers", 3 - workers)
    assert 0 == ran.returncode, ran.stderr
    assert "resuming after " in ran.stderr
    assert trials == read_trials(tmp_path)
