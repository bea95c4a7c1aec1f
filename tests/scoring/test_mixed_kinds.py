"""Runs over categories, dates and missing cells: equal predictions from every format, and reasons for rejects."""

import csv
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from gamesales.data.contract import Contract
from gamesales.data.screen import RejectLimit
from gamesales.data.table import Batch
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.scored_titles import PredictionCache
from gamesales.scoring.scorer import load_version
from support.mixed import (
    GOOD,
    GOOD_SALES,
    MIXED,
    encoded_version,
    mixed_cells,
    mixed_details,
    mixed_graph,
    mixed_sales,
    mixed_values,
    mixed_version,
    publish_mixed,
)
from support.runs import earnings, read_rejects, score, written_csv

ROWS = 6_000
ANY_REJECTS = RejectLimit(rows=10**9)


def make_cells(rows=ROWS, seed=1):
    """Cells by column, with the ids of the titles."""
    values = mixed_values(rows, seed)
    return values, {"title_id": [f"T{row}" for row in range(rows)], **mixed_cells(values)}


VALUES, CELLS = make_cells()
FRAME = pd.DataFrame(CELLS)
TEXTS = ["genre", "platform", "publisher", "released"]


def write_csv(path, cells=CELLS, missing="", **options):
    rows = zip(*cells.values(), strict=True)
    texts = [[missing if cell is None else str(cell) for cell in row] for row in rows]
    path.write_bytes(written_csv([list(cells), *texts], **options))


def write_parquet(path, **columns):
    table = pa.table({**CELLS, **columns})
    parquet.write_table(table, path, row_group_size=2_500)


def write_pandas(path, frame):
    frame.to_parquet(path, row_group_size=2_500)


DAYS = np.array(CELLS["released"], "datetime64[D]")
CODES = [int(code) for code in CELLS["publisher"]]
WRITERS = {
    "plain.csv": write_csv,
    "quoted.csv": lambda path: write_csv(path, quote_all=True),
    "words.csv": lambda path: write_csv(path, missing="N/A"),
    "floats.csv": lambda path: write_csv(path, {**CELLS, "publisher": [f" {code}.0" for code in CODES]}),
    "strings.parquet": write_parquet,
    "bytes.parquet": lambda path: write_parquet(path, genre=pa.array(CELLS["genre"]).cast(pa.binary())),
    "large.parquet": lambda path: write_parquet(path, genre=pa.array(CELLS["genre"], pa.large_string())),
    "dictionaries.parquet": lambda path: write_parquet(
        path, **{name: pa.array(CELLS[name]).dictionary_encode() for name in TEXTS}
    ),
    "integers.parquet": lambda path: write_parquet(path, publisher=pa.array(CODES, pa.int16())),
    "days.parquet": lambda path: write_parquet(path, released=pa.array(DAYS, pa.date32())),
    "times.parquet": lambda path: write_parquet(path, released=pa.array(DAYS.astype("datetime64[ms]"))),
    "pandas_strings.parquet": lambda path: write_pandas(path, FRAME.astype({"genre": "string", "year": "Int64"})),
    "pandas_categoricals.parquet": lambda path: write_pandas(path, FRAME.astype(dict.fromkeys(TEXTS, "category"))),
    # Integers in a column with gaps become floats in pandas: 2006.0.
    "pandas_floats.parquet": lambda path: write_pandas(path, FRAME.assign(publisher=np.array(CODES, np.float64))),
    "pandas_times.parquet": lambda path: write_pandas(path, FRAME.assign(released=DAYS.astype("datetime64[ns]"))),
}


@pytest.fixture(scope="module")
def expected_bytes(tmp_path_factory):
    """The result of the plain CSV file."""
    return read_result(mixed_version(), tmp_path_factory.mktemp("csv"), "plain.csv")


def read_result(version, folder, name, workers=1):
    """Write a file, score it with the ids, and return the bytes of the result."""
    WRITERS[name](folder / name)
    score(version, folder / name, folder / "out.csv", keep=["title_id"], workers=workers)
    return (folder / "out.csv").read_bytes()


@pytest.mark.parametrize("name", WRITERS)
def test_formats(tmp_path, expected_bytes, name):
    """Every format and every type of a column gives the same bytes, with one and with two workers."""
    assert expected_bytes == read_result(mixed_version(), tmp_path, name, workers=2 if "pandas" in name else 1)
    assert mixed_sales(VALUES).tolist() == earnings(tmp_path / "out.csv")


def test_workers(tmp_path):
    """A folder of files in several formats gives the same bytes with one and with two workers."""
    (tmp_path / "in").mkdir()
    for name in ("plain.csv", "dictionaries.parquet", "days.parquet", "strings.parquet"):
        WRITERS[name](tmp_path / "in" / name)
    for workers in (1, 2):
        score(mixed_version(), tmp_path / "in", tmp_path / f"{workers}.csv", workers=workers, keep=["title_id"])
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    assert mixed_sales(VALUES).tolist() * 4 == earnings(tmp_path / "1.csv")


@pytest.mark.slow
def test_encoder(tmp_path):
    """The same with the encoder and the network that training makes: each batch gives the same last bits."""
    version = encoded_version()
    results = {name: read_result(version, tmp_path, name, workers=2) for name in WRITERS}
    assert 1 == len(set(results.values()))
    expected = np.maximum(version.scorer.score(VALUES), 0.0)
    assert expected.tolist() == earnings(tmp_path / "out.csv")


def make_version(contract):
    """A version for a changed contract, with the same weights."""
    return load_version("game-sales", 1, "4" * 64, mixed_details(contract), mixed_graph(contract))


def change_column(name, **changes):
    features = tuple(replace(column, **changes) if column.name == name else column for column in MIXED.features)
    return Contract(MIXED.target, features, MIXED.identity, MIXED.missing_values)


def score_titles(folder, *titles, version=None, form="csv"):
    """Score titles that change GOOD. Return the predictions, and the reasons of the rejects."""
    cells = {name: [{**GOOD, **title}[name] for title in titles] for name in GOOD}
    path = folder / f"titles.{form}"
    if form == "csv":
        write_csv(path, cells)
    else:
        parquet.write_table(pa.table(cells), path)
    report = score(version or mixed_version(), path, folder / "out.csv", limit=ANY_REJECTS)
    rejects = folder / "out.csv.rejects.csv"
    reasons = [reject["reason"] for reject in read_rejects(rejects)] if report.rows_rejected else []
    return earnings(folder / "out.csv"), reasons


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_reject_reasons(tmp_path, form):
    """A cell that does not fit rejects its row and no other, with its reason."""
    faults = {
        "genre: missing": {"genre": None},
        "genre: missing; is_sequel: missing": {"genre": "tbd", "is_sequel": " "},
        "publisher: a value that the contract does not have": {"publisher": "8"},
        "publisher: missing": {"publisher": "N/A"},
        "released: not a date, expected a date such as 2026-11-30": {"released": "30.11.2026"},
        "year: not a number": {"year": "MMVI"},
        "year: out of range, allowed: 1980 to 2030": {"year": "20006"},
        "year: not a finite number": {"year": "1e99"},
        "is_sequel: out of range, allowed: 0 or 1": {"is_sequel": "2"},
    }
    sales, reasons = score_titles(tmp_path, {}, *faults.values(), {}, form=form)
    assert [GOOD_SALES] * 2 == sales
    assert list(faults) == reasons


def test_fault_among_repeated_titles():
    """A year that is no number rejects its row, also if an earlier batch had the same title without a year."""
    version, cache = mixed_version(), PredictionCache()
    columns = {name: [cell] * 5_000 for name, cell in GOOD.items()}
    rejects = []
    for year in ("N/A", "MMVI"):
        table = pa.RecordBatch.from_pydict({**columns, "year": ["2008"] * 4_999 + [year]})
        batch = predict_batch(Batch(table, np.arange(1, 5_001)), version, cache)
        rejects.append([row.reason for row in batch.screened.rejected])
    assert [[], ["year: not a number"]] == rejects


def test_unseen_category(tmp_path):
    """An unseen category is scored as other, or rejects its row if the contract says so."""
    titles = {"genre": "Puzzle"}, {"genre": "rpg"}, {}
    assert ([GOOD_SALES - 3, GOOD_SALES - 3, GOOD_SALES], []) == score_titles(tmp_path, *titles)
    strict = make_version(change_column("genre", unseen="reject"))
    reason = "genre: a value that the contract does not have"
    assert ([GOOD_SALES], [reason] * 2) == score_titles(tmp_path, *titles, version=strict)


@pytest.mark.parametrize("text", ["", "  ", "N/A", "tbd", " N/A\t"])
def test_missing_texts(tmp_path, text):
    """The texts of the contract and an empty cell are missing, in a category, a date and a number."""
    sales, _ = score_titles(tmp_path, {"platform": text}, {"released": text}, {"year": text})
    assert [GOOD_SALES - 32 + 256, GOOD_SALES, GOOD_SALES - 0.25] == sales


def test_other_texts_are_not_missing(tmp_path):
    """A word that the contract does not list is a value."""
    sales, reasons = score_titles(tmp_path, {"platform": "n/a"}, {"platform": "None"}, {"year": "NA"})
    assert [GOOD_SALES - 16] * 2 == sales
    assert ["year: not a number"] == reasons


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [("2006", True), ("2006.0", True), (" 2006 ", True), ("2006.00", False), ("02006", False), ("2006.5", False)],
)
def test_integer_codes(tmp_path, text, is_seen):
    """Integer codes are their digits. pandas writes 2006.0 in a column with gaps, which is the same code."""
    version = make_version(change_column("publisher", unseen="other"))
    assert [GOOD_SALES + 1024 if is_seen else GOOD_SALES - 1024] == score_titles(
        tmp_path, {"publisher": text}, version=version
    )[0]


def test_date_format(tmp_path):
    """Dates of text have the format of the contract. Dates of Arrow have none."""
    version = make_version(change_column("released", date_format="%d.%m.%Y"))
    sales, reasons = score_titles(tmp_path, {"released": "31.01.2020"}, {"released": "2020-01-31"}, version=version)
    assert [GOOD_SALES + 30 / 128] == sales
    assert ["released: not a date, expected a date such as 30.11.2026"] == reasons
    table = pa.table({**{name: [cell] for name, cell in GOOD.items()}, "released": pa.array([18_292], pa.date32())})
    parquet.write_table(table, tmp_path / "days.parquet")
    score(version, tmp_path / "days.parquet", tmp_path / "days.csv")
    assert sales == earnings(tmp_path / "days.csv")


NASTY = {
    "NUL": "RP\0G",
    "emoji": "\N{VIDEO GAME}\N{ZERO WIDTH JOINER}\N{SPARKLES}",
    "right to left": "\u202eGPR\u202c",
    "right-to-left mark": "RPG\u200f",
    "combining": "RPG\u0301",
    "full width": "\uff32\uff30\uff27",
    "case": "Rpg",
    "blank inside": "R PG",
    "line break": "RP\nG",
    "quote": 'R"PG',
    "formula": "=RPG",
    "megabytes": "RPG" * 3_500_000,
}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_nasty_text(tmp_path, form):
    """Text that looks like a category is another category; only the blanks around it do not matter.

    A CSV file has no NUL: its row is rejected.
    """
    others = [{"genre": text} for text in NASTY.values()]
    same = [{"genre": text} for text in (" RPG", "RPG\t", "\u00a0RPG\u3000", "\nRPG\r\n", "RPG")]
    sales, reasons = score_titles(tmp_path, *others, *same, form=form)
    expected_reasons = ["a cell has a NUL character"] if form == "csv" else []
    assert expected_reasons == reasons
    assert [GOOD_SALES - 3] * (len(others) - len(reasons)) + [GOOD_SALES] * len(same) == sales


def test_nasty_text_as_category(tmp_path):
    """Nasty text that training has seen is a category like any other, in every format and in the manifest."""
    values = NASTY["NUL"], NASTY["emoji"], NASTY["right to left"]
    contract = change_column("genre", values=values)
    version = make_version(Contract.from_json(json.loads(json.dumps(contract.as_json()))))
    titles = [{"genre": text} for text in values]
    weights = [2, 4, 8]
    assert [GOOD_SALES - 4 + weight for weight in weights] == score_titles(
        tmp_path, *titles, version=version, form="parquet"
    )[0]
    assert [GOOD_SALES - 4 + weight for weight in weights[1:]] == score_titles(tmp_path, *titles, version=version)[0]


def test_invalid_utf8(tmp_path):
    """Bytes that are not text are no category, and do not stop a run."""
    table = pa.table({**{name: [cell] for name, cell in GOOD.items()}, "genre": pa.array([b"R\xffPG"])})
    parquet.write_table(table, tmp_path / "bytes.parquet")
    score(mixed_version(), tmp_path / "bytes.parquet", tmp_path / "out.csv")
    assert [GOOD_SALES - 3] == earnings(tmp_path / "out.csv")


@pytest.fixture
def long_cells():
    """Let the csv module of Python read cells of megabytes."""
    limit = csv.field_size_limit(1 << 30)
    yield
    csv.field_size_limit(limit)


@pytest.mark.usefixtures("long_cells")
def test_long_cell_of_a_reject(tmp_path):
    """A cell of megabytes that is rejected has its reason, and the run goes on."""
    sales, reasons = score_titles(tmp_path, {"publisher": "x" * 10_000_000}, {})
    assert ([GOOD_SALES], ["publisher: a value that the contract does not have"]) == (sales, reasons)


def test_explanations(tmp_path):
    """A report explains the highest predictions with the text of categories and dates."""
    titles = mixed_values(20, seed=6)
    write_csv(tmp_path / "in.csv", {name: cells[:50] for name, cells in CELLS.items()})
    report = score(mixed_version(), tmp_path / "in.csv", tmp_path / "out", explain=3, references=titles)
    sales = mixed_sales(VALUES[:50])
    assert sorted(sales, reverse=True)[:3] == [title.explanation.prediction for title in report.explanations]
    for title in report.explanations:
        shown = {effect.column: effect.value for effect in title.explanation.effects}
        cells = {name: CELLS[name][title.row - 1] for name in GOOD}
        cells["genre"] = "other" if cells["genre"] == "Puzzle" else cells["genre"]
        cells["platform"] = "other" if cells["platform"] == "PC" else cells["platform"]
        assert cells == shown


@pytest.mark.slow
def test_delta_input(tmp_path):
    """A Delta table with categories, dates and gaps gives the same predictions."""
    deltalake = pytest.importorskip("deltalake")
    days = pa.array(DAYS, pa.date32())
    deltalake.write_deltalake(str(tmp_path / "table"), pa.table({**CELLS, "released": days}))
    score(mixed_version(), tmp_path / "table", tmp_path / "out.csv")
    assert mixed_sales(VALUES).tolist() == earnings(tmp_path / "out.csv")


@pytest.mark.slow
def test_ray(tmp_path):
    """Shards on Ray give the same bytes: the contract with its categories goes to the workers."""
    pytest.importorskip("ray")
    from gamesales.scoring.engines.ray_engine import RayEngine

    write_csv(tmp_path / "in.csv")
    score(mixed_version(), tmp_path / "in.csv", tmp_path / "local.csv")
    with RayEngine() as engine:
        score(mixed_version(), tmp_path / "in.csv", tmp_path / "ray.csv", engine=engine)
    assert (tmp_path / "local.csv").read_bytes() == (tmp_path / "ray.csv").read_bytes()


# Runs a command and prints its largest memory in kB, which is not that of this process.
PEAK = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_million_values(tmp_path, form):
    """A million distinct values in a category count as other. Memory does not grow with their number."""
    publish_mixed(tmp_path)
    peaks = []
    for rows in (200_000, 1_000_000):
        genres = pa.array([f"genre {row:07d} \N{VIDEO GAME}" for row in range(rows)])
        table = pa.table({name: genres if name == "genre" else pa.array([GOOD[name]] * rows) for name in GOOD})
        path = tmp_path / f"{rows}.{form}"
        arrow_csv.write_csv(table, path) if form == "csv" else parquet.write_table(table, path, row_group_size=100_000)
        words = ["-m", "gamesales", "score", path, "--output", tmp_path / "out.parquet", "--workers", "1"]
        command = [sys.executable, "-c", PEAK, sys.executable, *map(str, words)]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        peaks.append(int(ran.stdout))
        sales = parquet.read_table(tmp_path / "out.parquet").column("predicted_earnings")
        assert {GOOD_SALES - 3: rows} == Counter(sales.to_pylist())
    assert peaks[1] < peaks[0] + 100_000
