"""The job file of a scoring job, and the dates of its runs."""

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.dialect import CsvDialect, TableFormat
from gamesales.data.screen import RejectLimit
from gamesales.errors import JobFileError, UsageError, collect_warnings
from gamesales.jobs import score_job
from gamesales.jobs.score import load_score_job
from gamesales.jobs.score_job import ScoreJob, choose_dates, get_today, warn_about_dates
from gamesales.jobs.score_job_file import build_plain_job
from gamesales.jobs.score_job_schema import validate_score_job
from gamesales.registry.refs import Ref
from support.versions import ROOT


def load_with(folder, **changes):
    """Load a small job with some keys changed. None leaves a key out, and a mapping is a table."""
    keys = {"inputs": ["new.csv"], "output": "out/", **changes}
    plain = {key: value for key, value in keys.items() if value is not None and not isinstance(value, Mapping)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name, table in keys.items():
        if isinstance(table, Mapping):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = folder / "job.toml"
    path.write_text("\n".join(lines).replace("NaN", "nan").replace("Infinity", "inf"), encoding="utf-8")
    return load_score_job(path)


# The job file

TEXTS = st.sampled_from(
    ["", ".", "4", "@champion", "other/3", "out/", "{date}", "a/{date:%Y}/b.csv", "{x}", "1%", "UTC", "a b"]
)
VALUES = st.one_of(
    TEXTS,
    st.integers(-1, 3),
    st.booleans(),
    st.sampled_from([0.5, -1.0, float("inf"), float("nan"), 1.0, None]),
    st.lists(st.one_of(TEXTS, st.integers(0, 1)), max_size=2),
)
KEY_VALUES = {
    "inputs": [["new.csv"], ["a", "in/{date}/*.csv"], ["{x}"], [], [""]],
    "output": ["out/", "out.parquet", "out/{date}", ".", ""],
    "name": ["other", "A b", ""],
    "model": ["4", "@challenger", "-1", "game-earnings/2"],
    "shadow": ["@challenger", "other/2", "?"],
    "keep": [["title_id"], []],
    "exclude": [["*.md"], [], [""]],
    "require": ["_SUCCESS", "{date}.ok", "../x", "/x", "{y}"],
    "max_rejects": ["1%", "25", "many", 25],
    "max_outside": ["20%", "20", "200%"],
    "on_drift": ["warn", "withhold", "stop"],
    "timezone": ["UTC", "Europe/Berlin", "Europe"],
    "workers": [1, 2, 0, True],
    "unique_ids": [True, False, 1],
    "allow_empty": [True, "true"],
    "metrics_file": ["m.prom", "{date}.prom"],
    "on_success": [["true"], [], [""], "true"],
    "on_failure": [["mail", "-s", "x y"], [1]],
    "hook_timeout": [60, 0, 1.5],
    "explain": [10, 0, 101, True],
    "lineage": ["http://localhost:5000", "events.jsonl", "s3://bucket/x", "http://", ""],
    "require_signature": ["key.pub", ""],
    "registry": ["registry", ""],
    "drift": [{}, {"threshold": 0.3}, {"fail": True, "threshold": 1.0}, {"threshold": 0.0}, {"threshold": 1}, {"x": 1}],
    "csv": [{"delimiter": ";"}],
    "columns": [{"unit_price": "Price"}],
    "fresh": [True],
    "as_of_date": [True],
    "nope": [1],
}


@st.composite
def documents(draw):
    """Draw the content of a job file. Most values are right."""
    keys = {"inputs", "output", *draw(st.lists(st.sampled_from(list(KEY_VALUES)), max_size=4))}
    usual = {key: st.sampled_from([*values[:1] * 20, *values]) for key, values in KEY_VALUES.items()}
    return {key: draw(VALUES if draw(st.integers(0, 30)) == 30 else usual[key]) for key in sorted(keys)}


@given(documents())
def test_plain_file_needs_no_pydantic(document):
    """A job that is built without Pydantic is the job that Pydantic builds. Pydantic checks all other files."""
    try:
        job = build_plain_job(document)
    except (ValueError, TypeError, UsageError):
        return
    assert validate_score_job(Path("job.toml"), document) == job


def test_shipped_file_is_plain():
    """The job file of the repository, and one with more keys, are built without Pydantic."""
    document = {"inputs": ["in"], "output": "out", "drift": {"threshold": 0.3, "fail": True}, "workers": 2}
    assert validate_score_job(Path("job.toml"), document) == build_plain_job(document)
    assert load_score_job(ROOT / "jobs/score.toml") == build_plain_job(
        tomllib.loads((ROOT / "jobs/score.toml").read_text())
    )


def test_defaults(tmp_path):
    """Keys that a job file leaves out have defaults."""
    job = load_with(tmp_path)
    assert ScoreJob(("new.csv",), Path("out")) == job
    assert ("game-earnings", Ref("game-earnings", alias="champion"), None) == (job.name, job.ref, job.shadow_ref)
    assert (None, None, None, "UTC") == (job.keep, job.workers, job.metrics_file, job.timezone)
    assert (False, False, 0.25, False) == (job.unique_ids, job.allow_empty, job.drift.threshold, job.drift.fail)
    assert RejectLimit() == job.reject_limit


def test_all_keys(tmp_path):
    """A job file can set every option."""
    job = load_with(
        tmp_path,
        name="other",
        model="4",
        shadow="@challenger",
        keep=["title_id"],
        max_rejects="2.5%",
        timezone="America/New_York",
        workers=3,
        unique_ids=True,
        allow_empty=True,
        metrics_file="/var/games.prom",
        drift={"threshold": 0.1, "fail": True},
        csv={"delimiter": ";", "decimal": ",", "escape": "\\", "encoding": "cp1252"},
        columns={"critic_rating": "CriticScore"},
    )
    assert TableFormat(CsvDialect(";", ",", "\\", "cp1252"), {"critic_rating": "CriticScore"}) == job.table_format
    assert (Ref("other", version=4), Ref("other", alias="challenger")) == (job.ref, job.shadow_ref)
    assert (("title_id",), RejectLimit(0, 0.025), 3) == (job.keep, job.reject_limit, job.workers)
    assert (True, True, Path("/var/games.prom")) == (job.unique_ids, job.allow_empty, job.metrics_file)
    assert (0.1, True) == (job.drift.threshold, job.drift.fail)


def test_rules_of_input_folders(tmp_path):
    """A job can exclude files of its input folders, and require one."""
    job = load_with(tmp_path, exclude=["*.md", "checksums/*"], require="{date:%Y%m%d}.done")
    assert (("*.md", "checksums/*"), "20261123.done") == (job.exclude, job.resolve_required_file(date(2026, 11, 23)))
    assert ((), None) == (load_with(tmp_path).exclude, load_with(tmp_path).resolve_required_file(date(2026, 11, 23)))


def test_keep_nothing(tmp_path):
    """An empty list keeps no column."""
    assert () == load_with(tmp_path, keep=[]).keep


@pytest.mark.parametrize(
    ("written", "expected"), [(0, RejectLimit(0, 0)), (25, RejectLimit(25, 0)), ("25", RejectLimit(25, 0))]
)
def test_max_rejects_number_or_text(tmp_path, written, expected):
    """The reject limit may be a number or a text."""
    assert expected == load_with(tmp_path, max_rejects=written).reject_limit


def test_shipped_job():
    """The shipped job scores the new titles with the champion."""
    job = load_score_job(ROOT / "jobs/score.toml")
    assert ScoreJob(("data/new_titles.csv",), Path("predictions")) == job
    assert (ROOT / job.inputs[0]).is_file()


def test_commented_keys_of_shipped_job(tmp_path):
    """The keys that the shipped job shows commented out are valid."""
    text = (ROOT / "jobs/score.toml").read_text(encoding="utf-8")
    path = tmp_path / "score.toml"
    path.write_text(re.sub(r"^# (?=\w+ = |\[\w+\]$)", "", text, flags=re.MULTILINE), encoding="utf-8")
    job = load_score_job(path)
    assert set() == {name for name, value in vars(job).items() if value is None}, "each key is shown"
    assert (("title_id", "title"), "1%", "@challenger") == (job.keep, job.max_rejects, job.shadow)
    assert ({"critic_rating": "CriticScore"}, "cp1252") == (job.columns, job.csv.encoding)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": None}, "inputs: missing"),
        ({"inputs": []}, "inputs: "),
        ({"inputs": "new.csv"}, "inputs: expected a list"),
        ({"inputs": [""]}, "inputs.0: "),
        ({"inputs": ["{day}/{date}.csv"]}, "inputs: unknown placeholder {day}; the only one is {date}"),
        ({"inputs": ["{}/{date:%Y}/{datum}", "{date}"]}, "inputs: unknown placeholder {}, {datum}"),
        ({"inputs": ["{date:%H}"]}, "inputs: {date:%H} expects a form of %Y, %m, %d, %y and %j"),
        ({"inputs": ["{date:}"]}, "inputs: {date:} expects a form"),
        ({"inputs": ["{date:today}"]}, "inputs: {date:today} expects a form"),
        ({"exclude": "*.md"}, "exclude: "),
        ({"exclude": [""]}, "exclude.0: "),
        ({"require": ""}, "require: expected the name of a file in each input folder"),
        ({"require": "/etc/passwd"}, "require: expected the name of a file"),
        ({"require": "../_SUCCESS"}, "require: expected the name of a file"),
        ({"require": "{day}.done"}, "require: unknown placeholder {day}"),
        ({"output": None}, "output: missing"),
        ({"output": ""}, "output: expected a path, such as predictions/"),
        ({"output": "{date}.csv"}, "output: {date} works in inputs only"),
        ({"metrics_file": "."}, "metrics_file: expected a path"),
        ({"name": "Game Earnings"}, "name: 'Game Earnings' can't name a model"),
        ({"model": "latest"}, "model: 'latest' names no version; expected 4, "),
        ({"registry": ""}, "registry: expected a text that is not empty"),
        ({"model": "@latest"}, "model: 'latest' can't be an alias"),
        ({"shadow": ""}, "shadow: '' names no version"),
        ({"keep": "title"}, "keep: "),
        ({"max_rejects": "some"}, 'max_rejects: expected a count such as 25 or a share such as "1%"'),
        ({"max_rejects": -1}, "max_rejects: expected a count"),
        ({"max_rejects": "101%"}, "max_rejects: expected a count"),
        ({"max_rejects": True}, "max_rejects: "),
        ({"max_rejects": 0.01}, "max_rejects: "),
        ({"workers": 0}, "workers: expected 1 or more"),
        ({"unique_ids": "maybe"}, "unique_ids: "),
        ({"drift": {"threshold": 0}}, "drift.threshold: expected more than 0"),
        ({"drift": {"threshold": float("nan")}}, "drift.threshold: "),
        ({"drift": {"threshold": float("inf")}}, "drift.threshold: expected a finite number"),
        ({"drift": {"treshold": 1}}, "drift.treshold: unknown key (did you mean threshold?)"),
        ({"csv": {"delimeter": ";"}}, "csv.delimeter: unknown key (did you mean delimiter?)"),
        ({"csv": {"delimiter": "ab"}}, "csv: delimiter: expected one character"),
        ({"csv": {"encoding": "klingon"}}, "csv: encoding: expected one such as"),
        ({"columns": {"a": "x", "b": "x"}}, "columns: 'x' stands for two columns"),
        ({"columns": {"a": 1}}, "columns.a: expected a text in quotes"),
        ({"date": "2026-11-24"}, "date: unknown key"),
        ({"fresh": True}, "fresh: unknown key"),
        ({"as_of_date": True}, "as_of_date: unknown key"),
    ],
)
def test_wrong_key(tmp_path, changes, message):
    """A wrong value is an error that names its key."""
    with pytest.raises(JobFileError, match=re.escape(message)) as refused:
        load_with(tmp_path, **changes)
    assert refused.value.message.startswith(f"{tmp_path}/job.toml is not a scoring job: ")
    assert (2, "See docs/guides/score.md") == (refused.value.exit_code, refused.value.hint)


def test_all_wrong_keys(tmp_path):
    """One error names all wrong keys."""
    with pytest.raises(JobFileError) as refused:
        load_with(tmp_path, output=None, timezone="x", workers=0, drift={"fail": "x"})
    for key in ("output: ", "timezone: ", "workers: ", "drift.fail: "):
        assert key in refused.value.message


def test_missing_job_file(tmp_path):
    """A missing job file is named by its path."""
    with pytest.raises(JobFileError, match=f"^no file {tmp_path}/none.toml$"):
        load_score_job(tmp_path / "none.toml")


# Dates


@pytest.mark.parametrize("name", ["Mars/Base", "Europe", "", "../UTC", "/etc/passwd", "a\0b", "CET+1x", "x" * 300])
def test_unknown_time_zone(tmp_path, name):
    """An unknown time zone is an error with an example."""
    message = f"this machine does not know the time zone {name!r}; expected an IANA name such as Europe/Berlin"
    with pytest.raises(JobFileError, match=re.escape(f"timezone: {message}")):
        load_with(tmp_path, timezone=name)
    with pytest.raises(UsageError, match=re.escape(message)):
        get_today(name)


def test_today_in_time_zone(monkeypatch):
    """The date of today depends on the time zone."""

    class Evening(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 23, 22, 30, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr(score_job, "datetime", Evening)
    assert date(2026, 11, 23) == get_today("UTC") == get_today("America/New_York")
    assert date(2026, 11, 24) == get_today("Asia/Tokyo")


def test_utc_needs_no_database(monkeypatch):
    """UTC works without a time zone database, as in a small container."""
    import zoneinfo

    def missing(name):
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    assert isinstance(get_today("UTC"), date)
    with pytest.raises(UsageError, match="pip install tzdata"):
        get_today("Asia/Tokyo")


def test_date_in_inputs():
    """Each {date} of the inputs is replaced."""
    inputs = ("in/{date}/{date}.csv", "fixed.csv")
    assert ["in/2026-11-24/2026-11-24.csv", "fixed.csv"] == ScoreJob(inputs, Path("out")).resolve_inputs(
        date(2026, 11, 24)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in/{date:%Y/%m/%d}/", "in/2026/01/09/"),
        ("in/run_date={date}", "in/run_date=2026-01-09"),
        ("in/year={date:%Y}/month={date:%m}/day={date:%d}/*", "in/year=2026/month=01/day=09/*"),
        ("dt={date:%Y-%m-%d}/{date:%y%j}.csv", "dt=2026-01-09/26009.csv"),
        ("{a,b}/{date:%d.%m.%Y}", "{a,b}/09.01.2026"),
        ("{Date}", "{Date}"),
    ],
)
def test_forms_of_date(text, expected):
    """A date has any form of year, month and day, as folders by day and Hive partitions have."""
    job = ScoreJob((text,), Path("out"), require=text)
    assert ([expected], expected) == (job.resolve_inputs(date(2026, 1, 9)), job.resolve_required_file(date(2026, 1, 9)))


@given(st.dates(), st.sampled_from(["%Y%m%d", "%Y/%j", "%d-%m-%Y", "%Y %y"]))
def test_form_equals_strftime(day, form):
    """A form has the digits of strptime, in years of fewer than four digits too."""
    (written,) = ScoreJob((f"{{date:{form}}}",), Path("out")).resolve_inputs(day)
    if form != "%Y %y":
        assert day == datetime.strptime(written, form).date()  # noqa: DTZ007, a date has no time zone


@pytest.mark.parametrize("form", ["%H", "%", "%%Y", "", "date", "%Y-%-m", "%B"])
def test_unknown_form_of_date(form):
    """A form with other parts of a date is refused, on the command line too."""
    with pytest.raises(UsageError, match="expects a form of %Y, %m, %d, %y and %j, such as"):
        ScoreJob(("in/{date:" + form + "}.csv",), Path("out"))


def test_output_is_utf8():
    """An output folder whose name is not UTF-8 is refused, because a report can't hold it."""
    with pytest.raises(UsageError, match=r"expected an --output in UTF-8, received caf\\udce9"):
        ScoreJob(("in",), Path(b"caf\xe9".decode("utf-8", "surrogateescape")))


@pytest.fixture
def today(monkeypatch):
    """Today is 2026-11-23 in UTC, and a day later in Tokyo."""

    class Evening(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 23, 22, 30, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr(score_job, "datetime", Evening)


def find_warnings(inputs, first, last, timezone="UTC"):
    job = ScoreJob(tuple(inputs), Path("out"), timezone=timezone)
    with collect_warnings() as warnings:
        warn_about_dates(job, choose_dates("UTC", first=date.fromisoformat(first), last=date.fromisoformat(last)))
    return warnings


@pytest.mark.parametrize(
    ("last", "timezone", "expected"),
    [
        ("2026-11-23", "UTC", []),
        ("2026-11-24", "Asia/Tokyo", []),
        ("2026-11-24", "UTC", ["2026-11-24 is in the future: today is 2026-11-23 in the time zone UTC"]),
        ("2026-11-25", "Asia/Tokyo", ["2026-11-25 is in the future: today is 2026-11-24 in the time zone Asia/Tokyo"]),
        (
            "2026-11-26",
            "UTC",
            ["2026-11-24 and 2 later dates are in the future: today is 2026-11-23 in the time zone UTC"],
        ),
    ],
)
def test_dates_in_future(today, last, timezone, expected):
    """A date in the future, by the time zone of the job, is a warning."""
    assert expected == find_warnings(["{date}.csv"], "2026-11-22", last, timezone)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["in/{date}.csv"], None),
        (["in/{date}.csv", "more.csv"], None),
        (["in/{date:%Y/%m}/{date:%d}"], None),
        (["in/*.csv"], "the same inputs"),
        (["in/{date:%Y/%m}/*.csv"], "only 2 different inputs"),
    ],
)
def test_backfill_of_same_inputs(today, inputs, expected):
    """A backfill in which dates have the same inputs is a warning."""
    warnings = find_warnings(inputs, "2026-10-30", "2026-11-02")
    assert (expected is not None) == bool(warnings)
    if expected is not None:
        (warning,) = warnings
        assert warning.startswith(f"the 4 dates of the backfill have {expected}, so they get predictions for the same ")
    assert [] == find_warnings(inputs, "2026-10-30", "2026-10-30")


@given(st.dates(date(1, 1, 1), date(9980, 1, 1)), st.integers(1, 3660))
def test_dates_of_backfill(first, count):
    """A backfill has each date once and in order."""
    last = first + timedelta(count - 1)
    dates = choose_dates("UTC", first=first, last=last)
    assert (count, first, last) == (len(dates), dates[0], dates[-1])
    assert {timedelta(1)} >= {after - before for before, after in pairwise(dates)}


def test_reversed_backfill():
    """A backfill that ends before it begins is refused."""
    with pytest.raises(UsageError, match="received 2026-11-24 to 2026-11-23") as refused:
        choose_dates("UTC", first=date(2026, 11, 24), last=date(2026, 11, 23))
    assert "Swap them: --from 2026-11-23 --to 2026-11-24" == refused.value.hint


def test_too_long_backfill():
    """A backfill of more than ten years is refused."""
    with pytest.raises(UsageError, match=r"at most 3,660 dates at once, received 365,\d+: 1026-11-24 to 2026-11-24"):
        choose_dates("UTC", first=date(1026, 11, 24), last=date(2026, 11, 24))
