"""The harness of the benchmarks itself; no figure of any contender."""

import json
import math
import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from benchmarks import __main__ as program
from benchmarks import checking, compare, suites
from benchmarks.assets import CHECK_ROWS, Assets
from benchmarks.bench import Bench
from benchmarks.contender import OURS, Contender, catalogue
from benchmarks.figures import figure, rates, ratios, slope
from benchmarks.machine import commit
from benchmarks.measure import measure
from benchmarks.page import markdown, page
from benchmarks.rounds import Cell, measure_rounds, turns
from benchmarks.show import seconds, significant, spread, times
from benchmarks.suites import growth, limits, scoring, startup, training

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
    "date": "2026-01-02",
    "minutes": 3.1,
    "load_before": 0.1,
    "load_after": 1.0,
}


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
        """Two processes of 64 MB each, at the same time."""
        take = "held = bytearray(b'x') * (64 << 20)"
        hold = f"import time; {take}; time.sleep(0.4)"
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

    def test_kills_a_program_that_takes_the_machines_memory(self):
        code = "import time; held = bytearray(b'x') * (64 << 20); time.sleep(60)"
        assert "it held more than 0.0 GB" in measure(python(code), memory_limit=32 << 20).failure


class TestRounds:
    def cells(self, *names):
        return [Cell(name, "case", 1, lambda _round: python("pass")) for name in names]

    def test_each_round_has_every_cell_and_begins_elsewhere(self):
        order = [(number, cell.contender) for number, cell in turns(self.cells("a", "b", "c"), 3)]
        assert [name for _, name in order] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
        assert [number for number, _ in order] == [0, 0, 0, 1, 1, 1, 2, 2, 2]

    def test_with_more_cells_than_rounds_it_begins_far_from_the_round_before(self):
        order = [cell.contender for _, cell in turns(self.cells(*"abcdef"), 2)]
        assert order[6] == "d"

    def test_a_failing_cell_is_given_up_with_its_reason(self):
        bad = Cell("bad", "case", 1_000, lambda _round: python("raise SystemExit('broken')"))
        runs, skipped = measure_rounds([*self.cells("good"), bad], 2)
        assert [(one["contender"], one["round"]) for one in runs] == [("good", 0), ("good", 1)]
        assert skipped == [{"contender": "bad", "what": "case, 1,000 rows", "reason": "exit code 1: broken"}]

    def test_a_run_whose_output_is_wrong_is_not_counted(self):
        cell = Cell("hasty", "case", 7, lambda _round: python("pass"), fault=lambda: "3 rows in its output, expected 7")
        runs, skipped = measure_rounds([cell], 2)
        assert runs == []
        assert "3 rows" in skipped[0]["reason"]

    def test_what_a_command_answers_is_kept(self, tmp_path):
        answer = tmp_path / "answer.json"
        code = f"open({str(answer)!r}, 'w').write('{{\"work\": 3}}')"
        runs, _ = measure_rounds([Cell("probe", "case", 1, lambda number: python(code), answer)], 1)
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
        runs = [run("ours", rows, 0, 0.4 + rows * 1e-7) for rows in (0, 100_000, 1_000_000, 10_000_000)]
        runs[0]["rows"] = 1_000
        assert growth.exponents(runs).median == pytest.approx(1.0)

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
        assert checks[0]["largest_difference_usd"] == 1.0

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

    def test_large_predictions_may_be_off_by_their_own_size(self):
        assert checking.largest_difference(np.array([1e7 + 99]), np.array([1e7]), 1.0) == pytest.approx(99)
        with pytest.raises(ValueError, match="1 rows off"):
            checking.largest_difference(np.array([1e7 + 101]), np.array([1e7]), 1.0)


class TestCatalogue:
    def test_every_contender_says_what_it_is(self):
        known = catalogue()
        assert known[0].name == OURS
        assert len({one.label for one in known}) == len(known)
        assert all(one.why.endswith(".") for one in known)

    def test_an_unknown_contender_is_named(self):
        with pytest.raises(SystemExit, match=r"no contender nobody; there is .*course"):
            catalogue(["nobody"])

    def test_describing_contenders_and_trainers_imports_nothing_heavy(self):
        code = (
            "import sys; from benchmarks.contender import catalogue; from benchmarks import suites\n"
            "catalogue(); [suites.load(name) for name in suites.NAMES]; suites.load('training')._trainers()\n"
            "sys.exit(', '.join({'keras', 'tensorflow', 'pandas', 'sklearn', 'mlflow'} & set(sys.modules)) or None)"
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
        for name, case in [*((name, limits.ONE) for name in limits.WHAT), ("graph", limits.ALL)]
    ]
    answer = {"start_s": 4.0, "fit_s": 5.0, "scaled_mse": 7e-5, "curve": [[1.0, 9e-5], [5.0, 7e-5]]}
    trained = [run(name, 1_000, 0, 9.0, training.CASE, answer=answer) for name in ("keras_fit", "ours_fit")]
    started = [run(startup.BARE, 0, 0, 0.2, startup.IMPORT), run("ours", 1, 0, 0.3, startup.FIRST_ROW)]
    checks = [{"contender": "ours", "case": "parquet, continuous titles", "largest_difference_usd": 0.05}]
    refused = [{"contender": "mlflow_pyfunc", "what": "parquet", "reason": "no <network> | here"}]
    found = {
        "scoring": {"runs": runs, "skipped": refused, "checks": checks},
        "startup": {"runs": started, "skipped": []},
        "growth": {"runs": [one for one in runs if one["contender"] == "ours"], "skipped": []},
        "limits": {"cores": 2, "runs": [*parts, *runs], "skipped": []},
        "training": {"runs": trained, "skipped": []},
    }
    assert tuple(found) == suites.NAMES
    return {"format": 1, "machine": MACHINE, "suites": {name: {"made": MADE, **one} for name, one in found.items()}}


class TestPages:
    def test_the_document_tells_ratios_machine_date_and_command(self, results):
        told = markdown(results)
        rate = next(line for line in told.splitlines() if line.startswith("| Arrow and ONNX Runtime") and "M/s" in line)
        assert "| 2.00 × |" in rate
        for words in ("Abacus, 2 cores, 4 GB, Slate 1", "2026-01-02", "    python -m benchmarks quick"):
            assert words in told

    def test_nothing_is_left_out_in_silence(self, results):
        assert "- mlflow_pyfunc, parquet: no <network> | here" in markdown(results)
        assert "mlflow_pyfunc, parquet: no &lt;network&gt; | here" in page(results)

    def test_every_table_has_as_many_cells_as_columns(self, results):
        for name, found in results["suites"].items():
            for table in suites.load(name).show(found).tables:
                assert {len(row) for row in table.rows} <= {len(table.columns)}, table.heading

    def test_the_page_needs_nothing_else(self, results):
        told = page(results)
        assert told.count("<svg") == 6
        assert not re.search(r"<script|<link rel=.stylesheet|https?://|nan", told)

    def test_the_bound_adds_the_times_of_the_steps(self, results):
        """Four steps of 10 M rows a second on each of two cores: 5 M rows a second."""
        assert limits.bounds(results["suites"]["limits"]["runs"], "parquet", 2) == {0: pytest.approx(5e6)}

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
        assert sum('"contender": "ours"' in line for line in program.KEPT.read_text().splitlines()) == 29
        assert program.DOCUMENT.read_text() == markdown(results)

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


class TestCompare:
    """Two results agree if the spreads that they print overlap."""

    def results(self, *ours, loop=2.0):
        """Rounds of 0.5 s of start-up, ours as given and the plain loop."""
        runs = []
        for number, wall in enumerate(ours):
            for name, seconds_taken in ((OURS, wall), ("onnxruntime_loop", loop)):
                runs += [run(name, 1_000, number, 0.5), run(name, 10_000_000, number, 0.5 + seconds_taken)]
        result = {"runs": runs, "skipped": [], "checks": [], "made": MADE}
        return {"format": 1, "machine": MACHINE, "suites": {"scoring": result}}

    def test_spreads_that_overlap_agree(self):
        found = compare.pairs(self.results(1.0, 1.1, 1.2), self.results(1.15, 1.3, 1.4))
        assert found
        assert all(pair.agrees for pair in found)
        assert not all(pair.median_within for pair in found)

    def test_spreads_apart_are_told_first_and_end_in_an_exit_code(self, tmp_path, capsys):
        for name, ours in (("one", (1.0, 1.1)), ("other", (3.0, 3.1))):
            (tmp_path / f"{name}.json").write_text(json.dumps(self.results(*ours)))
        with pytest.raises(SystemExit) as leaving:
            program.main(["compare", str(tmp_path / "one.json"), str(tmp_path / "other.json")])
        assert leaving.value.code == 1
        told = capsys.readouterr().out.splitlines()
        assert told[0].startswith("DISAGREE  Scoring / Rates: parquet, continuous titles / Arrow and ONNX Runtime")
        assert "ratios agree within the spreads that are printed" in told[-1]

    def test_what_stands_for_one_is_no_ratio(self):
        names = [pair.name for pair in compare.pairs(self.results(1.0), self.results(1.0))]
        assert not [name for name in names if "/ gamesales /" in name]

    def test_a_commit_is_named_where_it_is_known(self):
        results = self.results(1.0)
        results["suites"]["scoring"]["made"] = {**MADE, "commit": "0123456789ab-dirty"}
        assert "at commit 0123456789ab-dirty" in markdown(results)
        assert "at commit 0123456789ab-dirty" in page(results)
        assert re.fullmatch(r"([0-9a-f]{12}(-dirty)?)?", commit())


def test_a_slow_contender_takes_part_in_fewer_rounds():
    slow = Cell("slow", "case", 1, lambda _round: python("pass"), most_rounds=1)
    quick = Cell("quick", "case", 1, lambda _round: python("pass"))
    order = [(number, cell.contender) for number, cell in turns([slow, quick], 2)]
    assert sorted(order) == [(0, "quick"), (0, "slow"), (1, "quick")]
