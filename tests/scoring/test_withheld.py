"""Runs that are withheld because of drift, and their release."""

import itertools
import json
import re
import shutil
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import gamesales
from gamesales import read_predictions
from gamesales.data.files import hash_file
from gamesales.errors import EXIT_WITHHELD, UsageError
from gamesales.scoring import commit
from gamesales.scoring.ledger import WITHHELD
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.results import find_published_runs
from support.runs import gamesales as run_gamesales
from support.runs import put_column, snapshot
from support.sampling import sample
from support.tracing import needs_strace, traced
from support.versions import (
    publish_profiled,
    titles_table,
)

DATE = "2026-11-23"
OUTPUTS = ["out", "out.csv", "out.parquet"]
RELEASE = "score", "--release", DATE, "--reason", "a sale of sports titles"


@pytest.fixture
def drifting(tmp_path, simple_registry, cli):
    """A promoted version with profiles, usual titles, and titles at one price."""
    publish_profiled(simple_registry)
    ids = {"title_id": [f"T{row}" for row in range(500)]}
    parquet.write_table(titles_table(500, seed=8, **ids), tmp_path / "usual.parquet")
    expensive = put_column(titles_table(500, seed=9, **ids), "unit_price", np.full(500, 59.99))
    expensive = put_column(expensive, "is_action", pa.array([9.0, *expensive.column("is_action").to_pylist()[1:]]))
    parquet.write_table(expensive, tmp_path / "drifted.parquet")
    return tmp_path


@pytest.fixture
def score(cli):
    """Score a file and withhold drift. The default input has drifted."""

    def run(output, *more, source="drifted.parquet"):
        return cli("score", source, "--output", output, "--date", DATE, "--on-drift", "withhold", *more)

    return run


def read_result(folder, output):
    """The published files without the report, which has times; None without a result."""
    if output == "out":
        files = snapshot(folder / f"out/run_date={DATE}")
        return {name: content for name, content in files.items() if name != "_run.json"} or None
    return (folder / output).read_bytes() if (folder / output).exists() else None


def read_report(folder, output):
    path = folder / (f"{output}/run_date={DATE}/_run.json" if output.endswith("out") else f"{output}.run.json")
    return json.loads(path.read_bytes())


@pytest.mark.parametrize("output", OUTPUTS)
def test_withhold_and_release(drifting, score, cli, output):
    """A withheld run publishes nothing. Its release publishes what the run would have published."""
    assert cli("score", "drifted.parquet", "--output", output, "--date", DATE).code == 0
    expected = read_result(drifting, output)
    assert score(output, source="usual.parquet").code == 0
    before = read_result(drifting, output)
    assert before != expected
    ran = score(output)
    assert ran.code == EXIT_WITHHELD
    assert read_result(drifting, output) == before
    rejects = drifting / re.search("with reasons: (.*)", ran.out)[1]
    assert rejects.is_relative_to(drifting / OutputPaths(Path(output), date.fromisoformat(DATE)).work)
    assert rejects.exists()
    assert ran.err.splitlines()[-1].startswith(
        f"exit code 8: {DATE} is withheld, because titles have drifted: average unit_price: 50."
    )
    assert (
        ran.err.splitlines()[-2]
        == f'to publish {DATE}: gamesales score --output {output} --release {DATE} --reason "…"'
    )
    released = cli(*RELEASE, "--output", output, "--json")
    assert (released.code, released.document["is_withheld"]) == (0, False)
    assert read_result(drifting, output) == expected
    report = read_report(drifting, output)
    assert report["release"]["reason"] == "a sale of sports titles"
    assert report["release"]["actor"]
    assert (report["rows_scored"], report["rows_rejected"]) == (499, 1)
    assert [path.name for path in drifting.rglob("*.work")] == []
    assert score(output, "--json").document["already_done"]
    again = cli(*RELEASE, "--output", output)
    assert again.code == 2
    assert f"; {report['release']['actor']} released it at {report['release']['time']}\n" in again.err


def test_release_arrow_streams(drifting, score, cli):
    """A withheld run of a release that stored its shards as Arrow streams can be released."""
    assert score("out.parquet").code == 8
    (work,) = (drifting / "out.parquet.work").glob("run-*")
    piece, entry, mark = (work / name for name in ("pieces/00000.parquet.part", "ledger/00000.json", WITHHELD))
    rows = parquet.read_table(piece)
    with pa.ipc.new_stream(work / "pieces/00000.arrow", rows.schema.remove_metadata()) as stream:
        stream.write_table(rows)
    result, withheld = json.loads(entry.read_bytes()), json.loads(mark.read_bytes())
    del result["id_range"], result["files"]["pieces/00000.parquet.part"], withheld["files"]["pieces/00000.parquet.part"]
    piece.unlink()
    result["files"]["pieces/00000.arrow"] = (work / "pieces/00000.arrow").stat().st_size
    withheld["files"]["pieces/00000.arrow"] = hash_file(work / "pieces/00000.arrow")
    withheld["report"]["files"][0]["size"] += 1
    entry.write_text(json.dumps(result))
    mark.write_text(json.dumps(withheld))
    assert cli(*RELEASE, "--output", "out.parquet").code == 0
    assert read_predictions(drifting / "out.parquet", DATE).equals(rows, check_metadata=True)


def test_withheld_run_is_kept(drifting, score, monkeypatch):
    """The next run of the same inputs says that they are withheld, and scores nothing."""
    assert score("out").code == 8
    kept = snapshot(drifting)
    monkeypatch.setattr("gamesales.scoring.shard.score_shard", None)
    ran = score("out", "--json")
    assert (ran.code, ran.document["is_withheld"], ran.document["already_done"]) == (8, True, True)
    assert set(kept.values()) == set(snapshot(drifting).values())
    preview = score("out", "--dry-run").out
    assert "already scored, and withheld" in preview
    assert f"to publish it: --release {DATE} --reason TEXT" in preview


def test_redo(drifting, score, cli):
    """A withheld run is scored again with --fresh, or replaced by a run of other inputs."""
    assert score("out").code == 8
    assert score("out", "--fresh", "--on-drift", "fail").code == 6
    assert score("out", "--fresh").code == 8
    assert score("out", source="usual.parquet").code == 0
    ran = cli(*RELEASE, "--output", "out")
    assert (ran.code, f"no run of {DATE} is withheld" in ran.err) == (2, True)


def test_release_of_changed_files(drifting, score, cli):
    """A release refuses files that were changed, and publishes nothing."""
    assert score("out").code == 8
    (part,) = drifting.rglob("part-*.parquet.part")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    ran = cli(*RELEASE, "--output", "out")
    assert (ran.code, "was changed: made/part-" in ran.err) == (3, True)
    assert read_result(drifting, "out") is None
    assert score("out", "--fresh").code == 8
    assert cli(*RELEASE, "--output", "out").code == 0


def test_release_after_another_run(drifting, score, cli):
    """A release refuses to replace a run that was published after the withheld run."""
    assert score("out").code == 8
    work = next(drifting.rglob("*.work"))
    work.rename(drifting / "copy")
    assert score("out", source="usual.parquet").code == 0
    (drifting / "copy").rename(work)
    before = read_result(drifting, "out")
    ran = cli(*RELEASE, "--output", "out")
    assert (ran.code, "was withheld, and then" in ran.err) == (2, True)
    assert read_result(drifting, "out") == before


@pytest.mark.parametrize("output", ["out", "out.csv"])
def test_release_is_killed(drifting, score, cli, monkeypatch, output):
    """A release that is killed while it publishes is repeated, and publishes the run that was withheld."""
    fsync = commit.fsync
    for number in itertools.count():
        path, steps = f"{number}/{output}", itertools.count()
        if number % 2:
            assert score(path, source="usual.parquet").code == 0
        assert score(path).code == 8

        def fsync_or_die(path, steps=steps, number=number):
            if next(steps) == number:
                raise KeyboardInterrupt
            fsync(path)

        with monkeypatch.context() as patches:
            patches.setattr(commit, "fsync", fsync_or_die)
            code = cli(*RELEASE, "--output", path).code
        if code == 0:
            break
        assert code == 130
        assert score(path).code in {0, 8}
        assert cli(*RELEASE, "--output", path).code in {0, 2}  # 2: it was published, and the next run noticed
        assert read_report(drifting, path)["rows_scored"] == read_predictions(drifting / path, DATE).num_rows == 499
        assert [path.name for path in drifting.rglob("*.work")] == []
    assert number > 5


@pytest.mark.parametrize("mark", [b"", b"{}", b'{"schema": 1}', b"\xff"])
def test_damaged_mark(drifting, score, cli, mark):
    """A mark that can't be read is an error with a way out."""
    assert score("out").code == 8
    next(drifting.rglob(WITHHELD)).write_bytes(mark)
    ran = cli(*RELEASE, "--output", "out")
    assert (ran.code, "can't be read" in ran.err, "--fresh" in ran.err) == (3, True, True)
    assert score("out", "--fresh").code == 8


def test_stricter_limits(drifting, score):
    """A withheld run that breaks a stricter limit is not withheld: the limit fails it."""
    assert score("out").code == 8
    ran = score("out", "--max-rejects", "0")
    assert (ran.code, "rejected" in ran.err) == (3, True)


def test_withheld_run_is_listed(drifting, score):
    """What lists the runs of a folder lists a withheld run, with the command that releases it."""
    assert score("out", "--date", "2026-11-22", source="usual.parquet").code == 0
    assert score("out").code == 8
    runs, skipped = find_published_runs(drifting / "out")
    assert [str(run.day) for run in runs] == ["2026-11-22"]
    assert [(entry.place[-10:], "--release 2026-11-23" in entry.reason) for entry in skipped] == [(DATE, True)]


def test_readers_find_no_withheld_part(drifting, score):
    """No reader of Parquet files finds the parts of a withheld run."""
    assert score("out").code == 8
    assert list((drifting / "out").rglob("*.parquet")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--release", DATE, "--output", "out"], "needs a reason"),
        (["--release", DATE, "--reason", "x"], "--output is missing"),
        (["--release", "soon", "--reason", "x", "--output", "out"], "--release expects YYYY-MM-DD"),
        (["a.csv", "--release", DATE, "--reason", "x", "--output", "out"], "takes no INPUT"),
        (["a.csv", "--reason", "x", "--output", "out"], "--reason is for --release"),
        (["usual.parquet", "--on-drift", "withhold", "--output", "-"], "standard output can't be withheld"),
        (["usual.parquet", "--on-drift", "stop", "--output", "out"], "--on-drift expects"),
    ],
)
def test_wrong_arguments(drifting, cli, arguments, message):
    """Arguments that do not fit together are refused."""
    ran = cli("score", *arguments)
    assert (ran.code, message in ran.err) == (2, True), ran.err


def test_job_file(drifting, cli):
    """The job file sets what drift does; the old key and the old option still work."""
    job = 'inputs = ["drifted.parquet"]\noutput = "out"\n'
    for extra, options, code in (
        ("", [], 0),
        ('on_drift = "withhold"\n', [], 8),
        ('on_drift = "withhold"\n', ["--on-drift", "warn"], 0),
        ('on_drift = "withhold"\n', ["--fail-on-drift"], 6),
        ("[drift]\nfail = true\n", [], 6),
        ('on_drift = "warn"\n[drift]\nfail = true\n', [], 0),
        ('on_drift = "stop"\n', [], 2),
    ):
        (drifting / "job.toml").write_text(job + extra)
        ran = cli("score", "--job", "job.toml", "--date", DATE, "--fresh", *options)
        assert ran.code == code, (extra, options, ran.err)
        assert (f"exit code {code}: {DATE} is" in ran.err) == (code in (6, 8))


def test_metrics(drifting, score, cli):
    """A withheld run is not a success on the metrics page; its release is."""
    assert score("out", "--metrics-file", "page.prom").code == 8
    page = (drifting / "page.prom").read_text()
    assert 'gamesales_score_withheld{model="game-earnings"} 1.0' in page
    assert "last_success" not in page
    assert cli(*RELEASE, "--output", "out", "--metrics-file", "page.prom").code == 0
    page = (drifting / "page.prom").read_text()
    assert 'gamesales_score_withheld{model="game-earnings"} 0.0' in page
    assert "last_success" in page


def test_python_api(drifting):
    """The Python API withholds drift, and limits the share of titles outside the training range."""
    (report,) = gamesales.score("drifted.parquet", "out", day=DATE, on_drift="withhold")
    assert report.is_withheld
    assert not (drifting / f"out/run_date={DATE}").exists()
    assert gamesales.score("usual.parquet", "out", day=DATE, max_outside="0%")[0].rows_scored == 500
    with pytest.raises(UsageError, match="on_drift expects"):
        gamesales.score("usual.parquet", "out", on_drift="stop")


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("output", OUTPUTS)
def test_killed_at_any_call(drifting, tmp_path, output):
    """A run that is killed publishes nothing, and is withheld whole or not at all. The next run is withheld."""
    calls = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
    untouched = tmp_path.with_name(f"{tmp_path.name}-untouched")
    shutil.copytree(drifting, untouched, symlinks=True)
    arguments = ["score", "drifted.parquet", "--output", output, "--date", DATE, "--on-drift", "withhold"]
    command = [sys.executable, "-m", "gamesales", *arguments, "--workers", "1"]
    ran, seen = traced(command, drifting / "trace", None, calls, drifting)
    assert ran.returncode == 8
    for point in sample(f"calls of a withheld run to {output}", {(c.name, c.number): c for c in seen}.values(), 5):
        shutil.rmtree(drifting)
        shutil.copytree(untouched, drifting, symlinks=True)
        ran, _ = traced(command, drifting / "trace", point, calls, drifting)
        assert ran.returncode == -9
        assert read_result(drifting, output) is None
        if list(drifting.rglob(WITHHELD)):
            assert run_gamesales(drifting, *RELEASE, "--output", output).returncode == 0
        else:
            assert run_gamesales(drifting, *arguments).returncode == 8
            assert run_gamesales(drifting, *RELEASE, "--output", output).returncode == 0
        assert read_predictions(drifting / output, DATE).num_rows == 499
    shutil.rmtree(untouched)
