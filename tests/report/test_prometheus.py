"""The metrics page of a run: its format, and the time of the last success, which outlives failures."""

import math
import os
import re
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gamesales.errors import UsageError
from gamesales.report.prometheus import render_metrics, write_metrics

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


def report_with_drift(**psi):
    """Return a report with the population stability index of these columns."""
    return {**REPORT, "drift": {"columns": [{"column": name, "psi": number} for name, number in psi.items()]}}


PUBLISHED = ("game-earnings", 0, FINISHED, report_with_drift(critic_rating=0.012, unit_price=0.31))
FAILED = ("game-earnings", 3, LATER, None)
DRIFTED = ("game-earnings", 6, LATER, report_with_drift(critic_rating=0.3))

_SAMPLE = re.compile(r"([a-z_]+)\{((?:[a-z_]+=\"(?:[^\"\\\n]|\\.)*\",?)*)\} (\S+)")
_LABEL = re.compile(r"([a-z_]+)=\"((?:[^\"\\\n]|\\.)*)\"")
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def parse(page):
    """Parse a page as Prometheus does: metric -> labels -> value. Every metric has its HELP and TYPE."""
    assert page.endswith("\n")
    metrics, described, typed = {}, set(), set()
    for line in page.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            described.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            name = line.split(" ")[2]
            assert line == f"# TYPE {name} gauge"
            assert name not in typed, "a metric is declared once"
            typed.add(name)
        else:
            name, labels, value = _SAMPLE.fullmatch(line).groups()
            assert name in described & typed
            key = tuple(re.sub(r"\\.", lambda match: _ESCAPES[match[0]], text) for _, text in _LABEL.findall(labels))
            assert key not in metrics.setdefault(name, {}), "a sample is listed once"
            metrics[name][key] = float(value)
    assert typed == described == set(metrics)
    return {name.removeprefix("gamesales_"): samples for name, samples in metrics.items()}


def get_value(page, name):
    return parse(page)[f"score_{name}"]["game-earnings",]


def test_published_run_has_all_metrics():
    """A run that published its result has every metric."""
    page = render_metrics(*PUBLISHED)
    for name in ("rows_in", "rows_scored", "rows_rejected", "rows_outside_training_range", "seconds", "model_version"):
        assert REPORT[name] == get_value(page, name)
    assert (0, FINISHED.timestamp()) == (get_value(page, "exit_code"), get_value(page, "last_run_timestamp_seconds"))
    assert FINISHED.timestamp() == get_value(page, "last_success_timestamp_seconds")
    assert {("game-earnings", "2026-11-24"): 1} == parse(page)["score_run_date_info"]
    expected = {("game-earnings", "critic_rating"): 0.012, ("game-earnings", "unit_price"): 0.31}
    assert expected == parse(page)["score_psi"]


def test_page_text():
    """The exact text of a page."""
    assert render_metrics(*FAILED, render_metrics(*PUBLISHED)) == (
        "# HELP gamesales_score_exit_code Exit code of the last run; 0 is success.\n"
        "# TYPE gamesales_score_exit_code gauge\n"
        'gamesales_score_exit_code{model="game-earnings"} 3\n'
        "# HELP gamesales_score_last_run_timestamp_seconds Time when the last run ended.\n"
        "# TYPE gamesales_score_last_run_timestamp_seconds gauge\n"
        'gamesales_score_last_run_timestamp_seconds{model="game-earnings"} 1795572030.25\n'
        "# HELP gamesales_score_withheld Whether the last run was withheld because of drift.\n"
        "# TYPE gamesales_score_withheld gauge\n"
        'gamesales_score_withheld{model="game-earnings"} 0.0\n'
        "# HELP gamesales_score_last_success_timestamp_seconds Time when a run last published its result.\n"
        "# TYPE gamesales_score_last_success_timestamp_seconds gauge\n"
        'gamesales_score_last_success_timestamp_seconds{model="game-earnings"} 1795485630.25\n'
    )


def test_failures_keep_last_success():
    """A run that failed keeps the time of the last success, however often it fails."""
    page = render_metrics(*PUBLISHED)
    for _ in range(3):
        page = render_metrics(*FAILED, page)
        assert FINISHED.timestamp() == get_value(page, "last_success_timestamp_seconds")
        assert (3, LATER.timestamp()) == (get_value(page, "exit_code"), get_value(page, "last_run_timestamp_seconds"))
    assert "score_rows_in" not in parse(page), "metrics of an older run must not look like metrics of this run"


def test_drift_is_success_with_exit_code():
    """A run that published its result and found drift is a success with exit code 6."""
    page = render_metrics(*DRIFTED, render_metrics(*PUBLISHED))
    assert (6, LATER.timestamp()) == (get_value(page, "exit_code"), get_value(page, "last_success_timestamp_seconds"))


@pytest.mark.parametrize(
    "previous",
    [
        None,
        "",
        "rubbish {",
        render_metrics("other", 0, FINISHED, REPORT),
        'gamesales_score_last_success_timestamp_seconds{model="game-earnings"} soon\n',
        '# gamesales_score_last_success_timestamp_seconds{model="game-earnings"} 1.5\n',
        render_metrics(*FAILED),
    ],
)
def test_no_success_without_evidence(previous):
    """Without a success on the previous page there is no time of a success."""
    assert "score_last_success_timestamp_seconds" not in parse(render_metrics(*FAILED, previous))


def test_no_psi_without_drift_check():
    """A run without a drift check has no metric of drift."""
    assert "score_psi" not in parse(render_metrics("game-earnings", 0, FINISHED, REPORT))


@given(st.text(st.one_of(st.sampled_from('"\\\n{},= '), st.characters(exclude_categories=["Cs"]))))
@example("\r\x85\u2028")
def test_any_name_is_escaped(name):
    """Names of columns and models survive escaping."""
    page = render_metrics(name, 0, FINISHED, report_with_drift(**{name: 0.5}))
    assert {(name, name): 0.5} == parse(page)["score_psi"]
    assert {(name,): FINISHED.timestamp()} == parse(render_metrics(name, 7, LATER, previous=page))[
        "score_last_success_timestamp_seconds"
    ]


@given(st.floats())
def test_any_number_is_exact(number):
    """A number on the page parses to the same number."""
    parsed = parse(render_metrics("m", 0, FINISHED, report_with_drift(c=number)))["score_psi"]["m", "c"]
    assert parsed == number or (math.isnan(parsed) and math.isnan(number))


def test_page_is_replaced_and_readable(tmp_path):
    """The page is replaced as a whole, and other users may read it."""
    path = tmp_path / "gamesales.prom"
    before = os.umask(0o077)
    try:
        write_metrics(path, *PUBLISHED)
        write_metrics(path, *FAILED)
    finally:
        os.umask(before)
    assert render_metrics(*FAILED, render_metrics(*PUBLISHED)) == path.read_text(encoding="utf-8")
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())


def test_damaged_page_is_replaced(tmp_path):
    """A damaged page does not stop the next page."""
    path = tmp_path / "gamesales.prom"
    path.write_bytes(b"\xff\xfe")
    write_metrics(path, *FAILED)
    assert 3 == get_value(path.read_text(encoding="utf-8"), "exit_code")


def test_lone_surrogate_is_escaped(tmp_path):
    """A column name that UTF-8 can not encode does not stop the page."""
    path = tmp_path / "gamesales.prom"
    write_metrics(path, "m", 0, FINISHED, report_with_drift(**{"\ud800": 0.5}))
    assert ("m", r"\ud800") in parse(path.read_text(encoding="utf-8"))["score_psi"]


def test_missing_folder_is_error(tmp_path):
    """A missing folder is reported as an error."""
    with pytest.raises(UsageError, match=r"there is no folder .*none"):
        write_metrics(tmp_path / "none" / "gamesales.prom", *PUBLISHED)
