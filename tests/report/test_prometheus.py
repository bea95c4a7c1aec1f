"""The metrics of a run: a page that Prometheus can read, and a last success that outlives failures."""

import math
import os
import re
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gamesales.errors import UsageError
from gamesales.report.prometheus import Outcome, render, write

FINISHED = datetime(2026, 11, 24, 2, 0, 30, 250_000, tzinfo=UTC)
LATER = FINISHED + timedelta(days=1)
REPORT = {
    "run_id": "1" * 64,
    "run_date": "2026-11-24",
    "model_version": 4,
    "rows_in": 50_000_000,
    "rows_scored": 49_999_000,
    "rows_rejected": 1_000,
    "rows_outside_training_range": 7,
    "seconds": 12.345,
}
DONE = Outcome("game-earnings", 0, FINISHED, REPORT, {"critic_rating": 0.012, "unit_price": 0.31})
FAILED = Outcome("game-earnings", 3, LATER)
DRIFTED = Outcome("game-earnings", 6, LATER, REPORT, {"critic_rating": 0.3})

_SAMPLE = re.compile(r"([a-z_]+)\{((?:[a-z_]+=\"(?:[^\"\\\n]|\\.)*\",?)*)\} (\S+)")
_LABEL = re.compile(r"([a-z_]+)=\"((?:[^\"\\\n]|\\.)*)\"")
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def parse(page):
    """Read a page as Prometheus does: the value of each metric by its labels; every metric has its HELP and TYPE."""
    assert page.endswith("\n")
    metrics, helped, typed = {}, set(), set()
    for line in page.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            helped.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            name = line.split(" ")[2]
            assert line == f"# TYPE {name} gauge"
            assert name not in typed, "a metric is declared once"
            typed.add(name)
        else:
            name, labels, value = _SAMPLE.fullmatch(line).groups()
            assert name in helped & typed
            key = tuple(re.sub(r"\\.", lambda one: _ESCAPES[one[0]], text) for _, text in _LABEL.findall(labels))
            assert key not in metrics.setdefault(name, {}), "a sample is told once"
            metrics[name][key] = float(value)
    assert typed == helped == set(metrics)
    return {name.removeprefix("gamesales_"): samples for name, samples in metrics.items()}


def value(page, name):
    return parse(page)[f"score_{name}"]["game-earnings",]


def test_a_run_that_published_tells_all_its_figures():
    page = render(DONE)
    for name in ("rows_in", "rows_scored", "rows_rejected", "rows_outside_training_range", "seconds", "model_version"):
        assert REPORT[name] == value(page, name)
    assert (0, FINISHED.timestamp()) == (value(page, "exit_code"), value(page, "last_run_timestamp_seconds"))
    assert FINISHED.timestamp() == value(page, "last_success_timestamp_seconds")
    assert {("game-earnings", "2026-11-24"): 1} == parse(page)["score_run_date_info"]
    expected = {("game-earnings", "critic_rating"): 0.012, ("game-earnings", "unit_price"): 0.31}
    assert expected == parse(page)["score_psi"]


def test_a_page_looks_like_this():
    assert render(FAILED, render(DONE)) == (
        "# HELP gamesales_score_exit_code What the last run ended with; 0 is done.\n"
        "# TYPE gamesales_score_exit_code gauge\n"
        'gamesales_score_exit_code{model="game-earnings"} 3\n'
        "# HELP gamesales_score_last_run_timestamp_seconds When the last run ended.\n"
        "# TYPE gamesales_score_last_run_timestamp_seconds gauge\n"
        'gamesales_score_last_run_timestamp_seconds{model="game-earnings"} 1795572030.25\n'
        "# HELP gamesales_score_last_success_timestamp_seconds When a run last published its result.\n"
        "# TYPE gamesales_score_last_success_timestamp_seconds gauge\n"
        'gamesales_score_last_success_timestamp_seconds{model="game-earnings"} 1795485630.25\n'
    )


def test_a_run_that_failed_keeps_the_last_success_however_often_it_fails():
    page = render(DONE)
    for _ in range(3):
        page = render(FAILED, page)
        assert FINISHED.timestamp() == value(page, "last_success_timestamp_seconds")
        assert (3, LATER.timestamp()) == (value(page, "exit_code"), value(page, "last_run_timestamp_seconds"))
    assert "score_rows_in" not in parse(page), "figures of an older run would pass for this one's"


def test_a_run_that_published_and_found_drift_is_a_success_with_an_exit_code():
    page = render(DRIFTED, render(DONE))
    assert (6, LATER.timestamp()) == (value(page, "exit_code"), value(page, "last_success_timestamp_seconds"))


@pytest.mark.parametrize(
    "previous",
    [
        None,
        "",
        "rubbish {",
        render(Outcome("other", 0, FINISHED, REPORT)),
        'gamesales_score_last_success_timestamp_seconds{model="game-earnings"} soon\n',
        '# gamesales_score_last_success_timestamp_seconds{model="game-earnings"} 1.5\n',
        render(FAILED),
    ],
)
def test_where_no_success_is_known_none_is_claimed(previous):
    assert "score_last_success_timestamp_seconds" not in parse(render(FAILED, previous))


def test_without_drift_figures_there_is_no_metric_of_drift():
    assert "score_psi" not in parse(render(Outcome("game-earnings", 0, FINISHED, REPORT)))


@given(st.text(st.one_of(st.sampled_from('"\\\n{},= '), st.characters(exclude_categories=["Cs"]))))
@example("\r\x85\u2028")
def test_any_column_and_any_model_is_told_as_it_is(name):
    page = render(Outcome(name, 0, FINISHED, REPORT, {name: 0.5}))
    assert {(name, name): 0.5} == parse(page)["score_psi"]
    assert {(name,): FINISHED.timestamp()} == parse(render(Outcome(name, 7, LATER), page))[
        "score_last_success_timestamp_seconds"
    ]


@given(st.floats())
def test_any_figure_is_told_exactly(number):
    told = parse(render(Outcome("m", 0, FINISHED, REPORT, {"c": number})))["score_psi"]["m", "c"]
    assert told == number or (math.isnan(told) and math.isnan(number))


def test_a_page_is_replaced_whole_and_others_may_read_it(tmp_path):
    path = tmp_path / "gamesales.prom"
    before = os.umask(0o077)
    try:
        write(path, DONE)
        write(path, FAILED)
    finally:
        os.umask(before)
    assert render(FAILED, render(DONE)) == path.read_text(encoding="utf-8")
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())


def test_a_page_that_was_damaged_is_replaced(tmp_path):
    path = tmp_path / "gamesales.prom"
    path.write_bytes(b"\xff\xfe")
    write(path, FAILED)
    assert 3 == value(path.read_text(encoding="utf-8"), "exit_code")


def test_a_column_that_no_text_can_hold_does_not_stop_the_page(tmp_path):
    path = tmp_path / "gamesales.prom"
    write(path, Outcome("m", 0, FINISHED, REPORT, {"\ud800": 0.5}))
    assert ("m", r"\ud800") in parse(path.read_text(encoding="utf-8"))["score_psi"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"no folder .*none to write"):
        write(tmp_path / "none" / "gamesales.prom", DONE)
