"""The harness of the benchmarks itself; no figure of any contender."""

import json
import math
import re
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import __main__ as program
from benchmarks import checking, probes, reshape, rounds, suites
from benchmarks.assets import CHECK_ROWS, Assets
from benchmarks.bench import Bench, count_rows
from benchmarks.compare import pairs, ratios_of
from benchmarks.contender import OURS, Contender, catalogue
from benchmarks.figures import Figure, figure, rates, ratios, slope, with_interval
from benchmarks.machine import commit
from benchmarks.measure import Measured, measure, until_next_sample
from benchmarks.page import markdown, page
from benchmarks.rounds import FULL, QUICK, Cell, Patience, measure_rounds, turned
from benchmarks.show import seconds, significant, spread, times
from benchmarks.suites import growth, limits, network, scoring, startup, training
from gamesales.data.simulate import write_titles
from support.versions import ROOT, simple_graph

MACHINE = {
    "processor": "Abacus",
    "cores": 2,
    "memory_gb": 4,
    "system": "Slate 1",
    "python": "3.11.7",
    "libraries": {"numpy": "2.4"},
}
MADE = {
    "command": "python -m benchmarks quick",
    "commit": "abc1234-dirty",
    "date": "2026-01-02",
    "minutes": 3.1,
    "load_before": 0.1,
    "load_after": 1.0,
}


def same_rounds(number):
    return Patience([(math.inf, number)])


def python(code):
    return [sys.executable, "-c", code]


def run(contender, rows, number, wall, case="parquet, continuous titles", **more):
    usual = {"wall_s": wall, "cpu_s": wall, "peak_bytes": 10**8}
    return {"contender": contender, "case": case, "rows": rows, "round": number, **usual, **more}


class TestMeasure:
    def test_counts_the_cpu_seconds_of_grandchildren(self):
        burn = "import time\nwhile time.process_time() < 0.3: pass"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
        assert measure(python(code)).cpu_s >= 0.3

    def test_sees_the_memory_of_the_whole_tree(self):
        """Two processes of 64 MB each, at the same time: for as long as even a busy machine needs to be sampled."""
        take = "held = bytearray(b'x') * (64 << 20)"
        hold = f"import time; {take}; time.sleep(3)"
        code = f"import subprocess, sys; {take}; subprocess.run([sys.executable, '-c', {hold!r}])"
        measured = measure(python(code))
        assert measured.peak_bytes > 128 << 20
        assert measured.peak_bytes < 200 << 20

    def test_tells_how_a_program_failed(self):
        assert measure(python("raise SystemExit('no such titles')")).failure == "exit code 1: no such titles"

    def test_finds_nothing_wrong_with_a_program_that_works(self):
        assert measure(python("print('dollars')")).failure is None

    def test_kills_a_program_that_takes_too_long(self):
        measured = measure(python("import time; time.sleep(60)"), timeout=0.2)
        assert measured.failure == "stopped: it took more than 0.2 s"

    @pytest.mark.parametrize(
        ("elapsed_s", "sample_s", "wait_s"), [(0.1, 1e-4, 0.01), (5.0, 1e-4, 0.1), (60.0, 1e-4, 0.25), (60.0, 0.1, 2.0)]
    )
    def test_samples_rarely_what_takes_long_and_more_rarely_what_is_dear_to_sample(self, elapsed_s, sample_s, wait_s):
        assert until_next_sample(elapsed_s, sample_s) == pytest.approx(wait_s)

    def test_kills_a_program_that_takes_the_machines_memory(self):
        code = "import time; held = bytearray(b'x') * (64 << 20); time.sleep(60)"
        assert "it held more than 0.0 GB" in measure(python(code), memory_limit=32 << 20).failure


class TestRounds:
    def cells(self, *names):
        return [Cell(name, "case", 1, lambda _round: python("pass")) for name in names]

    def test_each_round_has_every_cell_and_begins_elsewhere(self):
        runs, _ = measure_rounds(self.cells("a", "b", "c"), same_rounds(3))
        assert [one["contender"] for one in runs] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
        assert [one["round"] for one in runs] == [0, 0, 0, 1, 1, 1, 2, 2, 2]

    def test_with_more_cells_than_rounds_it_begins_far_from_the_round_before(self):
        assert turned("abcdef", 1, same_rounds(2)) == list("defabc")

    def test_where_the_number_of_rounds_is_open_each_begins_far_from_all_before_it(self):
        starts = [turned("abcdefgh", number, replace(QUICK, until=9.0))[0] for number in range(6)]
        assert "".join(starts) == "aecgbf"

    def test_what_takes_long_is_in_the_first_rounds_only(self, monkeypatch):
        """So that whatever two cells are compared, they share the rounds of the slower one."""
        seconds = {"fast": 0.5, "slow": 5.0, "once": 90.0}
        taken = lambda command, **_: Measured(seconds[command[0]], 1.0, 1, 0, None, "")  # noqa: E731
        monkeypatch.setattr(rounds, "measure", taken)
        cells = [Cell(name, "case", 1, lambda _round, name=name: [name]) for name in seconds]
        runs, _ = measure_rounds(cells, Patience([(1.0, 4), (60.0, 2), (math.inf, 1)]))
        found = {name: sorted(one["round"] for one in runs if one["contender"] == name) for name in seconds}
        assert found == {"fast": [0, 1, 2, 3], "slow": [0, 1], "once": [0]}

    def test_a_cell_may_ask_for_fewer_rounds(self):
        cell = Cell("large", "case", 1, lambda _round: python("pass"), most_rounds=1)
        runs, _ = measure_rounds([*self.cells("a"), cell], same_rounds(3))
        assert [one["contender"] for one in runs].count("large") == 1

    def test_what_takes_more_than_a_minute_is_measured_once_in_a_full_run(self):
        assert [FULL.rounds(wall_s) for wall_s in (59.0, 61.0, 3_000.0)] == [3, 1, 1]

    def test_in_a_quick_run_everything_has_a_spread(self):
        assert [QUICK.rounds(wall_s) for wall_s in (0.4, 5.0, 3_000.0)] == [6, 6, 6]
        runs, _ = measure_rounds(self.cells("a"), replace(QUICK, until=-math.inf))
        assert len(runs) == 2

    def test_a_round_that_would_end_too_late_does_not_begin(self, monkeypatch):
        """Rounds of 20 s until 75 s: three; the dear one, which is measured twice, does not count for the third."""
        clock = [0.0]

        def taken(command, **_):
            clock[0] += 500.0 if command == ["dear"] else 10.0
            return Measured(10.0, 1.0, 1, 0, None, "")

        monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        monkeypatch.setattr(rounds, "measure", taken)
        runs, _ = measure_rounds(self.cells("a", "b"), replace(QUICK, until=75.0))
        assert [one["round"] for one in runs] == [0, 0, 1, 1, 2, 2]
        clock[0] = 0.0
        dear = Cell("dear", "case", 1, lambda _round: ["dear"], most_rounds=2)
        runs, _ = measure_rounds([*self.cells("a"), dear], replace(QUICK, until=1_040.0))
        assert [one["contender"] for one in runs if one["round"] > 1] == ["a", "a"]

    def test_a_quick_run_shares_its_minutes_among_the_suites(self, tmp_path, monkeypatch):
        assert sum(suites.QUICK.values()) < 600
        bench = Bench(Assets(tmp_path), "quick")
        seen = []
        monkeypatch.setattr(program.suites.load("growth"), "run", lambda bench: seen.append(bench.patience.until) or {})
        started = time.monotonic()
        program.measure_suite("growth", bench)
        assert started <= seen[0] - suites.QUICK["growth"] <= time.monotonic()

    def test_a_quick_run_takes_the_suites_that_fit_in_minutes_and_a_full_run_all(self):
        quick, full = (program._parser().parse_args([scale]).suite for scale in ("quick", "full"))
        assert (set(full) - set(quick), tuple(full)) == ({"network"}, suites.NAMES)

    def test_a_quick_run_has_few_contenders_and_whom_one_names_and_a_full_run_all(self, tmp_path):
        def chosen(scale, *named):
            return [one.name for one in Bench(Assets(tmp_path), scale, contenders=named).choose_few(["ours", "course"])]

        assert chosen("quick") == ["ours", "course"]
        assert chosen("quick", "ours", "mlflow_pyfunc") == ["ours", "mlflow_pyfunc"]
        assert chosen("full") == [one.name for one in catalogue()]

    def test_rounds_that_were_asked_for_are_for_all_alike(self, tmp_path):
        assert Bench(Assets(tmp_path), "quick", rounds=2).patience.rounds(3_000.0) == 2
        assert Bench(Assets(tmp_path), "full").patience == FULL

    def test_a_failing_cell_is_given_up_with_its_reason(self):
        bad = Cell("bad", "case", 1_000, lambda _round: python("raise SystemExit('broken')"))
        runs, skipped = measure_rounds([*self.cells("good"), bad], same_rounds(2))
        assert [(one["contender"], one["round"]) for one in runs] == [("good", 0), ("good", 1)]
        assert skipped == [{"contender": "bad", "what": "case, 1,000 rows", "reason": "exit code 1: broken"}]

    def test_a_run_whose_output_is_wrong_is_not_counted(self):
        cell = Cell("hasty", "case", 7, lambda _round: python("pass"), fault=lambda: "3 rows in its output, expected 7")
        runs, skipped = measure_rounds([cell], same_rounds(2))
        assert runs == []
        assert "3 rows" in skipped[0]["reason"]

    def test_what_a_command_answers_is_kept(self, tmp_path):
        answer = tmp_path / "answer.json"
        code = f"open({str(answer)!r}, 'w').write('{{\"work\": 3}}')"
        runs, _ = measure_rounds([Cell("probe", "case", 1, lambda number: python(code), answer)], same_rounds(1))
        assert runs[0]["answer"] == {"work": 3}


class TestFigures:
    def test_a_figure_is_the_median_with_all_of_the_spread(self):
        found = figure([5.0, 1.0, 2.0])
        assert (found.median, found.low, found.high, found.count) == (2.0, 1.0, 5.0, 3)

    def test_of_nothing_there_is_no_figure(self):
        assert figure([]) is None
        assert spread(None, seconds) == "—"

    def test_ratios_are_taken_within_a_round(self):
        """A machine that is twice as slow in one round changes no ratio."""
        found = ratios({0: 10.0, 1: 20.0, 2: 30.0}, {0: 5.0, 1: 10.0, 3: 1.0})
        assert (found.median, found.low, found.high, found.count) == (2.0, 2.0, 2.0, 2)

    def test_a_ratio_has_the_interval_that_student_gives(self):
        """Logarithms -1, 0 and 1: their mean 0, their deviation 1, and 4.303 times 1 over the root of three."""
        found = with_interval([1 / math.e, 1.0, math.e])
        assert (math.log(found.low), math.log(found.high)) == pytest.approx((-2.484, 2.484), abs=1e-3)

    def test_intervals_of_four_rounds_hold_the_true_ratio_nineteen_times_in_twenty(self):
        noise = np.random.default_rng(0).lognormal(math.log(3.0), 0.1, size=(20_000, 4))
        held = [found.low <= 3.0 <= found.high for found in map(with_interval, noise.tolist())]
        assert np.mean(held) == pytest.approx(0.95, abs=0.01)

    def test_what_can_not_be_a_ratio_is_left_out(self):
        assert with_interval([2.0, 2.0, 0.0, math.inf, -1.0]) == Figure(2.0, 2.0, 2.0, 2)

    def test_the_median_lies_in_the_interval_even_of_many_rounds_with_some_far_off(self):
        found = with_interval([1.0] * 200 + [1e9] * 40)
        assert found.low == found.median == 1.0

    def test_of_one_round_there_is_no_interval_and_of_none_no_ratio(self):
        assert spread(with_interval([2.0]), times) == "2.00 × (once)"
        assert with_interval([]) is None

    def test_a_rate_leaves_the_start_out(self):
        runs = [run("ours", 1_000, 0, 0.5), run("ours", 10_000, 0, 2.5)]
        assert rates(runs, 10_000, 1_000) == {0: 5_000.0}

    def test_a_rate_that_noise_made_absurd_is_left_out(self):
        runs = [run("ours", 1_000, 0, 0.5), run("ours", 10_000, 0, 0.4), run("ours", 10_000, 1, 0.4)]
        assert rates(runs, 10_000, 1_000) == {}

    @pytest.mark.parametrize("power", [0.5, 1.0, 1.7])
    def test_the_exponent_of_a_power_law_is_found(self, power):
        points = [(rows, 3e-7 * rows**power) for rows in (1e5, 1e6, 1e7)]
        assert slope(points, math.log) == pytest.approx(power)

    def test_the_exponent_leaves_start_up_out(self):
        runs = [run("ours", rows, 0, 0.4 + rows * 1e-7) for rows in (0, 20_000_000, 50_000_000)]
        runs[0]["rows"] = 1_000
        assert growth.exponents(runs).median == pytest.approx(1.0)

    def test_sizes_that_mostly_start_up_are_not_in_the_fit(self):
        """Here what is small costs nothing: with it, the curve would look steeper than it is."""
        runs = [run("ours", 1_000, 0, 0.4), run("ours", 10**6, 0, 0.401)]
        runs += [run("ours", rows, 0, 0.4 + rows * 1e-7) for rows in (20_000_000, 50_000_000)]
        assert growth.exponents(runs).median == pytest.approx(1.0)
        found = {"runs": runs, "skipped": []}
        assert "the power of 1.00 (once) from 20 M to 50 M rows" in growth.show(found).words[0]

    def test_without_the_time_of_start_up_there_is_no_exponent(self):
        assert growth.exponents([run("ours", rows, 0, rows * 1e-7) for rows in (20_000_000, 50_000_000)]) is None

    @pytest.mark.parametrize("scale", ["quick", "full"])
    def test_growth_goes_from_a_thousand_to_fifty_million_rows(self, scale):
        assert (growth.SIZES[scale][0], growth.SIZES[scale][-1]) == (1_000, 50_000_000)

    def test_files_in_one_piece_are_of_two_sizes_that_tell_whether_memory_grows(self):
        assert growth.SHAPE_SIZES == {"quick": (1_000_000, 10_000_000), "full": (2_000_000, 50_000_000)}

    @pytest.mark.parametrize(
        ("value", "told"), [(0.01234, "0.0123"), (1.0, "1.00"), (12.34, "12.3"), (100.4, "100"), (1234.5, "1,230")]
    )
    def test_three_digits_are_told(self, value, told):
        assert significant(value) == told

    def test_a_spread_names_its_unit_once(self):
        assert spread(figure([1.0, 2.0, 4.0]), times) == "2.00 × (1.00 to 4.00)"


class TestChecking:
    @pytest.fixture
    def assets(self, tmp_path):
        """Shared files that need no training: some predictions of the course's way, and the range of its target."""
        (tmp_path / "bundle").mkdir()
        (tmp_path / "registry").mkdir()
        manifest = {"scaling": {"columns": [{"scale": 1 / 250_000}]}}
        (tmp_path / "bundle/MANIFEST.json").write_text(json.dumps(manifest))
        (tmp_path / "truth").mkdir()
        (tmp_path / "titles").mkdir()
        (tmp_path / f"titles/continuous-{CHECK_ROWS}.parquet").touch()
        self.write(tmp_path / "truth/continuous.parquet", self.earnings())
        return Assets(tmp_path)

    def earnings(self):
        return np.linspace(20_000.0, 300_000.0, CHECK_ROWS)

    def write(self, path, earnings):
        pq.write_table(pa.table({"predicted_earnings": earnings}), path)

    def contender(self, change):
        """A contender that says what the course's way says, changed."""
        code = (
            "import sys, numpy as np, pyarrow as pa; from pyarrow import parquet as pq\n"
            "said = pq.read_table(sys.argv[3] + '/truth/continuous.parquet')['predicted_earnings'].to_numpy().copy()\n"
            f"{change}\n"
            "pq.write_table(pa.table({'predicted_earnings': said}), sys.argv[2])"
        )
        own = lambda *paths: ["-c", code, *map(str, paths)]  # noqa: E731
        return Contender("other", "Other", "", ("parquet",), {}, None, prepares=False, own_command=own)

    def admitted(self, assets, change):
        return Bench(assets, "quick").admitted([self.contender(change)], "continuous", "parquet")

    def test_one_that_is_right_may_be_timed(self, assets):
        good, checks, refused = self.admitted(assets, "said += 1.0")
        assert ([one.name for one in good], refused) == (["other"], [])
        assert checks[0]["largest_difference"] == 1.0

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("said[7] += 4.0", "1 rows off, row 8: "),
            ("said[3] = np.nan", "1 rows off, row 4: nan"),
            ("said = said[::-1]", "rows off"),
            ("said = said[1:]", "19,999 predictions, expected 20,000"),
            ("raise SystemExit('out of ideas')", "exit code 1: out of ideas"),
            ("sys.exit()", "wrong output"),
        ],
    )
    def test_one_that_is_wrong_is_refused_before_it_is_timed(self, assets, change, reason):
        good, checks, refused = self.admitted(assets, change)
        assert (good, checks) == ([], [])
        assert reason in refused[0]["reason"]

    def test_an_output_may_be_a_folder_of_dated_partitions(self, tmp_path):
        """Its rows are those of its parts, in their order; rejects and hidden files are none of them."""
        for name, earnings in (("00001", [3.0]), ("00000", [1.0, 2.0])):
            path = tmp_path / f"folder/run_date=2026-01-02/part-{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.write(path, earnings)
        (path.parent / "_success.json").touch()
        assert count_rows(tmp_path / "folder") == 3
        assert checking.read_predictions(tmp_path / "folder").tolist() == [1.0, 2.0, 3.0]

    def test_an_empty_folder_holds_no_rows(self, tmp_path):
        assert count_rows(tmp_path) == 0
        with pytest.raises(ValueError, match="at least one array"):
            checking.read_predictions(tmp_path)

    def test_large_predictions_may_be_off_by_their_own_size(self):
        assert checking.largest_difference(np.array([1e7 + 99]), np.array([1e7]), 1.0) == pytest.approx(99)
        with pytest.raises(ValueError, match="1 rows off"):
            checking.largest_difference(np.array([1e7 + 101]), np.array([1e7]), 1.0)


class TestReshaping:
    """Files made of other files of titles."""

    @pytest.fixture
    def titles(self, tmp_path):
        for kind in ("parquet", "csv"):
            write_titles(tmp_path / f"titles.{kind}", 70_000, with_target=False)
        return tmp_path

    def test_all_rows_come_into_one_row_group(self, titles):
        reshape.join_groups(titles / "titles.parquet", titles / "one.parquet")
        assert pq.read_metadata(titles / "titles.parquet").num_row_groups > 1
        assert pq.read_metadata(titles / "one.parquet").num_row_groups == 1
        assert pq.read_table(titles / "one.parquet") == pq.read_table(titles / "titles.parquet")

    @pytest.mark.parametrize("kind", ["parquet", "csv"])
    def test_each_hundredth_row_is_spoilt_and_no_other(self, titles, kind):
        reshape.spoil(titles / f"titles.{kind}", titles / f"spoilt.{kind}")
        if kind == "csv":
            before, after = [(titles / f"{name}.csv").read_text().splitlines()[1:] for name in ("titles", "spoilt")]
        else:
            before, after = [pq.read_table(titles / f"{name}.parquet").to_pylist() for name in ("titles", "spoilt")]
        changed = [row for row, both in enumerate(zip(before, after, strict=True)) if both[0] != both[1]]
        assert changed == list(range(0, 70_000, 100))


class TestCatalogue:
    def test_every_contender_says_what_it_is(self):
        known = catalogue()
        assert known[0].name == OURS
        assert len({one.label for one in known}) == len(known)
        assert all(one.why.endswith(".") for one in known)

    def test_the_night_writes_a_folder_by_the_same_command(self, tmp_path):
        ours, folder = catalogue(["ours", "ours_folder"])
        assert (ours.output_name("parquet"), folder.output_name("parquet")) == ("predictions.parquet", "predictions")
        assert ours.command(*[tmp_path] * 3) == folder.command(*[tmp_path] * 3)
        assert folder.kinds == ("parquet",)

    def test_an_unknown_contender_is_named(self):
        with pytest.raises(SystemExit, match=r"no contender nobody; there is .*course"):
            catalogue(["nobody"])

    def test_describing_contenders_and_trainers_imports_nothing_heavy(self):
        code = (
            "import sys; from benchmarks.contender import catalogue; from benchmarks import suites\n"
            "catalogue(); [suites.load(name) for name in suites.NAMES]; suites.load('training')._trainers()\n"
            "suites.load('registry').known()\n"
            "heavy = {'keras', 'tensorflow', 'pandas', 'sklearn', 'mlflow', 'pins'}\n"
            "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
        )
        assert measure(python(code), folder=ROOT).failure is None

    def test_a_slow_contender_is_spared_large_files(self):
        (course,) = catalogue(["course"])
        assert course.takes("csv", 100_000, "quick")
        assert not course.takes("csv", 1_000_000, "quick")
        assert course.takes("csv", 10_000_000, "full")
        assert scoring._sizes(course, "csv", scoring.SIZES, "quick") == [1_000, 100_000]
        assert scoring._sizes(course, "csv", scoring.SIZES, "full") == list(scoring.SIZES)


@pytest.fixture
def results():
    """Three rounds of every suite, made up: ours twice as fast as the plain loop, and linear."""
    runs = [
        run(name, rows, number, (0.3 + rows * cost) * (1 + number))
        for number in range(3)
        for name, cost in (("ours", 1e-7), ("onnxruntime_loop", 2e-7))
        for rows in (1_000, 100_000, 1_000_000)
    ]
    parts = [
        run(name, 1_000_000, 0, 1.0, case, answer={"seconds": 0.1, "work": 1_000_000})
        for name, case in [*((name, limits.ONE) for name in limits.ON_ONE), *((n, limits.ALL) for n in limits.ON_ALL)]
    ]
    rejecting = [
        run("ours", 1_000_000, number, 0.6 * (1 + number), limits.REJECTED.format("parquet")) for number in range(3)
    ]
    shapes = [run("ours", 1_000_000, 0, 0.9, growth.ONE_CSV), run("ours", 1_000_000, 0, 0.8, growth.ONE_GROUP)]
    folder = [
        run(network.WAY, rows, number, 0.3 + rows * cost, case)
        for number in range(3)
        for case, cost in ((network.COURSE, 1e-7), (network.DEFAULT, 5e-8))
        for rows in (1_000, network.ROWS)
    ]
    answer = {"start_s": 4.0, "fit_s": 5.0, "scaled_mse": 7e-5, "curve": [[1.0, 9e-5], [5.0, 7e-5]]}
    trained = [run(name, 1_000, 0, 9.0, training.CASE, answer=answer) for name in ("keras_fit", "ours_fit")]
    trained.append(run("ours_million", 1_000_000, 0, 90.0, training.MANY.format(1_000_000), answer=answer))
    started = [run(startup.BARE, 0, 0, 0.2, startup.IMPORT), run("ours", 1, 0, 0.3, startup.FIRST_ROW)]
    checks = [{"contender": "ours", "case": "parquet, continuous titles", "largest_difference": 0.05}]
    refused = [{"contender": "mlflow_pyfunc", "what": "parquet", "reason": "no <network> | here"}]
    raced = {"calls": 48, "failed": 0, "error": None, "lost": 0, "doubled": 0, "gaps": 0, "history": True}
    registered = [
        run(name, 0, number, 1.0, case="48 calls by 4 writers", answer={**raced, "writers": 4, "seconds": taken})
        for number in range(3)
        for name, taken in (("ours", 1.0), ("pins_folder", 1.7))
    ]
    waited = {"versions": 60, "first_s": 0.003, "again_s": 0.002, "list_s": 0.001}
    registered.append(run("ours", 0, 0, 1.0, case="lookups after 60 versions", answer=waited))
    found = {
        "scoring": {"runs": runs, "skipped": refused, "checks": checks},
        "startup": {"runs": started, "skipped": []},
        "growth": {"runs": [one for one in runs if one["contender"] == "ours"], "shapes": shapes, "skipped": []},
        "limits": {"cores": 2, "runs": [*parts, *runs, *rejecting], "skipped": []},
        "network": {"runs": folder, "skipped": []},
        "training": {"runs": trained, "skipped": []},
        "registry": {"runs": registered, "skipped": []},
    }
    assert tuple(found) == suites.NAMES
    return {"format": 1, "machine": MACHINE, "suites": {name: {"made": MADE, **one} for name, one in found.items()}}


class TestPages:
    def test_the_document_tells_ratios_machine_date_and_command(self, results):
        told = markdown(results)
        rate = next(line for line in told.splitlines() if line.startswith("| Arrow and ONNX Runtime") and "M/s" in line)
        assert "| 2.00 × |" in rate
        for words in (
            "Abacus, 2 cores, 4 GB, Slate 1",
            "on 2026-01-02 at commit abc1234-dirty",
            "    python -m benchmarks quick",
        ):
            assert words in told

    def test_the_page_tells_the_commit(self, results):
        assert "at commit abc1234-dirty" in page(results)

    def test_results_kept_before_commits_were_noted_are_shown_without(self, results):
        for found in results["suites"].values():
            found["made"] = {key: value for key, value in MADE.items() if key != "commit"}
        assert "commit" not in markdown(results)

    def test_nothing_is_left_out_in_silence(self, results):
        assert "- mlflow_pyfunc, parquet: no <network> | here" in markdown(results)
        assert "mlflow_pyfunc, parquet: no &lt;network&gt; | here" in page(results)

    def test_every_table_has_as_many_cells_as_columns(self, results):
        for name, found in results["suites"].items():
            for table in suites.load(name).show(found).tables:
                assert {len(row) for row in table.rows} <= {len(table.columns)}, table.heading

    def test_the_page_needs_nothing_else(self, results):
        told = page(results)
        assert told.count("<svg") == 7
        assert not re.search(r"<script|<link rel=.stylesheet|https?://|nan", told)

    def test_the_bound_adds_the_times_of_the_steps(self, results):
        """Four steps of 10 M rows a second on each of two cores: 5 M rows a second."""
        assert limits.bounds(results["suites"]["limits"]["runs"], "parquet", 2) == {0: pytest.approx(5e6)}

    def test_the_other_bound_has_the_graph_as_fast_as_it_is_on_all_cores_at_once(self, results):
        """12 M rows a second on two cores, 6 M on each: 2 / (3/10 M + 1/6 M)."""
        runs = results["suites"]["limits"]["runs"]
        shared = next(one for one in runs if (one["contender"], one["case"]) == ("graph", limits.ALL))
        shared["answer"] = {"seconds": 1.0, "work": 12_000_000}
        assert limits.shared_bounds(runs, "parquet", 2) == {0: pytest.approx(2 / (3 / 10e6 + 1 / 6e6))}
        assert limits.bounds(runs, "parquet", 2) == {0: pytest.approx(5e6)}

    def test_the_matrix_peak_is_told_in_titles(self, results):
        """21,000 operations a title: 2.1 T a second are 100 M titles."""
        runs = results["suites"]["limits"]["runs"]
        peak = next(one for one in runs if (one["contender"], one["case"]) == ("matmul", limits.ALL))
        peak["answer"] = {"seconds": 1.0, "work": 2.1e12}
        assert "21,000 multiplications and additions a title" in markdown(results)
        assert "is 100 M/s: so many titles" in markdown(results)

    def test_a_round_that_misses_a_part_has_no_bound(self, results):
        runs = [one for one in results["suites"]["limits"]["runs"] if one["contender"] != "fill"]
        assert limits.bounds(runs, "parquet", 2) == limits.shared_bounds(runs, "parquet", 2) == {}

    def test_results_of_before_a_table_existed_are_shown_without_it(self, results):
        new = ["in one piece", "and Arrow's CSV", "What rejects cost", "What looking for rows"]
        assert [words for words in new if f"{words}" not in markdown(results)] == []
        del results["suites"]["growth"]["shapes"]
        limits_found = results["suites"]["limits"]
        added = ("arrow_csv", "look")
        limits_found["runs"] = [
            one for one in limits_found["runs"] if one["contender"] not in added and "rejected" not in one["case"]
        ]
        assert [words for words in new if f"{words}" in markdown(results) + page(results)] == []

    def test_what_rejects_cost_is_taken_within_a_round(self, results):
        """Two times of 0.6 s and 0.4 s, and both twice and three times as long."""
        table = next(one for one in limits.show(results["suites"]["limits"]).tables if "rejects" in one.heading)
        assert [str(cell) for cell in table.rows[0]][-1] == "1.50 ×"

    def test_a_smaller_network_is_told_with_how_many_times_the_rate_it_has(self, results):
        """Half the time a row: twice the rate; what was not measured has no row."""
        (table,) = network.show(results["suites"]["network"]).tables
        assert [[str(cell) for cell in row][::2] for row in table.rows] == [
            [network.COURSE, "1.00 ×"],
            [network.DEFAULT, "2.00 ×"],
        ]

    def test_a_folder_of_parts_is_held_to_the_same_bound_where_it_was_measured(self, results):
        def ways():
            tables = limits.show(results["suites"]["limits"]).tables
            return [row[0] for row in next(one for one in tables if "the bound" in one.heading).rows]

        assert ways() == ["Parquet to Parquet", "CSV to CSV"]
        folder = [
            {**one, "contender": limits.FOLDER}
            for one in results["suites"]["limits"]["runs"]
            if one["contender"] == "ours"
        ]
        results["suites"]["limits"]["runs"] += folder
        assert "Parquet to Parquet, a folder of parts" in ways()

    def test_what_a_million_titles_take_to_train_is_a_table_of_its_own(self, results):
        tables = training.show(results["suites"]["training"]).tables
        assert [table.heading for table in tables] == [training.CASE, "1,000,000 past titles, one epoch"]
        assert [str(cell) for cell in tables[1].rows[0]][1] == "90.0 s (once)"

    def test_the_look_adds_to_the_time_of_the_graph(self, results):
        """Both parts as fast as each other: the time doubles."""
        table = next(one for one in limits.show(results["suites"]["limits"]).tables if "looking" in one.heading)
        assert [str(cell) for cell in table.rows[0]][-1] == "2.0000 × (once)"

    def test_a_suite_shows_what_it_has_even_if_everything_failed(self, results):
        for name, found in results["suites"].items():
            empty = {**found, "runs": [], "checks": [], "skipped": [{"contender": "x", "what": "y", "reason": "z"}]}
            assert suites.load(name).show(empty).skipped

    def test_training_until_as_good_as_another(self, results):
        one = results["suites"]["training"]["runs"][0]
        assert training.time_to(one, 9e-5) == 1.0
        assert training.time_to(one, 1e-6) is None

    def test_rates_come_from_each_contenders_largest_file(self, results):
        known = scoring.contender_rates(results["suites"]["scoring"]["runs"])
        assert {name: size for name, (size, _) in known.items()} == {"ours": 1_000_000, "onnxruntime_loop": 1_000_000}

    def test_a_suite_measured_again_replaces_its_old_result(self, results, monkeypatch):
        monkeypatch.setattr(program, "machine", lambda: MACHINE)
        merged = program.merge(results, "growth", {"new": True})
        assert merged["suites"]["growth"] == {"new": True}
        assert merged["suites"]["scoring"] == results["suites"]["scoring"]

    def test_results_of_another_machine_are_not_mixed_in(self, results, monkeypatch):
        monkeypatch.setattr(program, "machine", lambda: {**MACHINE, "cores": 64})
        assert list(program.merge(results, "growth", {})["suites"]) == ["growth"]

    def test_what_is_kept_is_one_line_a_run_and_reads_back_the_same(self, results, tmp_path, monkeypatch):
        monkeypatch.setattr(program, "KEPT", tmp_path / "benchmarks.json")
        monkeypatch.setattr(program, "DOCUMENT", tmp_path / "benchmarks.md")
        program.keep(results)
        assert program.read(program.KEPT) == json.loads(json.dumps(results))
        assert sum('"contender": "ours"' in line for line in program.KEPT.read_text().splitlines()) == 38
        assert program.DOCUMENT.read_text() == markdown(results)

    def test_with_a_suite_goes_what_it_was_made_by_and_how(self, tmp_path, monkeypatch):
        monkeypatch.setattr(program, "KEPT", tmp_path / "none.json")
        monkeypatch.setattr(program, "commit", lambda _checkout: "abc1234")
        monkeypatch.setattr(growth, "run", lambda bench: {"runs": [], "skipped": [], "scale": bench.scale})
        program.main(["full", "--suite", "growth", "--rounds", "2", "--output", str(tmp_path / "out")])
        found = program.read(tmp_path / "out/latest.json")["suites"]["growth"]
        assert (found["scale"], found["made"]["commit"]) == ("full", "abc1234")
        assert found["made"]["command"] == "python -m benchmarks full --suite growth --rounds 2"
        assert "at commit abc1234" in (tmp_path / "out/index.html").read_text()

    def test_with_nothing_measured_it_says_what_to_type(self):
        with pytest.raises(SystemExit, match="python -m benchmarks quick"):
            program.keep(None)

    def test_the_document_is_what_the_kept_results_give(self):
        """``python -m benchmarks docs`` writes it again."""
        kept = program.read(program.KEPT)
        if kept is None:
            pytest.skip("no results are kept yet")
        assert program.KEPT.read_text(encoding="utf-8") == program.as_text(kept)
        assert program.DOCUMENT.read_text(encoding="utf-8") == markdown(kept)


def slower(results, contender, factor, only_round=None):
    """The same results with one contender slower, in one round or in all."""
    changed = json.loads(json.dumps(results))
    for one in changed["suites"]["scoring"]["runs"]:
        if one["contender"] == contender and only_round in (None, one["round"]):
            one["wall_s"] *= factor
    return changed


class TestCompare:
    LOOP = "Arrow and ONNX Runtime, a plain loop"
    NAME = "onnxruntime_loop"

    def compare(self, tmp_path, first, second):
        paths = [tmp_path / "a.json", tmp_path / "b.json"]
        for path, results in zip(paths, (first, second), strict=True):
            path.write_text(program.as_text(results))
        with pytest.raises(SystemExit) as exit_:
            program.main(["compare", *map(str, paths)])
        return exit_.value.code

    def test_a_ratio_is_known_by_suite_table_row_and_column(self, results):
        place = ("scoring", "Whole processes: parquet, continuous titles", f"{self.LOOP}, 1 M", "of gamesales's time")
        assert ratios_of(results)[place][0].median == pytest.approx(0.5 / 0.4)

    def test_all_ratios_that_tables_print_are_compared_save_those_to_oneself(self, results):
        """Whatever is told with the sign of a ratio, or in percent."""
        told = [line for line in markdown(results).splitlines() if line.startswith("|")]
        cells = [cell.strip() for line in told for cell in line.split("|")]
        printed = {cell for cell in cells if re.match(r"[\d.,]+ [×%]", cell) and not cell.startswith("1.00 ×")}
        compared = {spread(found, text) for found, text in ratios_of(results).values()}
        assert printed == compared - {"1.00 ×"}
        assert len(printed) == 9

    def test_the_same_results_agree(self, results, tmp_path, capsys):
        assert self.compare(tmp_path, results, results) == 0
        assert "DISAGREES" not in capsys.readouterr().out

    def test_spreads_that_overlap_agree_wherever_the_medians_are(self, results):
        one, other = slower(results, self.NAME, 1.5, 0), slower(slower(results, self.NAME, 1.5), self.NAME, 1.01, 1)
        found = next(pair for pair in pairs(one, other) if self.LOOP in pair.place[2])
        assert (found.agrees, found.medians_within) == (True, 1)

    def test_spreads_that_miss_each_other_disagree_and_the_exit_code_says_so(self, results, tmp_path, capsys):
        assert self.compare(tmp_path, results, slower(results, self.NAME, 2)) == 1
        told = capsys.readouterr().out
        assert (
            f"DISAGREES  1.25 × and 2.50 ×: scoring; Whole processes: parquet, continuous titles; {self.LOOP}" in told
        )

    def test_the_last_line_counts(self, results, tmp_path, capsys):
        self.compare(tmp_path, results, slower(results, self.NAME, 2))
        told = capsys.readouterr().out.splitlines()[-1]
        judged = [pair for pair in pairs(results, results) if pair.judged]
        agreeing = len(judged) - 4
        assert told.startswith(f"{agreeing} of {len(judged)} ratios agree; {2 * agreeing} of {2 * len(judged)} medians")
        assert re.search(r"; \d+ taken only once are not judged$", told)

    def test_a_ratio_that_only_one_of_them_has_is_told(self, results, tmp_path, capsys):
        fewer = {**results, "suites": {name: results["suites"][name] for name in ("scoring", "growth")}}
        assert self.compare(tmp_path, results, fewer) == 0
        assert "in one only: limits; gamesales and the bound; Parquet to Parquet; " in capsys.readouterr().out

    def test_results_that_share_nothing_do_not_agree(self, results, tmp_path):
        assert self.compare(tmp_path, results, {**results, "suites": {}}) == 1

    def test_results_of_another_format_are_refused(self, results, tmp_path):
        assert "b.json holds no results of format 1" in self.compare(tmp_path, results, {**results, "format": 0})


class TestCommit:
    def git(self, folder, *arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    @pytest.fixture
    def checkout(self, tmp_path):
        for name in ("gamesales/one.py", "benchmarks/two.py", "docs/three.md"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_text("before")
        self.git(tmp_path, "init", "-q")
        self.git(tmp_path, "add", ".")
        self.git(tmp_path, "commit", "-q", "-m", "all")
        return tmp_path

    @pytest.mark.parametrize("name", ["gamesales/one.py", "benchmarks/two.py"])
    def test_what_was_changed_since_the_commit_makes_it_dirty(self, checkout, name):
        (checkout / name).write_text("after")
        assert re.fullmatch(r"[0-9a-f]{7,}-dirty", commit(checkout))

    def test_what_is_neither_measured_nor_measures_does_not(self, checkout):
        (checkout / "docs/three.md").write_text("after")
        (checkout / "benchmarks/new.txt").touch()
        assert re.fullmatch(r"[0-9a-f]{7,}", commit(checkout))

    def test_without_a_checkout_there_is_none(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert commit(tmp_path) is None


@pytest.mark.parametrize("name", sorted(probes.PROBES))
def test_every_part_can_be_measured_alone(tmp_path, monkeypatch, name):
    """On small files; the parts are those of scoring, and change with it."""
    monkeypatch.setattr(probes, "REPEATS", 1)
    monkeypatch.setattr(probes, "SIDE", 8)
    for folder in ("titles", "truth", "bundle"):
        (tmp_path / folder).mkdir()
    for kind in ("parquet", "csv"):
        write_titles(tmp_path / f"titles/t.{kind}", 2_000, with_target=False)
    dollars = pa.table({"predicted_earnings": np.linspace(1e4, 3e5, CHECK_ROWS)})
    pq.write_table(dollars, tmp_path / "truth/continuous.parquet")
    (tmp_path / "bundle/scorer.onnx").write_bytes(simple_graph())
    source = tmp_path / f"titles/t.{'csv' if name in ('csv_read', 'arrow_csv') else 'parquet'}"
    probes.main(name, "1", str(source), str(tmp_path / "answer.json"))
    answer = json.loads((tmp_path / "answer.json").read_bytes())
    assert answer["seconds"] > 0
    assert answer["work"] > 0
