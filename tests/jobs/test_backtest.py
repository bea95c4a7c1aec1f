"""``gamesales backtest``: metrics, errors, evidence, and dates that are replaced while they are read."""

import contextlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from sklearn import metrics as sklearn_metrics

from gamesales.backtesting import actuals as actuals_module
from gamesales.cli.main import run
from gamesales.jobs.loading import open_registry
from gamesales.old_keys import add_old_keys
from gamesales.scoring import result_files as reading
from gamesales.stats.clustered import wilson_interval
from support.runs import snapshot
from support.versions import (
    DATA,
    FEATURES,
    publish_promoted,
    publish_simple,
    simple_earnings,
    title_values,
    titles_table,
)

TITLES = 200
IDS = [f"{number:03d}" for number in range(TITLES)]
DAYS = {"2026-10-30": "1", "2026-10-31": "1", "2026-11-01": "2", "2026-11-02": "2"}
EARNINGS = np.maximum(simple_earnings(title_values(TITLES)) + np.random.default_rng(2).normal(0, 900, TITLES), 1)


def write_titles(path, ids=IDS, rows=slice(None)):
    values = title_values(TITLES)[rows]
    columns = {name: values[:, position] for position, name in enumerate(FEATURES)}
    parquet.write_table(pa.table({**columns, "title_id": pa.array(ids)}), path)


def write_actuals(path, ids=IDS, earnings=EARNINGS):
    table = pa.table({"title_id": pa.array(ids), "total_earnings": pa.array(earnings)})
    (arrow_csv.write_csv if str(path).endswith(".csv") else parquet.write_table)(table, path)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A folder with four dates in ``out``, two by each of two versions.

    The second version predicts 500 dollars more. ``actuals.csv`` has all titles.
    """
    folder = tmp_path_factory.mktemp("scored")
    publish_promoted(folder)
    publish_simple(open_registry(folder / "registry", "game-earnings"), bias=500.0)
    with contextlib.chdir(folder):
        write_titles("in.parquet")
        for day, version in DAYS.items():
            arguments = ["score", "in.parquet", "--output", "out", "--date", day, "--model", version]
            assert run([*arguments, "--registry", "registry"]) == 0
        write_actuals("actuals.csv")
    return folder


@pytest.fixture
def backtest(cli, scored, tmp_path):
    """Run the command in a copy of the folder."""
    shutil.copytree(scored, tmp_path, dirs_exist_ok=True)

    def run(*arguments, predictions="out", actuals="actuals.csv"):
        return cli("backtest", "--predictions", predictions, "--actuals", actuals, *arguments)

    run.registry = open_registry(tmp_path / "registry", "game-earnings")
    run.cli = cli
    return run


def document(ran, code=0):
    assert ran.code == code, ran
    return ran.document


# Metrics


def test_metrics_match_scikit_learn(backtest):
    """The metrics by version and by date match scikit-learn and NumPy."""
    done = document(backtest("--json"))
    for version, bias in zip(done["versions"], (0.0, 500.0), strict=True):
        predicted = simple_earnings(title_values(TITLES), bias)
        errors = predicted - EARNINGS
        expected = {
            "rows": 2 * TITLES,
            "titles": TITLES,
            "mae": sklearn_metrics.mean_absolute_error(EARNINGS, predicted),
            "rmse": sklearn_metrics.root_mean_squared_error(EARNINGS, predicted),
            "bias": errors.mean(),
            "r2": sklearn_metrics.r2_score(EARNINGS, predicted),
            "mape_percent": 100 * sklearn_metrics.mean_absolute_percentage_error(EARNINGS, predicted),
            # Each title has two predictions with the same error, which count as one observation.
            "bias_low": errors.mean() - 1.959964 * errors.std(ddof=1) / math.sqrt(TITLES),
            "bias_high": errors.mean() + 1.959964 * errors.std(ddof=1) / math.sqrt(TITLES),
        }
        assert {key: version["error_metrics"][key] for key in expected} == pytest.approx(expected)
        days = [day for day in done["dates"] if day["version"] == version["version"]]
        assert [day["error_metrics"]["mae"] for day in days] == pytest.approx([expected["mae"]] * 2)
    assert [("2026-10", 1), ("2026-11", 2)] == [(month["month"], month["version"]) for month in done["months"]]
    assert (4 * TITLES, 4 * TITLES, 0) == (done["rows"], done["matched"], done["waiting"])


def test_backtest_output(backtest):
    """The output has the metrics of each version and date."""
    ran = backtest()
    assert f"{4 * TITLES} of {4 * TITLES} predictions on 4 dates have actual earnings" in ran.out
    assert "version 2, 2026-11-01 to 2026-11-02" in ran.out
    assert "too high by $5" in ran.out
    assert "No significant change over time" in ran.out
    assert ran.out.count("evidence: recorded") == 2


@pytest.mark.parametrize("output", ["one.csv", "one.parquet"])
def test_single_file(backtest, output):
    """A single result file can be backtested."""
    backtest.cli("score", "in.parquet", "--output", output, "--date", "2026-10-30", "--model", "1")
    file, folder = document(backtest("--json", predictions=output)), document(backtest("--json"))
    assert file["dates"][0]["error_metrics"] == pytest.approx(folder["dates"][0]["error_metrics"])


def test_id_types_join_alike(backtest):
    """Ids join alike as text, as whole numbers and as the floats that pandas makes."""
    numbers = [number + 1000 for number in range(TITLES)]
    write_titles("in.parquet", numbers)
    for name in ("ids.csv", "ids.parquet"):
        write_actuals(name, numbers)
    write_actuals("floats.parquet", [float(number) for number in numbers])
    backtest.cli("score", "in.parquet", "--output", "numbers", "--model", "1")
    metrics = [
        document(backtest("--json", predictions="numbers", actuals=name))["versions"][0]["error_metrics"]
        for name in ("ids.csv", "ids.parquet", "floats.parquet")
    ]
    assert metrics[0] == metrics[1] == metrics[2]
    assert TITLES == metrics[0]["rows"]


def test_row_order_is_ignored(backtest):
    """The order of rows changes no metric."""
    before = document(backtest("--json"))
    order = np.random.default_rng(4).permutation(TITLES)
    write_actuals("actuals.csv", [IDS[position] for position in order], EARNINGS[order])
    after = document(backtest("--json"))
    for old, new in zip(before["versions"], after["versions"], strict=True):
        assert old["error_metrics"] == pytest.approx(new["error_metrics"])


def test_unmatched_rows_are_counted(backtest):
    """Predictions without earnings and earnings without predictions are counted."""
    write_actuals("actuals.csv", [*IDS[:150], "new"], np.append(EARNINGS[:150], 7.0))
    done = document(backtest("--json"))
    assert (600, 200, 1) == (done["matched"], done["waiting"], done["actuals_never_predicted"])
    assert "1 title of 151 with earnings, but never predicted" in backtest().out


def test_duplicate_title_on_date(backtest):
    """A duplicate title on a date counts twice and is reported."""
    write_titles("in.parquet", [*IDS[:-1], IDS[0]])
    backtest.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "1")
    ran = backtest()
    assert "1 duplicate title on a date (2026-10-30), each counted twice" in ran.out


def test_predictions_without_id(backtest):
    """Predictions without an id are counted separately."""
    write_titles("in.parquet", [None, "", *IDS[2:]])
    backtest.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "1")
    assert 2 == document(backtest("--json"))["without_id"]


def with_bounds(folder, width):
    """Add prediction intervals to the predictions of every date."""
    for part in Path(folder).rglob("part-*.parquet"):
        table = parquet.read_table(part, partitioning=None)
        predicted = table.column("predicted_earnings").to_numpy()
        for name, value in (("low", predicted - width), ("high", predicted + width)):
            table = table.append_column(f"predicted_earnings_{name}", pa.array(value))
        parquet.write_table(table, part)


def test_coverage_of_intervals(backtest):
    """The coverage is computed if the predictions have intervals."""
    with_bounds("out", 1000.0)
    version = document(backtest("--json"))["versions"][0]["error_metrics"]
    covered = (np.abs(simple_earnings(title_values(TITLES)) - EARNINGS) <= 1000).mean()
    assert covered == version["coverage"]
    assert wilson_interval(covered, TITLES) == (version["coverage_low"], version["coverage_high"])
    assert "Its prediction intervals contain" in backtest().out


# Errors


def test_dates_without_ids(backtest):
    """The error names all dates without id columns."""
    parquet.write_table(titles_table(50), "nameless.parquet")
    for day in ("2026-10-31", "2026-11-01"):
        backtest.cli("score", "nameless.parquet", "--output", "out", "--date", day, "--model", "1")
    ran = backtest()
    assert (3, "") == (ran.code, ran.out)
    assert (
        "out/run_date=2026-10-31, out/run_date=2026-11-01 can't be joined with earnings: no column title_id" in ran.err
    )
    assert "--keep title_id" in ran.err


def test_no_matches(backtest):
    """If no id matches, the error shows ids of both sides."""
    write_actuals("actuals.parquet", list(range(5000, 5000 + TITLES)))
    ran = backtest(actuals="actuals.parquet")
    assert 3 == ran.code
    assert "predicted ids are '000', '001', '002', …; ids with earnings are '5000', '5001', '5002', …" in ran.err


def test_duplicate_id_in_actuals(backtest):
    """A duplicate id in the actuals is an error."""
    write_actuals("actuals.csv", [*IDS[:-1], IDS[0]])
    ran = backtest()
    assert 3 == ran.code
    assert "actuals.csv has 1 duplicate id ('000')" in ran.err


def test_unusable_actuals(backtest):
    """Unusable rows of the actuals are left out and listed."""
    lines = ["title_id,total_earnings", *(f"{title_id},{value}" for title_id, value in zip(IDS, EARNINGS, strict=True))]
    lines[1:5] = ["000,", "001,nan", "002,-3", ",10"]
    Path("actuals.csv").write_text("\n".join(lines) + "\n")
    done = document(backtest("--json"))
    assert (4, TITLES - 4) == (done["skipped_actuals"], done["actuals_rows"])
    assert done["actuals_reasons"] == [
        "row 1: total_earnings: missing",
        "row 2: total_earnings: not a number",
        "row 3: total_earnings: out of range, allowed: 0 or more",
    ]


def test_max_rejects(backtest):
    """Too many unusable actuals are an error, unless --max-rejects allows them."""
    write_actuals("actuals.csv", IDS, np.where(np.arange(TITLES) < 30, -1.0, EARNINGS))
    ran = backtest()
    assert 3 == ran.code
    assert "30 of 200 rows of actuals.csv can't be used, more than the 10 allowed" in ran.err
    assert 30 == document(backtest("--max-rejects", "20%", "--json"))["skipped_actuals"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,total_earnings\na,1\n", "actuals.csv lacks title_id, which identifies a title"),
        ("title_id,earned\na,1\n", "actuals.csv lacks total_earnings"),
        ("title_id,total_earnings\n", "actuals.csv has no rows"),
    ],
)
def test_wrong_actuals(backtest, content, message):
    """A file without ids, earnings or rows is an error."""
    Path("actuals.csv").write_text(content)
    ran = backtest()
    assert 3 == ran.code
    assert message in ran.err


def test_missing_paths(backtest):
    """The error names a missing path."""
    assert "no file none.csv" in backtest(actuals="none.csv").err
    assert "no folder of predictions none" in backtest(predictions="none").err
    Path("empty").mkdir()
    ran = backtest(predictions="empty")
    assert (3, True) == (ran.code, "no predictions in empty: it has no run_date=YYYY-MM-DD" in ran.err)


def test_unpublished_dates_are_left_out(backtest):
    """A date without _SUCCESS is left out and listed. Working folders are ignored."""
    Path("out/run_date=2026-10-31/_SUCCESS").unlink()
    for name in (".run_date=2026-12-01.work", "_notes", "run_date=soon"):
        Path("out", name).mkdir()
    done = document(backtest("--json"))
    assert ["2026-10-30", "2026-11-01", "2026-11-02"] == [day["date"] for day in done["dates"]]
    assert {date["place"]: date["reason"] for date in done["skipped_dates"]} == {
        "out/run_date=2026-10-31": "no _SUCCESS, so it was not published whole",
        "out/run_date=soon": "not a date, expected YYYY-MM-DD",
    }


def test_folder_of_other_date(backtest):
    """A folder with the result of another date is an error."""
    shutil.copytree("out/run_date=2026-10-30", "out/run_date=2026-12-24")
    ran = backtest()
    assert 3 == ran.code
    assert "out/run_date=2026-12-24 holds predictions for 2026-10-30" in ran.err


def test_part_of_other_bundle(backtest):
    """A part of another bundle than its report names is an error."""
    report = Path("out/run_date=2026-10-30/_run.json")
    report.write_text(json.dumps({**json.loads(report.read_text()), "bundle_sha256": "f" * 64}))
    ran = backtest()
    assert 3 == ran.code
    assert "expected ffffffffffff, as in its report" in ran.err


def test_damaged_part(backtest):
    """The error names a damaged part."""
    part = next(Path("out/run_date=2026-10-30").glob("part-*"))
    part.write_bytes(part.read_bytes()[:200])
    ran = backtest()
    assert 3 == ran.code
    assert f"{part} is damaged" in ran.err


# Evidence


def test_backtest_records_evidence(backtest):
    """Each version gets one evaluation of the kind backtest."""
    done = document(backtest("--json", "--reason", "the quarter is over"))
    events = [event for event in backtest.registry.read_events() if event.body.get("kind") == "backtest"]
    assert ["the quarter is over"] * 2 == [event.reason for event in events]
    for event, version in zip(events, done["versions"], strict=True):
        assert event.body["digest"] == version["digest"] == backtest.registry.find_version(version["version"]).digest
        assert (event.body["data"], event.body["data_sha256"]) == ("actuals.csv", done["actuals_sha256"])
        assert add_old_keys(event.body["metrics"]) == version["metrics"]
        assert (event.body["first_date"], event.body["last_date"]) == (version["first_date"], version["last_date"])
        assert 2 * TITLES == event.body["rows"]
        months = [month for month in done["months"] if month["version"] == version["version"]]
        keys = ("rows", "mae", "mae_low", "mae_high")
        expected = [{"month": month["month"], **{key: month["error_metrics"][key] for key in keys}} for month in months]
        assert expected == event.body["months"]
    assert (len(backtest.registry.read_events()), 4) == backtest.registry.verify()
    assert "backtested version 1 on actuals.csv" in backtest.cli("history").out


def test_backtest_records_once(backtest):
    """The same backtest is recorded once. Other actuals are recorded again."""
    backtest()
    events = backtest.registry.read_events()
    assert ["recorded before"] * 2 == [version["evidence"] for version in document(backtest("--json"))["versions"]]
    assert backtest.registry.read_events() == events
    write_actuals("actuals.csv", IDS, EARNINGS + 1)
    backtest()
    assert len(backtest.registry.read_events()) == len(events) + 2


def test_fail_if_worse(backtest):
    """With --fail-if-worse, a larger error than on the holdout is recorded, and the command exits with 6."""
    assert 0 == backtest("--fail-if-worse").code
    write_actuals("actuals.csv", IDS, EARNINGS + 9_000)
    assert 0 == backtest("--dry-run").code
    ran = backtest("--fail-if-worse", "--json")
    done = document(ran, 6)
    assert ["recorded"] * 2 == [version["evidence"] for version in done["versions"]]
    assert all("it is worse than on its holdout: $" in version["worse"][0] for version in done["versions"])
    assert "exit code 6: version 1: From 2026-10-31 on it is worse than on its holdout: $" in ran.err.splitlines()[-1]


def test_backtest_dry_run(backtest, tmp_path):
    """A dry run writes nothing."""
    before = snapshot(tmp_path)
    done = document(backtest("--json", "--dry-run"))
    assert ["would be recorded"] * 2 == [version["evidence"] for version in done["versions"]]
    assert before == snapshot(tmp_path)


def test_backtest_is_no_holdout(backtest):
    """A backtest does not replace the holdout metrics of a version."""
    holdout = backtest.registry.find_version(1).read_last_holdout_evaluation()
    backtest()
    version = backtest.registry.find_version(1)
    assert ["holdout", "backtest"] == [evaluation.kind for evaluation in version.read_evaluations()]
    assert holdout == version.read_last_holdout_evaluation()
    assert document(backtest("--json"))["versions"][0]["holdout"] == add_old_keys(holdout.metrics)


def test_version_of_other_registry(backtest, tmp_path):
    """Predictions of another registry's version are judged but not recorded."""
    other = backtest.cli("backtest", "--predictions", "out", "--actuals", "actuals.csv", "--registry", "none", "--json")
    assert 4 == other.code  # no contract either: there is no data/contract.toml here
    assert "no model game-earnings in" in other.document["error"]["message"]
    (tmp_path / "data").mkdir()
    shutil.copy(DATA / "contract.toml", tmp_path / "data")
    done = document(
        backtest.cli("backtest", "--predictions", "out", "--actuals", "actuals.csv", "--registry", "none", "--json"),
        code=4,
    )
    assert ["refused"] * 2 == [version["evidence"] for version in done["versions"]]
    assert done["versions"][0]["refused"].startswith("no model game-earnings in")
    assert 4 * TITLES == done["matched"]
    assert not Path("none").exists()


def test_version_with_other_digest(backtest):
    """A run with another digest is not recorded. The others are."""
    for part in Path("out/run_date=2026-10-30").glob("part-*"):
        parquet.write_table(parquet.read_table(part, partitioning=None).replace_schema_metadata(), part)
    report = Path("out/run_date=2026-10-30/_run.json")
    report.write_text(json.dumps({**json.loads(report.read_text()), "bundle_sha256": "f" * 64}))
    done = document(backtest("--json"), code=4)
    evidence = sorted((version["version"], version["dates"], version["evidence"]) for version in done["versions"])
    assert [(1, 1, "recorded"), (1, 1, "refused"), (2, 2, "recorded")] == evidence
    refused = [version for version in done["versions"] if version["evidence"] == "refused"]
    assert ["f" * 64] == [version["digest"] for version in refused]
    assert "was scored by a bundle with digest ffffffffffff, but version 1" in refused[0]["refused"]
    assert 0 == backtest("--dry-run").code


def test_retired_version(backtest):
    """A retired version is judged but not recorded."""
    backtest.registry.retire(2, "no longer needed")
    ran = backtest()
    assert 4 == ran.code
    assert "not recorded: version 2: it is retired" in ran.err


# Results that are replaced while they are read


def test_date_replaced_while_read(backtest, monkeypatch):
    """A date that is scored again while it is read is read again. The old rows are forgotten."""
    expected = document(backtest("--json", "--dry-run"))
    add_table, replacements = actuals_module._add_table, ["once"]

    def add_and_replace(*arguments):
        add_table(*arguments)
        if replacements:
            replacements.pop()
            write_titles("in.parquet", IDS[:-50], slice(-50))
            assert (
                backtest.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "1").code == 0
            )

    read_pieces = reading._read_pieces

    def read_twice(paths, report, names):
        """Read the parts, and open them a second time after that."""
        yield from read_pieces(paths, report, names)
        yield from (piece.slice(0, 0) for piece in read_pieces(paths, report, names))

    monkeypatch.setattr(actuals_module, "_add_table", add_and_replace)
    monkeypatch.setattr(reading, "_read_pieces", read_twice)
    done = document(backtest("--json", "--dry-run"))
    assert replacements == []
    assert [TITLES - 50, TITLES, TITLES, TITLES] == [day["error_metrics"]["rows"] for day in done["dates"]]
    assert expected["dates"][1:] == done["dates"][1:]


def test_date_replaced_by_other_version(backtest, monkeypatch):
    """A date that another version scores while it is read is an error to try again."""
    scan = actuals_module.PublishedRun.scan

    def replace_and_scan(self, names, use):
        backtest.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "2")
        return scan(self, names, use)

    monkeypatch.setattr(actuals_module.PublishedRun, "scan", replace_and_scan)
    ran = backtest()
    assert 7 == ran.code
    assert "out/run_date=2026-10-30 was scored again by another version while it was read" in ran.err


# The page


def test_page_starts_with_verdict(backtest):
    """The page starts with the verdict and loads nothing from the network."""
    from support.pages import Outline, read_text

    with_bounds("out", 1000.0)
    assert 0 == backtest("--page", "page.html").code
    page = Path("page.html").read_text()
    assert read_text(page).startswith("game-earnings backtest on actuals.csv Version 2: from November 2, 2026 on it is")
    outline = Outline(page)
    ids = [of["id"] for _, of in outline.tags if "id" in of]
    assert (outline.open, len(ids)) == ([], len(set(ids)))
    assert "://" not in page
    headings = ("Average error by date", "Bias by date", "Coverage by date", "Predicted against actual, version 2")
    assert all(heading in read_text(page) for heading in headings)


def test_page_is_reproducible(backtest):
    """The same backtest gives the same page."""
    backtest()
    backtest("--page", "one.html")
    backtest("--page", "two.html")
    assert Path("one.html").read_text() == Path("two.html").read_text()


def test_backtest_loads_no_pandas(backtest):
    """Without a page, neither pandas nor Matplotlib is loaded."""
    command = (
        "import sys; from gamesales.cli.main import run; code = run(sys.argv[1:]); heavy = {'pandas', 'matplotlib'}"
    )
    script = f"{command}; sys.exit(code or len(heavy & set(sys.modules)))"
    arguments = ["backtest", "--predictions", "out", "--actuals", "actuals.csv", "--dry-run"]
    assert 0 == subprocess.run([sys.executable, "-c", script, *arguments], check=False).returncode
