"""Measuring, checking and describing benchmarks."""

import json
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import __main__ as program
from benchmarks import bench, plots, probes, suites
from benchmarks import measure as measuring
from benchmarks.assets import CHECK_ROWS, Assets, spoil_prices
from benchmarks.bench import OURS, Bench, Contender, load_contenders, load_modules
from benchmarks.measure import Cell, Measurement, measure, measure_rounds
from benchmarks.suites import growth, limits, scoring, training
from benchmarks.tables import compute_rates, format_number, show, show_ratio
from gamesales.data.simulate import write_titles
from support.versions import ROOT, simple_graph

KEPT = ROOT / "docs/benchmarks.json"


def python(code):
    return [sys.executable, "-c", code]


def test_process_tree_is_measured():
    """CPU seconds and memory include child processes."""
    burn = "import time; data = bytearray(b'x') * (64 << 20)\nwhile time.process_time() < 1: pass"
    hold = "import subprocess, sys; data = bytearray(b'x') * (64 << 20); "
    measurement = measure(python(f"{hold}subprocess.run([sys.executable, '-c', {burn!r}])"))
    assert measurement.cpu_s >= 1
    assert 128 << 20 < measurement.peak_bytes < 200 << 20
    assert measurement.failure is None


def test_orphans_are_measured():
    """The CPU seconds of a process count although nobody waits for it, as with the processes of Ray and Spark."""
    burn = "import time\nwhile time.process_time() < 1: pass\nprint(flush=True); time.sleep(1)"
    wait = "import subprocess as s, sys; s.Popen([sys.executable, '-c', sys.argv[1]], stdout=-1).stdout.readline()"
    assert measure([*python(f"{wait}; import time; time.sleep(0.5)"), burn]).cpu_s >= 1


def test_failures_are_described(monkeypatch):
    """A program that fails, takes too long or holds too much memory is described."""
    assert measure(python("raise SystemExit('no such titles')")).failure == "exit code 1: no such titles"
    sleep = python("import time; time.sleep(60)")
    assert measure(sleep, timeout_s=0.2).failure == "stopped after 0.2 s"
    monkeypatch.setattr(measuring, "MAX_BYTES", 1 << 20)
    assert measure(sleep).failure == "stopped above 0.0 GB of memory"


class TestRounds:
    @pytest.fixture
    def measure_for(self, monkeypatch):
        """Return a function that pretends to measure cells, with given durations and without processes."""
        clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)

        def measure(command):
            clock.now += float(command[0])
            return Measurement(float(command[0]), 1.0)

        def measure_for(seconds, **options):
            cells = [Cell(name, "case", 1, lambda _round, s=s: [str(s)]) for name, s in seconds.items()]
            return [(run["contender"], run["round"]) for run in measure_rounds(cells, **options)[0]]

        monkeypatch.setattr(measuring, "time", clock)
        monkeypatch.setattr(measuring, "measure", measure)
        return measure_for

    def test_rounds_start_at_other_cells(self, measure_for):
        """Each round has every cell, and starts at another cell."""
        runs = measure_for({"a": 1, "b": 1, "c": 1}, rounds=3)
        assert "".join(name for name, _ in runs) == "abcbcacab"
        assert [number for _, number in runs] == [0, 0, 0, 1, 1, 1, 2, 2, 2]

    def test_slow_cells_have_fewer_rounds(self, measure_for):
        """Slow cells are in the first rounds only, unless the number of rounds is given."""
        for options, counts in (({}, [6, 2, 1]), ({"rounds": 3}, [3, 3, 3])):
            names = [name for name, _ in measure_for({"fast": 1, "slow": 30, "once": 90}, **options)]
            assert [names.count(name) for name in ("fast", "slow", "once")] == counts

    @pytest.mark.parametrize(("deadline", "count"), [(-1.0, 2), (35.0, 3), (1e9, 6)])
    def test_rounds_end_at_the_deadline(self, measure_for, deadline, count):
        """No third round begins that would end after the deadline; there are always two."""
        assert len(measure_for({"a": 10}, deadline=deadline)) == count

    def test_failures_are_skipped(self):
        """A failed command or a wrong output ends a cell, with the reason; answers are kept with a run."""
        cells = [
            Cell("good", "case", 1, lambda _: measuring.call_python("json", "loads", '{"work": 3}')),
            Cell("bad", "case", 1_000, lambda _: python("raise SystemExit('broken')")),
            Cell("hasty", "case", 7, lambda _: python("pass"), find_fault=lambda: "3 rows in its output, expected 7"),
        ]
        runs, skipped = measure_rounds(cells, 2)
        values = [(run["contender"], run["round"], run["answer"]["work"]) for run in runs]
        assert values == [("good", 0, 3), ("good", 1, 3)]
        bad = {"contender": "bad", "what": "case, 1,000 rows", "reason": "exit code 1: broken"}
        hasty = {"contender": "hasty", "what": "case, 7 rows", "reason": "3 rows in its output, expected 7"}
        assert skipped == [bad, hasty]


class TestChecking:
    @pytest.fixture
    def admit(self, tmp_path):
        """Return a function that admits a contender with the output of the reference after a change."""
        for name in ("bundle", "registry", "truth", "titles"):
            (tmp_path / name).mkdir()
        manifest = {"scaling": {"columns": [{"scale": 1 / 250_000}]}}
        (tmp_path / "bundle/MANIFEST.json").write_text(json.dumps(manifest))
        (tmp_path / f"titles/continuous-{CHECK_ROWS}.parquet").touch()
        expected = pa.table({"predicted_earnings": np.linspace(20_000.0, 300_000.0, CHECK_ROWS)})
        pq.write_table(expected, tmp_path / "truth/continuous.parquet")

        def admit(change):
            code = (
                "import sys, numpy as np, pyarrow as pa; from pyarrow import parquet as pq\n"
                "table = pq.read_table(sys.argv[3] + '/truth/continuous.parquet')\n"
                f"values = table['predicted_earnings'].to_numpy().copy(); {change}\n"
                "pq.write_table(pa.table({'predicted_earnings': values}), sys.argv[2])"
            )
            module = SimpleNamespace(LABEL="Other", command=lambda *paths: ["-c", code, *map(str, paths)])
            bench = Bench(Assets(tmp_path), "quick")
            return *bench.admit([Contender("other", module)], "continuous", "parquet"), bench.measure([])["skipped"]

        return admit

    def test_correct_contender_is_admitted(self, admit):
        """A contender with a small difference may be timed."""
        admitted, checks, excluded = admit("values += 1.0")
        assert ([contender.name for contender in admitted], excluded) == (["other"], [])
        assert checks[0]["largest_difference_usd"] == 1.0

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("values[7] += 4.0", "1 rows differ, row 8: "),
            ("values[3] = np.nan", "1 rows differ, row 4: nan"),
            ("values = values[::-1]", "rows differ"),
            ("values = values[1:]", "19,999 predictions, expected 20,000"),
            ("raise SystemExit('out of ideas')", "exit code 1: out of ideas"),
            ("sys.exit()", "wrong output"),
        ],
    )
    def test_wrong_contender_is_excluded(self, admit, change, reason):
        """A contender with a wrong output is not timed."""
        admitted, checks, excluded = admit(change)
        assert (admitted, checks) == ([], [])
        assert reason in excluded[0]["reason"]

    def test_folder_is_an_output(self, tmp_path):
        """The rows of a folder are the rows of its parts, in their order."""
        (tmp_path / "run_date=2026-01-02").mkdir()
        for name, earnings in (("00001", [3.0]), ("00000", [1.0, 2.0])):
            path = tmp_path / f"run_date=2026-01-02/part-{name}.parquet"
            pq.write_table(pa.table({"predicted_earnings": earnings}), path)
        path.with_name("_run.json").touch()
        assert bench.open_output(tmp_path).count_rows() == 3
        assert bench.read_predictions(tmp_path).tolist() == [1.0, 2.0, 3.0]

    def test_limit_grows_with_prediction(self):
        """Large predictions may differ in proportion to their size."""
        assert bench.find_largest_difference(np.array([1e7 + 99]), np.array([1e7]), 1.0) == pytest.approx(99)
        with pytest.raises(ValueError, match="1 rows differ"):
            bench.find_largest_difference(np.array([1e7 + 101]), np.array([1e7]), 1.0)


class TestContenders:
    def test_ours_comes_first(self, tmp_path):
        """gamesales comes first; its folder has the same command; labels differ."""
        contenders = load_contenders()
        ours, folder = contenders[:2]
        names = ours.name, ours.output_name("csv"), folder.output_name("csv")
        assert names == (OURS, "predictions.csv", "predictions")
        assert ours.command(*[tmp_path] * 3) == folder.command(*[tmp_path] * 3)
        assert len({contender.label for contender in contenders}) == len(contenders)
        with pytest.raises(SystemExit, match=r"no contender nobody; expected some of .*course"):
            load_contenders(["nobody"])

    def test_quick_run_is_small(self, tmp_path):
        """A quick run has few contenders and those of the command line, and small files for slow contenders."""
        for scale, names, count in (("quick", [], 2), ("quick", ["ours", "mlflow_pyfunc"], 2), ("full", [], 11)):
            chosen = Bench(Assets(tmp_path), scale, contenders=names).choose_by_scale(["ours", "course"])
            assert [contender.name for contender in chosen if contender.name in names] == names
            assert len(chosen) == count
        (course,) = load_contenders(["course"])
        assert scoring.choose_sizes(course, "csv", scoring.SIZES, "quick") == [1_000, 100_000]
        assert scoring.choose_sizes(course, "csv", scoring.SIZES, "full") == list(scoring.SIZES)

    def test_descriptions_import_nothing_heavy(self):
        """Suites describe contenders, trainers and registries without their libraries."""
        code = (
            "import sys; from benchmarks import contenders, registries, suites, trainers\n"
            "from benchmarks.bench import load_modules\n"
            "[load_modules(package) for package in (contenders, registries, suites, trainers)]\n"
            "heavy = {'keras', 'tensorflow', 'pandas', 'sklearn', 'mlflow', 'pins', 'pyspark', 'ray', 'daft'}\n"
            "heavy &= set(sys.modules)\n"
            "sys.exit(', '.join(heavy) or None)"
        )
        assert measure(python(code)).failure is None


@pytest.mark.parametrize("name", sorted(probes.PROBES))
def test_every_part_runs_alone(tmp_path, monkeypatch, name):
    """Each probe runs on small files; the parts belong to scoring, and change with it."""
    monkeypatch.setattr(probes, "REPEATS", 1)
    for folder in ("titles", "truth", "bundle"):
        (tmp_path / folder).mkdir()
    source = tmp_path / f"titles/t.{'csv' if name == 'arrow_csv' else 'parquet'}"
    write_titles(source, 5_000, with_target=False)
    earnings = pa.table({"predicted_earnings": np.linspace(1e4, 3e5, CHECK_ROWS)})
    pq.write_table(earnings, tmp_path / "truth/continuous.parquet")
    (tmp_path / "bundle/scorer.onnx").write_bytes(simple_graph())
    assert min(probes.run_probe(name, "1", str(source)).values()) > 0


@pytest.mark.parametrize(("kind", "price"), [("csv", "free"), ("parquet", "-1.0")])
def test_every_hundredth_price_is_invalid(tmp_path, kind, price):
    """Files with rejects have an invalid price in every hundredth row, and differ in nothing else."""
    paths = [tmp_path / f"{name}.{kind}" for name in ("titles", "spoiled")]
    write_titles(paths[0], 70_000, with_target=False)
    spoil_prices(*paths)
    rows = [path.read_text().split()[1:] if kind == "csv" else pq.read_table(path).to_pylist() for path in paths]
    changed = [number for number, (before, after) in enumerate(zip(*rows, strict=True)) if before != after]
    assert changed == list(range(0, 70_000, 100))
    assert price in str(rows[1][0])


@pytest.fixture
def results():
    return json.loads(KEPT.read_bytes())


@pytest.mark.parametrize(
    ("values", "unit", "text"),
    [
        ([4.0, None, 1.0, 2.0], "×", "2.00 × (1.00 to 4.00)"),
        ([0.5, 0.75, 0.8], "%", "75% (50% to 80%)"),
        ([0.4, 0.4001], "s", "0.400 s"),
        ([9e5, 2e6, 3e6], "rows/s", "2.00 M/s (900 k/s to 3.00 M/s)"),
        ([5e6], "MB", "5 MB (once)"),
        ([], "s", "—"),
    ],
)
def test_cells_show_the_range(values, unit, text):
    """A cell has the median and the range, with the unit once, and no range without differences."""
    assert show(values, unit) == text


def test_numbers_have_three_digits():
    """Numbers have three digits."""
    texts = [format_number(value) for value in (0.01234, 1.0, 12.34, 100.4, 1234.5)]
    assert texts == ["0.0123", "1.00", "12.3", "100", "1,230"]


def test_ratios_are_within_a_round():
    """A machine that is twice as slow in one round changes no ratio."""
    assert show_ratio({0: 10.0, 1: 20.0, 2: 30.0}, {0: 5.0, 1: 10.0, 3: 1.0}) == "2.00 ×"


def test_rates_leave_start_up_out():
    """A rate has the extra time over the base; rounds without both sizes or with absurd noise have none."""
    times = ((1_000, 0, 0.5), (10_000, 0, 2.5), (1_000, 1, 0.5), (10_000, 1, 0.4), (10_000, 2, 1.0))
    assert compute_rates([dict(zip(("rows", "round", "wall_s"), run, strict=True)) for run in times]) == {0: 5_000.0}


def test_page_is_rendered_from_the_kept_results(results):
    """``python -m benchmarks docs`` writes the page again; the JSON keeps its format."""
    assert KEPT.read_text(encoding="utf-8") == program.format_results(results)
    assert KEPT.with_suffix(".md").read_text(encoding="utf-8") == program.render(results)
    for plot in plots.build_plots(results):
        assert (KEPT.parent / plot.path).read_text(encoding="utf-8") == plots.draw(plot)


def test_page_begins_with_its_result(results):
    """A headline of at most 30 words is followed by a plot. Its numbers are those of the tables."""
    _, headline, image, *_ = page = program.render(results).split("\n\n")
    rates, times = (next(part for part in page if part.startswith(start)) for start in ("|  | largest", "|  | rows"))
    assert len(headline.split()) <= 30
    assert image.startswith("![Rows per second: gamesales ")
    million, ratio, first, slow_first = re.findall(r"(?<![\d,])\d+(?:\.\d+)?(?= million| times| s\b)", headline)
    assert f"| {million} M/s (" in rates
    assert f"| {ratio} × (" in rates
    assert all(f"| 1,000 | {time} s (" in times for time in (first, slow_first))


def test_bars_start_at_zero():
    """The bars start at 0, and are as long as their medians on a linear axis."""
    bars = [("gamesales", [9.0, 10.0, 12.0]), ("other", [2.5]), ("none", [0.0])]
    svg = plots.draw(plots.BarPlot("name", "Time", "seconds", "s", 1.0, "gamesales", bars))
    kinds, starts, ends = zip(*re.findall(r'<path class="(ours|other)" d="M(\d+) \d+H([\d.]+)v', svg), strict=True)
    ticks = {text: float(x) for x, text in re.findall(r'"muted" x="([\d.]+)" [^>]*>(\d+)<', svg)}
    assert kinds == ("ours", "other", "other")
    assert {float(start) for start in starts} == {ticks["0"]}
    lengths = [float(end) - ticks["0"] for end in ends]
    assert lengths == pytest.approx([ticks["10"] - ticks["0"], (ticks["10"] - ticks["0"]) / 4, 0], abs=0.1)


def test_rows_have_all_cells(results):
    """Each row of each table has as many cells as columns."""
    assert set(suites.FULL) <= set(results["suites"]) <= set(suites.NAMES)
    for name, result in results["suites"].items():
        for table in load_modules(suites)[name].build_section(result).tables:
            assert {len(row) for row in table.rows} == {len(table.columns)}, table.heading


def test_sections_without_runs_are_shown(results):
    """A suite in which everything failed shows the reasons."""
    skipped = [{"contender": "x", "what": "y", "reason": "no <network> | here"}]
    nothing = {"runs": [], "shapes": [], "checks": [], "skipped": skipped}
    results["suites"] = {name: {**result, **nothing} for name, result in results["suites"].items()}
    assert program.render(results).count("\n- x, y: no <network> | here\n") == len(results["suites"])


def test_earlier_needs_a_checkout(tmp_path):
    """The suite that compares two checkouts names the option that it needs."""
    with pytest.raises(SystemExit, match="--earlier FOLDER"):
        program.measure_suite("earlier", Bench(Assets(tmp_path), "full"))


def test_bound_adds_times():
    """The bound adds the times of the steps: four of 10 M rows per second on two cores give 5 M."""
    steps = {(step, limits.ONE): {"seconds": 0.1, "work": 1_000_000} for step in limits.STEPS}
    steps["graph", limits.ALL] = {"seconds": 1.0, "work": 12_000_000}
    runs = [{"contender": name, "case": case, "round": 0, "answer": step} for (name, case), step in steps.items()]
    assert limits.compute_bounds(runs, 2) == {0: pytest.approx(5e6)}
    assert limits.compute_bounds(runs, 2, limits.ALL) == {0: pytest.approx(2 / (3 / 10e6 + 1 / 6e6))}
    assert limits.compute_bounds(runs[1:], 2) == {}


def test_training_reaches_an_error():
    """The time to an error is the time of the first epoch that reaches it."""
    trained = {"answer": {"curve": [[1.0, 9e-5], [5.0, 7e-5]]}}
    assert [training.find_time_to(trained, error) for error in (9e-5, 1e-6)] == [1.0, None]


def test_suites_share_the_time(tmp_path, monkeypatch):
    """A quick run takes less than ten minutes, and gives each suite a deadline; a full run has none."""
    assert sum(suites.QUICK.values()) < 600
    deadlines = []
    monkeypatch.setattr(growth, "run", lambda bench: deadlines.append(bench.deadline) or {})
    for scale in ("quick", "full"):
        program.measure_suite("growth", Bench(Assets(tmp_path), scale))
    assert time.monotonic() + 60 < deadlines[0] < time.monotonic() + 90 < deadlines[1]


def test_results_are_written(tmp_path, monkeypatch):
    """A run writes JSON and Markdown with the command and the commit."""
    monkeypatch.setattr(program, "describe_commit", lambda _checkout: "abc1234")
    monkeypatch.setattr(growth, "run", lambda _bench: {"runs": [], "shapes": [], "skipped": []})
    program.main(["full", "--suite", "growth", "--rounds", "2", "--output", str(tmp_path)])
    made = program.read_results(tmp_path)["suites"]["growth"]["made"]
    assert made["command"] == "python -m benchmarks full --suite growth --rounds 2"
    assert "at commit abc1234" in (tmp_path / "latest.md").read_text()


def test_only_equal_machines_are_merged(monkeypatch):
    """A suite replaces its earlier result; results of another machine are dropped."""
    monkeypatch.setattr(program, "describe_machine", lambda: "here")
    earlier = {"format": 1, "machine": "here", "suites": {"growth": 1, "scoring": 2}}
    assert program.merge_results(earlier, "growth", {})["suites"] == {"growth": {}, "scoring": 2}
    assert program.merge_results({**earlier, "machine": "there"}, "growth", {})["suites"] == {"growth": {}}


def test_no_checkout_has_no_commit(tmp_path, monkeypatch):
    """The commit is None without a checkout."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert program.describe_commit(tmp_path) is None
    assert program.describe_commit(ROOT).removesuffix("-dirty").isalnum()
