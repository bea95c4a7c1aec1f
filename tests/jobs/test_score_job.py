"""The job file of a scoring run, and the dates that runs are for."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.screen import RejectLimit
from gamesales.errors import JobFileError, UsageError
from gamesales.jobs import score_job
from gamesales.jobs.score_job import ScoreJob, days, on_date, today
from gamesales.jobs.score_job_file import load_score_job
from gamesales.registry.refs import Ref
from support.versions import ROOT


def load_with(folder, **changes):
    """Load a small job with some keys changed; None leaves a key out, a mapping is a table."""
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


def test_what_a_job_leaves_out_has_a_default(tmp_path):
    job = load_with(tmp_path)
    assert ScoreJob(("new.csv",), Path("out")) == job
    assert ("game-earnings", Ref("game-earnings", alias="champion"), None) == (job.name, job.ref, job.shadow_ref)
    assert (None, None, None, "UTC") == (job.keep, job.workers, job.metrics_file, job.timezone)
    assert (False, False, 0.25, False) == (job.unique_ids, job.allow_empty, job.drift.threshold, job.drift.fail)
    assert RejectLimit() == job.limit


def test_a_job_says_how_to_score(tmp_path):
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
    )
    assert (Ref("other", version=4), Ref("other", alias="challenger")) == (job.ref, job.shadow_ref)
    assert (("title_id",), RejectLimit(0, 0.025), 3) == (job.keep, job.limit, job.workers)
    assert (True, True, Path("/var/games.prom")) == (job.unique_ids, job.allow_empty, job.metrics_file)
    assert (0.1, True) == (job.drift.threshold, job.drift.fail)


def test_columns_to_keep_may_be_none_at_all(tmp_path):
    assert () == load_with(tmp_path, keep=[]).keep


@pytest.mark.parametrize(
    ("written", "expected"), [(0, RejectLimit(0, 0)), (25, RejectLimit(25, 0)), ("25", RejectLimit(25, 0))]
)
def test_rejects_are_limited_by_a_number_or_its_text(tmp_path, written, expected):
    assert expected == load_with(tmp_path, max_rejects=written).limit


def test_the_nightly_job_scores_the_new_titles_with_the_champion():
    job = load_score_job(ROOT / "jobs/score.toml")
    assert ScoreJob(("data/new_titles.csv",), Path("predictions")) == job
    assert (ROOT / job.inputs[0]).is_file()


def test_what_the_nightly_job_shows_commented_out_works_too(tmp_path):
    """Whoever removes a # gets what the comment says."""
    text = (ROOT / "jobs/score.toml").read_text(encoding="utf-8")
    path = tmp_path / "score.toml"
    path.write_text(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE), encoding="utf-8")
    job = load_score_job(path)
    assert set() == {name for name, value in vars(job).items() if value is None}, "each key is shown"
    assert (("title_id", "title"), "1%", "@challenger") == (job.keep, job.max_rejects, job.shadow)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": None}, "inputs: Field required"),
        ({"inputs": []}, "inputs: "),
        ({"inputs": "new.csv"}, "inputs: Input should be a valid tuple"),
        ({"inputs": [""]}, "inputs.0: "),
        ({"inputs": ["{day}/{date}.csv"]}, "inputs: {day} is no placeholder; there is {date} alone"),
        ({"inputs": ["{}", "{date:%Y}", "{date}"]}, "inputs: {date:%Y}, {} is no placeholder"),
        ({"output": None}, "output: Field required"),
        ({"output": ""}, "output: expected a path, such as predictions/"),
        ({"output": "{date}.csv"}, "output: {date} may stand in inputs alone"),
        ({"metrics_file": "."}, "metrics_file: expected a path"),
        ({"name": "Game Earnings"}, "name: 'Game Earnings' can't name a model"),
        ({"model": "champion"}, "model: 'champion' names no version; expected 4, "),
        ({"model": "@latest"}, "model: 'latest' can't be an alias"),
        ({"shadow": ""}, "shadow: '' names no version"),
        ({"keep": "title"}, "keep: "),
        ({"max_rejects": "some"}, 'max_rejects: expected a count such as 25 or a share such as "1%"'),
        ({"max_rejects": -1}, "max_rejects: expected a count"),
        ({"max_rejects": "101%"}, "max_rejects: expected a count"),
        ({"max_rejects": True}, "max_rejects: "),
        ({"max_rejects": 0.01}, "max_rejects: "),
        ({"workers": 0}, "workers: Input should be greater than or equal to 1"),
        ({"unique_ids": "maybe"}, "unique_ids: "),
        ({"drift": {"threshold": 0}}, "drift.threshold: Input should be greater than 0"),
        ({"drift": {"threshold": float("nan")}}, "drift.threshold: "),
        ({"drift": {"threshold": float("inf")}}, "drift.threshold: Input should be a finite number"),
        ({"drift": {"treshold": 1}}, "drift.treshold: Extra inputs are not permitted"),
        ({"date": "2026-11-24"}, "date: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_in_a_job_file_is_told_by_its_key(tmp_path, changes, message):
    with pytest.raises(JobFileError, match=re.escape(message)) as refused:
        load_with(tmp_path, **changes)
    assert refused.value.message.startswith(f"{tmp_path}/job.toml is not a scoring job: ")
    assert (2, "See docs/scoring.md") == (refused.value.exit_code, refused.value.hint)


def test_all_mistakes_of_a_job_file_are_told_at_once(tmp_path):
    with pytest.raises(JobFileError) as refused:
        load_with(tmp_path, output=None, timezone="x", workers=0, drift={"fail": "x"})
    for key in ("output: ", "timezone: ", "workers: ", "drift.fail: "):
        assert key in refused.value.message


def test_a_job_file_that_is_not_there_is_told_by_its_path(tmp_path):
    with pytest.raises(JobFileError, match=f"^no file {tmp_path}/none.toml$"):
        load_score_job(tmp_path / "none.toml")


# Dates


@pytest.mark.parametrize("name", ["Mars/Base", "Europe", "", "../UTC", "/etc/passwd", "a\0b", "CET+1x", "x" * 300])
def test_a_time_zone_that_is_none_is_told_with_one_that_is(tmp_path, name):
    words = f"this machine knows no time zone {name!r}; expected an IANA name such as Europe/Berlin"
    with pytest.raises(JobFileError, match=re.escape(f"timezone: {words}")):
        load_with(tmp_path, timezone=name)
    with pytest.raises(UsageError, match=re.escape(words)):
        today(name)


def test_today_depends_on_the_time_zone(monkeypatch):
    class Evening(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 23, 22, 30, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr(score_job, "datetime", Evening)
    assert date(2026, 11, 23) == today("UTC") == today("America/New_York")
    assert date(2026, 11, 24) == today("Asia/Tokyo")


def test_utc_needs_no_database_of_time_zones(monkeypatch):
    """A small container has none."""
    import zoneinfo

    def missing(name):
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    assert isinstance(today("UTC"), date)
    with pytest.raises(UsageError, match="pip install tzdata"):
        today("Asia/Tokyo")


def test_each_place_of_the_date_is_filled_in():
    inputs = ["in/{date}/{date}.csv", "fixed.csv"]
    assert ["in/2026-11-24/2026-11-24.csv", "fixed.csv"] == on_date(inputs, date(2026, 11, 24))


@given(st.dates(date(1, 1, 1), date(9980, 1, 1)), st.integers(1, 3660))
def test_a_backfill_has_each_date_once_and_in_order(first, count):
    last = first + timedelta(count - 1)
    dates = days(first, last)
    assert (count, first, last) == (len(dates), dates[0], dates[-1])
    assert {timedelta(1)} >= {after - before for before, after in pairwise(dates)}


def test_a_backfill_that_ends_before_it_begins_is_refused():
    with pytest.raises(UsageError, match="received 2026-11-24 to 2026-11-23") as refused:
        days(date(2026, 11, 24), date(2026, 11, 23))
    assert "Swap them: --from 2026-11-23 --to 2026-11-24" == refused.value.hint


def test_a_backfill_of_more_than_ten_years_is_refused():
    with pytest.raises(UsageError, match=r"at most 3,660 dates at once, received 365,\d+: 1026-11-24 to 2026-11-24"):
        days(date(1026, 11, 24), date(2026, 11, 24))
