"""A run that is stopped anywhere goes on where it was, and ends with the bytes of one that nobody disturbed."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data import csv_scan, parquet_file
from gamesales.data.screen import RejectLimit
from gamesales.errors import TooManyRejectsError
from gamesales.scoring import plan as shards
from gamesales.scoring import shard
from support.runs import earnings, network_version, read_rejects, score, simple_version, snapshot, write_mixed
from support.versions import titles_table

ROWS = 6_000
# Of all inputs together, at the sizes below: 34.
BATCHES = 30


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with inputs of several kinds, cut into many small shards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parquet_file, "BATCH_ROWS", 150)
    monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 6_000)
    monkeypatch.setattr(shards, "FEWEST_ROWS", 400)
    write_mixed(tmp_path / "in", ROWS)
    return tmp_path


class Stop(BaseException):
    """Whatever ends a run at once."""


def stop_after(monkeypatch, batches):
    """Let so many batches through."""
    predict, seen = shard.predict_titles, []

    def counting(*arguments):
        seen.append(1)
        if len(seen) > batches:
            raise Stop
        return predict(*arguments)

    monkeypatch.setattr(shard, "predict_titles", counting)
    return lambda: monkeypatch.setattr(shard, "predict_titles", predict)


def result(path):
    """A result's files without its report, which tells of times."""
    if path.is_dir():
        return {name: data for name, data in snapshot(path).items() if name != "_run.json"}
    return {path.name: path.read_bytes(), "rejects": path.with_name(f"{path.name}.rejects.csv").read_bytes()}


PLACES = {"out.csv": "out.csv", "out.parquet": "out.parquet", "out": "out/run_date=2026-11-23"}


@pytest.mark.parametrize("output", PLACES)
@pytest.mark.parametrize("tenth", range(10))
def test_a_run_stopped_at_any_tenth_goes_on_and_ends_alike(here, monkeypatch, output, tenth):
    version, limit = network_version(), RejectLimit(0, 0.5)
    whole = score(version, "in", f"whole/{output}", limit=limit)
    go_on = stop_after(monkeypatch, BATCHES * tenth // 10)
    with pytest.raises(Stop):
        score(version, "in", output, limit=limit, workers=1 + tenth % 2)
    assert not (here / PLACES[output]).exists()
    go_on()
    report = score(version, "in", output, limit=limit, workers=2 - tenth % 2)
    assert result(here / "whole" / PLACES[output]) == result(here / PLACES[output])
    assert (whole.rows_in, whole.rows_scored) == (report.rows_in, report.rows_scored)
    assert whole.inputs == report.inputs
    if tenth > 5:
        assert report.shards_resumed > 0


@pytest.mark.parametrize("output", PLACES)
def test_any_number_of_workers_gives_the_same_bytes(here, output):
    limit = RejectLimit(0, 0.5)
    for workers in (1, 2, 5):
        score(network_version(), "in", f"by{workers}/{output}", limit=limit, workers=workers)
    one, *others = [result(here / f"by{workers}" / PLACES[output]) for workers in (1, 2, 5)]
    assert all(one == other for other in others)


@pytest.mark.parametrize("output", PLACES)
def test_what_is_done_is_not_done_again(here, output, monkeypatch):
    limit = RejectLimit(0, 0.5)
    first = score(simple_version(), "in", output, limit=limit)
    assert not first.already_done
    before = snapshot(here)
    stop_after(monkeypatch, 0)
    again = score(simple_version(), "in", output, limit=limit)
    assert again.already_done
    assert (first.run_id, first.started) == (again.run_id, again.started)
    assert before == snapshot(here)
    with pytest.raises(Stop):
        score(simple_version(), "in", output, limit=limit, fresh=True)


@pytest.mark.parametrize("output", PLACES)
@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_result_that_was_damaged_is_made_again(here, output, damage):
    limit = RejectLimit(0, 0.5)
    score(simple_version(), "in", output, limit=limit)
    place = here / PLACES[output]
    part = place if place.is_file() else sorted(place.glob("part*"))[1]
    whole = part.read_bytes()
    if damage == "removed":
        part.unlink()
    else:
        part.write_bytes(whole[:-1])
    assert not score(simple_version(), "in", output, limit=limit).already_done
    assert whole == part.read_bytes()


@pytest.mark.parametrize("output", PLACES)
def test_a_shard_whose_file_was_damaged_meanwhile_is_done_again(here, output, monkeypatch):
    limit = RejectLimit(0, 0.5)
    score(simple_version(), "in", f"whole/{output}", limit=limit)
    go_on = stop_after(monkeypatch, BATCHES * 6 // 10)
    with pytest.raises(Stop):
        score(simple_version(), "in", output, limit=limit)
    go_on()
    (work,) = list(here.rglob("*.work"))
    entered = sorted(work.glob("ledger/*.json"))
    assert len(entered) > 2
    (name,) = [
        name
        for name in json.loads(entered[0].read_bytes())["files"]
        if name.startswith(("made/part", "pieces")) and "reject" not in name
    ]
    (work / name).write_bytes(b"cut")
    entered[1].write_bytes(b"{")
    report = score(simple_version(), "in", output, limit=limit)
    assert report.shards_resumed == len(entered) - 2
    assert result(here / "whole" / PLACES[output]) == result(here / PLACES[output])


def test_another_version_takes_nothing_over(here, monkeypatch):
    limit = RejectLimit(0, 0.5)
    go_on = stop_after(monkeypatch, BATCHES * 6 // 10)
    with pytest.raises(Stop):
        score(simple_version(), "in", "out", limit=limit)
    go_on()
    assert score(network_version(), "in", "out", limit=limit).shards_resumed == 0


def test_a_hopeless_run_is_refused_before_it_is_read_to_its_end(here, monkeypatch):
    seen = []
    predict = shard.predict_titles
    monkeypatch.setattr(shard, "predict_titles", lambda *given: seen.append(1) or predict(*given))
    table = titles_table(ROWS)
    bad = table.set_column(table.schema.get_field_index("unit_price"), "unit_price", pa.array(np.zeros(ROWS)))
    parquet.write_table(bad, "bad.parquet", row_group_size=300)
    with pytest.raises(TooManyRejectsError, match=r"of 6,000 rows were rejected, more than the 60 allowed") as failure:
        score(simple_version(), "bad.parquet", "out.csv")
    assert len(seen) < 4
    assert read_rejects(here / "out.csv.work/rejects.csv")[0]["row"] == 1
    assert "out.csv.work/rejects.csv" in failure.value.hint


def test_a_larger_limit_goes_on_from_there(here):
    with pytest.raises(TooManyRejectsError):
        score(simple_version(), "in", "out.csv", limit=RejectLimit(60, 0))
    report = score(simple_version(), "in", "out.csv", limit=RejectLimit(0, 0.5))
    assert report.shards_resumed > 0
    assert report.rows_rejected == len(read_rejects(here / "out.csv.rejects.csv"))


def test_rows_come_out_in_the_order_of_the_inputs(here):
    score(simple_version(), "in", "out.csv", limit=RejectLimit(0, 0.5), workers=3)
    score(simple_version(), "in", "out", limit=RejectLimit(0, 0.5), workers=3)
    assert earnings(here / "out.csv") == earnings(here / PLACES["out"])
