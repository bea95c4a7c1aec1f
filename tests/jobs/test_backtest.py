"""Past predictions held to what their titles earned: figures, refusals, evidence, and a date swapped meanwhile."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from sklearn import metrics as sklearn_metrics

from gamesales.backtest import join as joining
from gamesales.scoring import results as reading
from gamesales.stats.error_sums import MOST_DRAWN, Gathered, Joined
from gamesales.stats.errors import against_holdout, bias_shift, error_shift, figures, wilson
from support.runs import snapshot
from support.versions import DATA, FEATURES, publish_simple, simple_earnings, title_values, titles_table

TITLES = 200
IDS = [f"{number:03d}" for number in range(TITLES)]
DAYS = {"2026-10-30": "1", "2026-10-31": "1", "2026-11-01": "2", "2026-11-02": "2"}
EARNED = np.maximum(simple_earnings(title_values(TITLES)) + np.random.default_rng(2).normal(0, 900, TITLES), 1)


def write_titles(path, ids=IDS, rows=slice(None)):
    values = title_values(TITLES)[rows]
    columns = {name: values[:, place] for place, name in enumerate(FEATURES)}
    parquet.write_table(pa.table({**columns, "title_id": pa.array(ids)}), path)


def write_actuals(path, ids=IDS, earned=EARNED):
    table = pa.table({"title_id": pa.array(ids), "total_earnings": pa.array(earned)})
    (arrow_csv.write_csv if str(path).endswith(".csv") else parquet.write_table)(table, path)


@pytest.fixture
def past(cli, simple_registry):
    """Four dates in ``out``, two by each of two versions, the second 500 dollars higher; ``actuals.csv`` knows all."""
    publish_simple(simple_registry, bias=500.0)
    write_titles("in.parquet")
    for day, version in DAYS.items():
        assert cli("score", "in.parquet", "--output", "out", "--date", day, "--model", version).code == 0
    write_actuals("actuals.csv")

    def run(*arguments, predictions="out", actuals="actuals.csv"):
        return cli("backtest", "--predictions", predictions, "--actuals", actuals, *arguments)

    run.registry = simple_registry
    run.cli = cli
    return run


def document(ran, code=0):
    assert ran.code == code, ran
    return ran.document


# -- figures -----------------------------------------------------------------------------------------


def test_figures_are_those_of_a_plain_computation(past):
    """By version and by date: what scikit-learn and two lines of NumPy say of the same numbers."""
    done = document(past("--json"))
    for version, bias in zip(done["versions"], (0.0, 500.0), strict=True):
        predicted = simple_earnings(title_values(TITLES), bias)
        errors = predicted - EARNED
        expected = {
            "rows": 2 * TITLES,
            "titles": TITLES,
            "mae": sklearn_metrics.mean_absolute_error(EARNED, predicted),
            "rmse": sklearn_metrics.root_mean_squared_error(EARNED, predicted),
            "bias": errors.mean(),
            "r2": sklearn_metrics.r2_score(EARNED, predicted),
            "mape_percent": 100 * sklearn_metrics.mean_absolute_percentage_error(EARNED, predicted),
            # Each title came twice with the same error, which is no more to know than once.
            "bias_low": errors.mean() - 1.959964 * errors.std(ddof=1) / math.sqrt(TITLES),
            "bias_high": errors.mean() + 1.959964 * errors.std(ddof=1) / math.sqrt(TITLES),
        }
        assert {key: version["figures"][key] for key in expected} == pytest.approx(expected)
        dates = [one for one in done["dates"] if one["version"] == version["version"]]
        assert [one["figures"]["mae"] for one in dates] == pytest.approx([expected["mae"]] * 2)
    assert [("2026-10", 1), ("2026-11", 2)] == [(one["month"], one["version"]) for one in done["months"]]
    assert (4 * TITLES, 4 * TITLES, 0) == (done["rows"], done["matched"], done["waiting"])


def test_people_read_the_figures_of_each_version_and_date(past):
    ran = past()
    assert f"{4 * TITLES} of {4 * TITLES} predictions on 4 dates met their earnings" in ran.out
    assert "version 2, 2026-11-01 to 2026-11-02" in ran.out
    assert "too high by $5" in ran.out
    assert "No change over time that can be told from chance" in ran.out
    assert ran.out.count("evidence: recorded") == 2


@pytest.mark.parametrize("output", ["one.csv", "one.parquet"])
def test_a_single_file_is_held_to_earnings_too(past, output):
    past.cli("score", "in.parquet", "--output", output, "--date", "2026-10-30", "--model", "1")
    alone, among = document(past("--json", predictions=output)), document(past("--json"))
    assert alone["dates"][0]["figures"] == pytest.approx(among["dates"][0]["figures"])


def test_ids_are_joined_alike_as_text_as_whole_numbers_and_as_what_pandas_makes_of_these(past):
    numbers = [number + 1000 for number in range(TITLES)]
    write_titles("in.parquet", numbers)
    for name in ("ids.csv", "ids.parquet"):
        write_actuals(name, numbers)
    write_actuals("floats.parquet", [float(number) for number in numbers])
    past.cli("score", "in.parquet", "--output", "numbers", "--model", "1")
    found = [
        document(past("--json", predictions="numbers", actuals=name))["versions"][0]["figures"]
        for name in ("ids.csv", "ids.parquet", "floats.parquet")
    ]
    assert found[0] == found[1] == found[2]
    assert TITLES == found[0]["rows"]


def test_the_order_of_either_side_changes_no_figure(past):
    before = document(past("--json"))
    order = np.random.default_rng(4).permutation(TITLES)
    write_actuals("actuals.csv", [IDS[place] for place in order], EARNED[order])
    after = document(past("--json"))
    for one, other in zip(before["versions"], after["versions"], strict=True):
        assert one["figures"] == pytest.approx(other["figures"])


def test_what_has_no_counterpart_is_counted(past):
    write_actuals("actuals.csv", [*IDS[:150], "new"], np.append(EARNED[:150], 7.0))
    done = document(past("--json"))
    assert (600, 200, 1) == (done["matched"], done["waiting"], done["actuals_never_predicted"])
    assert "1 of 151 titles with earnings were never predicted" in past().out


def test_a_title_that_comes_twice_on_a_date_counts_twice_and_is_told(past):
    write_titles("in.parquet", [*IDS[:-1], IDS[0]])
    past.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "1")
    ran = past()
    assert "1 titles come twice on a date (2026-10-30) and count twice" in ran.out


def test_predictions_without_an_id_are_counted_apart(past):
    write_titles("in.parquet", [None, "", *IDS[2:]])
    past.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "1")
    assert 2 == document(past("--json"))["without_id"]


def with_bounds(folder, width):
    """Give the predictions of every date bounds; as runs will, once versions have them."""
    for part in Path(folder).rglob("part-*.parquet"):
        table = parquet.read_table(part, partitioning=None)
        predicted = table.column("predicted_earnings").to_numpy()
        for name, value in (("low", predicted - width), ("high", predicted + width)):
            table = table.append_column(f"predicted_earnings_{name}", pa.array(value))
        parquet.write_table(table, part)


def test_bounds_are_held_to_earnings_where_predictions_have_them(past):
    with_bounds("out", 1000.0)
    version = document(past("--json"))["versions"][0]["figures"]
    held = (np.abs(simple_earnings(title_values(TITLES)) - EARNED) <= 1000).mean()
    assert held == version["coverage"]
    assert wilson(held, TITLES) == (version["coverage_low"], version["coverage_high"])
    assert "Its intervals held" in past().out


# -- refusals ----------------------------------------------------------------------------------------


def test_dates_without_ids_are_all_named(past):
    parquet.write_table(titles_table(50), "nameless.parquet")
    for day in ("2026-10-31", "2026-11-01"):
        past.cli("score", "nameless.parquet", "--output", "out", "--date", day, "--model", "1")
    ran = past()
    assert (3, "") == (ran.code, ran.out)
    assert (
        "out/run_date=2026-10-31, out/run_date=2026-11-01 can't be joined with earnings: no column title_id" in ran.err
    )
    assert "--keep title_id" in ran.err


def test_earnings_that_match_nothing_are_refused_with_examples_of_both_sides(past):
    write_actuals("actuals.parquet", list(range(5000, 5000 + TITLES)))
    ran = past(actuals="actuals.parquet")
    assert 3 == ran.code
    assert "predicted were '000', '001', '002', …, earnings are known of '5000', '5001', '5002', …" in ran.err


def test_an_id_with_two_earnings_is_refused(past):
    write_actuals("actuals.csv", [*IDS[:-1], IDS[0]])
    ran = past()
    assert 3 == ran.code
    assert "actuals.csv has 1 ids more than once ('000')" in ran.err


def test_earnings_that_are_none_are_left_out_and_told(past):
    lines = ["title_id,total_earnings", *(f"{one},{value}" for one, value in zip(IDS, EARNED, strict=True))]
    lines[1:5] = ["000,", "001,nan", "002,-3", ",10"]
    Path("actuals.csv").write_text("\n".join(lines) + "\n")
    done = document(past("--json"))
    assert (4, TITLES - 4) == (done["actuals_left_out"], done["actuals_rows"])
    assert done["actuals_reasons"] == [
        "row 1: total_earnings: missing",
        "row 2: total_earnings: not a number",
        "row 3: total_earnings: out of range, allowed: 0 or more",
    ]


def test_too_many_unusable_earnings_are_refused_unless_allowed(past):
    write_actuals("actuals.csv", IDS, np.where(np.arange(TITLES) < 30, -1.0, EARNED))
    ran = past()
    assert 3 == ran.code
    assert "30 of 200 rows of actuals.csv can't be used, more than the 10 allowed" in ran.err
    assert 30 == document(past("--max-rejects", "20%", "--json"))["actuals_left_out"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,total_earnings\na,1\n", "actuals.csv lacks title_id, by which predictions are found"),
        ("title_id,earned\na,1\n", "actuals.csv lacks total_earnings"),
        ("title_id,total_earnings\n", "actuals.csv has no rows"),
    ],
)
def test_a_file_that_holds_no_earnings_is_refused(past, content, message):
    Path("actuals.csv").write_text(content)
    ran = past()
    assert 3 == ran.code
    assert message in ran.err


def test_places_where_nothing_is_are_named(past):
    assert "no file none.csv" in past(actuals="none.csv").err
    assert "no folder of predictions none" in past(predictions="none").err
    Path("empty").mkdir()
    ran = past(predictions="empty")
    assert (3, True) == (ran.code, "no predictions in empty: it has no run_date=YYYY-MM-DD" in ran.err)


def test_a_date_without_success_is_left_out_and_told_and_working_folders_are_ignored(past):
    Path("out/run_date=2026-10-31/_SUCCESS").unlink()
    for name in (".run_date=2026-12-01.work", "_notes", "run_date=soon"):
        Path("out", name).mkdir()
    done = document(past("--json"))
    assert ["2026-10-30", "2026-11-01", "2026-11-02"] == [one["date"] for one in done["dates"]]
    assert {one["place"]: one["reason"] for one in done["dates_left_out"]} == {
        "out/run_date=2026-10-31": "no _SUCCESS, so it was not published whole",
        "out/run_date=soon": "not a date, expected YYYY-MM-DD",
    }


def test_a_folder_that_holds_another_dates_result_is_refused(past):
    shutil.copytree("out/run_date=2026-10-30", "out/run_date=2026-12-24")
    ran = past()
    assert 3 == ran.code
    assert "out/run_date=2026-12-24 holds predictions for 2026-10-30" in ran.err


def test_a_part_of_another_bundle_than_its_report_tells_is_refused(past):
    report = Path("out/run_date=2026-10-30/_run.json")
    report.write_text(json.dumps({**json.loads(report.read_text()), "bundle_sha256": "f" * 64}))
    ran = past()
    assert 3 == ran.code
    assert "but the report beside it tells of ffffffffffff" in ran.err


def test_a_damaged_part_is_named(past):
    part = next(Path("out/run_date=2026-10-30").glob("part-*"))
    part.write_bytes(part.read_bytes()[:200])
    ran = past()
    assert 3 == ran.code
    assert f"{part} is damaged" in ran.err


# -- evidence ----------------------------------------------------------------------------------------


def test_each_version_gets_one_evaluation_that_says_it_is_a_backtest(past):
    done = document(past("--json", "--reason", "the quarter is over"))
    events = [event for event in past.registry.events() if event.body.get("kind") == "backtest"]
    assert ["the quarter is over"] * 2 == [event.reason for event in events]
    for event, version in zip(events, done["versions"], strict=True):
        assert event.body["digest"] == version["digest"] == past.registry.find_version(version["version"]).digest
        assert (event.body["data"], event.body["data_sha256"]) == ("actuals.csv", done["actuals_sha256"])
        assert event.body["metrics"] == version["metrics"]
        assert (event.body["first_date"], event.body["last_date"]) == (version["first_date"], version["last_date"])
        assert 2 * TITLES == event.body["rows"]
    assert (len(past.registry.events()), 4) == past.registry.verify()
    assert "backtested version 1 on actuals.csv" in past.cli("history").out


def test_the_same_backtest_is_recorded_once_and_another_again(past):
    past()
    events = past.registry.events()
    assert ["recorded before"] * 2 == [one["evidence"] for one in document(past("--json"))["versions"]]
    assert past.registry.events() == events
    write_actuals("actuals.csv", IDS, EARNED + 1)
    past()
    assert len(past.registry.events()) == len(events) + 2


def test_a_dry_run_writes_nothing(past, tmp_path):
    before = snapshot(tmp_path)
    done = document(past("--json", "--dry-run"))
    assert ["would be recorded"] * 2 == [one["evidence"] for one in done["versions"]]
    assert before == snapshot(tmp_path)


def test_a_backtest_is_not_taken_for_the_holdout(past):
    """What a version is listed, compared and promoted by stays what it did on titles held back."""
    held_back = past.registry.find_version(1).evaluation
    past()
    version = past.registry.find_version(1)
    assert ["holdout", "backtest"] == [one.kind for one in version.evaluations]
    assert held_back == version.evaluation
    assert document(past("--json"))["versions"][0]["holdout"] == dict(held_back.metrics)


def test_predictions_of_another_registrys_version_are_judged_and_not_recorded(past, tmp_path):
    other = past.cli("backtest", "--predictions", "out", "--actuals", "actuals.csv", "--registry", "none", "--json")
    assert 4 == other.code  # no contract either: there is no data/contract.toml here
    assert "no model game-earnings in" in other.document["error"]["message"]
    (tmp_path / "data").mkdir()
    shutil.copy(DATA / "contract.toml", tmp_path / "data")
    done = document(
        past.cli("backtest", "--predictions", "out", "--actuals", "actuals.csv", "--registry", "none", "--json"), code=4
    )
    assert ["refused"] * 2 == [one["evidence"] for one in done["versions"]]
    assert done["versions"][0]["refused"].startswith("no model game-earnings in")
    assert 4 * TITLES == done["matched"]
    assert not Path("none").exists()


def test_a_version_with_another_digest_is_told_and_the_others_are_recorded(past):
    for part in Path("out/run_date=2026-10-30").glob("part-*"):
        parquet.write_table(parquet.read_table(part, partitioning=None).replace_schema_metadata(), part)
    report = Path("out/run_date=2026-10-30/_run.json")
    report.write_text(json.dumps({**json.loads(report.read_text()), "bundle_sha256": "f" * 64}))
    done = document(past("--json"), code=4)
    evidence = sorted((one["version"], one["dates"], one["evidence"]) for one in done["versions"])
    assert [(1, 1, "recorded"), (1, 1, "refused"), (2, 2, "recorded")] == evidence
    refused = [one for one in done["versions"] if one["evidence"] == "refused"]
    assert ["f" * 64] == [one["digest"] for one in refused]
    assert "was scored by a bundle with digest ffffffffffff, but version 1" in refused[0]["refused"]
    assert 0 == past("--dry-run").code


def test_a_retired_version_is_judged_and_not_recorded(past):
    past.registry.retire(2, "no longer needed")
    ran = past()
    assert 4 == ran.code
    assert "not recorded: version 2: it is retired" in ran.err


# -- a result that is replaced meanwhile -------------------------------------------------------------


def test_a_date_that_is_scored_again_while_it_is_read_is_read_again_from_the_beginning(past, monkeypatch):
    """The rows of the run that was there first leave no trace in the figures."""
    expected = document(past("--json", "--dry-run"))
    take, left = joining._take, ["again"]

    def meanwhile(*arguments):
        take(*arguments)
        if left:
            left.pop()
            write_titles("in.parquet", IDS[:-50], slice(-50))
            assert past.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "1").code == 0

    parts = reading._pieces

    def in_two(paths, report, names):
        """A second part that is looked for when the first was used."""
        yield from parts(paths, report, names)
        yield from (piece.slice(0, 0) for piece in parts(paths, report, names))

    monkeypatch.setattr(joining, "_take", meanwhile)
    monkeypatch.setattr(reading, "_pieces", in_two)
    done = document(past("--json", "--dry-run"))
    assert left == []
    assert [TITLES - 50, TITLES, TITLES, TITLES] == [one["figures"]["rows"] for one in done["dates"]]
    assert expected["dates"][1:] == done["dates"][1:]


def test_a_date_that_another_version_scores_again_meanwhile_stops_the_work(past, monkeypatch):
    find = joining.Past.scan

    def scan(self, names, use):
        past.cli("score", "in.parquet", "--output", "out", "--date", "2026-10-30", "--model", "2")
        return find(self, names, use)

    monkeypatch.setattr(joining.Past, "scan", scan)
    ran = past()
    assert 7 == ran.code
    assert "out/run_date=2026-10-30 was scored again by another version while it was read" in ran.err


# -- the page ----------------------------------------------------------------------------------------


def test_the_page_opens_with_the_verdict_and_needs_nothing_from_elsewhere(past):
    from support.pages import Outline, read

    with_bounds("out", 1000.0)
    assert 0 == past("--page", "page.html").code
    page = Path("page.html").read_text()
    assert read(page).startswith("game-earnings held to actuals.csv Version 2: from 2026-11-02 on it is")
    outline = Outline(page)
    ids = [of["id"] for _, of in outline.tags if "id" in of]
    assert (outline.open, len(ids)) == ([], len(set(ids)))
    assert "://" not in page
    headings = ("Average error by date", "Leaning by date", "Held by intervals", "Predicted against actual, version 2")
    assert all(heading in page for heading in headings)


def test_the_same_backtest_gives_the_same_page(past):
    past()
    past("--page", "one.html")
    past("--page", "two.html")
    assert Path("one.html").read_text() == Path("two.html").read_text()


# -- adding up ---------------------------------------------------------------------------------------


def joined(seed, rows, titles=60, shift=0.0):
    rng = np.random.default_rng(seed)
    actual = rng.uniform(1, 1e5, titles)
    places = rng.integers(0, titles, rows)
    predicted = actual[places] + rng.normal(shift, 1000, rows)
    low, high = predicted - 1500, predicted + 1500
    return Joined(places, actual[places], predicted, rng.random(rows) < 0.2, low, high)


def cut(all_of_it, places):
    return Joined(*(getattr(all_of_it, name)[places] for name in all_of_it.__dataclass_fields__))


def gathered(*pieces, titles=60):
    total = Gathered(titles)
    for number, piece in enumerate(pieces):
        total.take(piece, (0, number))
    return total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 400), st.integers(0, 400))
def test_any_cut_and_order_of_the_rows_comes_to_the_same(seed, rows, middle):
    whole = joined(seed, rows)
    order = np.random.default_rng(seed).permutation(rows)
    pieces = cut(whole, order[:middle]), cut(whole, order[middle:])
    one, other = figures(gathered(whole)), figures(gathered(*pieces))
    known = {name: value for name, value in vars(one).items() if value is not None}
    assert known == pytest.approx({name: vars(other)[name] for name in known}, rel=1e-9, abs=1e-6)
    assert {None} >= {value for name, value in vars(other).items() if name not in known}


def test_no_rows_have_no_figures():
    found = figures(gathered())
    assert {None, 0} == set(vars(found).values())


def test_drawn_rows_are_few_and_their_own_order_does_not_matter():
    whole = gathered(*(joined(seed, 4000) for seed in range(3)))
    assert MOST_DRAWN == len(whole.drawn.keys)
    assert whole.drawn.keys.max() < 0.25


def test_an_error_that_grew_is_told_from_one_that_did_not():
    same = gathered(joined(1, 2000))
    assert "within chance" == error_shift(same, gathered(joined(2, 2000))).change
    grown = error_shift(same, gathered(joined(2, 2000, shift=900.0)))
    assert "up" == grown.change
    assert grown.difference_low < grown.value_difference < grown.difference_high
    assert "up" == bias_shift(same, gathered(joined(2, 2000, shift=900.0))).change
    assert "down" == error_shift(gathered(joined(2, 2000, shift=900.0)), same).change
    assert "within chance" == error_shift(same, same).change


def test_few_titles_promise_nothing():
    few = gathered(joined(1, 500, titles=20), titles=20)
    assert (None, None) == (figures(few).bias_low, figures(few).mae_high)
    assert "too few titles" == error_shift(few, few).change
    assert "too few titles" == against_holdout(few, 400, {"mae": 1.0, "rmse": 2.0}).change
    assert against_holdout(few, 400, {"mae": None}) is None


def test_intervals_hold_the_truth_as_often_as_they_say_though_titles_repeat():
    """Of 400 draws, in each of which 80 titles come ten times with the same error, about 95 % hold the bias of 0."""
    held = 0
    for seed in range(400):
        errors = np.random.default_rng(seed).normal(0, 1000, 80)
        places = np.tile(np.arange(80), 10)
        nothing = np.full(800, np.nan)
        rows = Joined(places, np.full(800, 1e5), 1e5 + errors[places], np.zeros(800, bool), nothing, nothing)
        found = figures(gathered(rows, titles=80))
        held += found.bias_low <= 0 <= found.bias_high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(
    ("share", "rows", "expected"), [(0.9, 100, (0.8256, 0.9448)), (1.0, 10, (0.7225, 1.0)), (0.0, 10, (0.0, 0.2775))]
)
def test_wilsons_interval_is_the_textbooks(share, rows, expected):
    assert wilson(share, rows) == pytest.approx(expected, abs=1e-4)


def test_no_training_library_is_loaded_for_figures(past):
    command = (
        "import sys; from gamesales.cli.main import run; code = run(sys.argv[1:]); heavy = {'pandas', 'matplotlib'}"
    )
    script = f"{command}; sys.exit(code or len(heavy & set(sys.modules)))"
    arguments = ["backtest", "--predictions", "out", "--actuals", "actuals.csv", "--dry-run"]
    assert 0 == subprocess.run([sys.executable, "-c", script, *arguments], check=False).returncode
