"""What happened when: filters of history, aliases as of a time, and the times that people write."""

import re
import shutil
from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gamesales.errors import UsageError
from gamesales.jobs.history import KINDS, Wanted, history
from gamesales.jobs.loading import open_registry
from gamesales.registry import log
from gamesales.registry.index import spans
from gamesales.registry.log import Event, EventLog
from gamesales.registry.state import replay
from gamesales.registry.store import LocalStore
from gamesales.registry.times import read_time, utc
from support.versions import ROOT, publish_simple

FROZEN = ROOT / "tests/frozen/registry-1"
UNFORCED = {"findings": [], "forced": False}
EVALUATION = {"data": "test.csv", "data_sha256": "0" * 64, "rows": 400, "metrics": {"mae": 1000.0}}


@pytest.fixture
def two(tmp_path):
    """A registry with a story: two versions, a trial, a promotion, a rollback, an end."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    for bias in (0.0, 250.0):
        publish_simple(registry, bias)
    for alias, number in (("champion", 1), ("challenger", 2), ("champion", 2)):
        registry.set_alias(alias, number, "for a test", lambda state, version: UNFORCED)
    registry.roll_back("champion", "too high", lambda state, version: UNFORCED)
    registry.delete_alias("challenger", "lost its trial")
    registry.retire(2, "lost its trial")
    return registry


def sequences(ran):
    assert 0 == ran.code, ran.err
    return [event["sequence"] for event in ran.document["events"]]


# Times that people write


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-01", "2026-11-01T00:00:00.000000Z", "2026-11-01T23:59:59.999999Z"),
        ("2024-02-29", "2024-02-29T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z"),
        ("9999-12-31", "9999-12-31T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"),
        ("0999-01-01", "0999-01-01T00:00:00.000000Z", "0999-01-01T23:59:59.999999Z"),
        *(
            (text, f"2026-11-01T{clock}Z", f"2026-11-01T{clock}Z")
            for text, clock in (
                ("2026-11-01T12:00", "12:00:00.000000"),
                ("2026-11-01 12:00", "12:00:00.000000"),
                ("2026-11-01T12:00Z", "12:00:00.000000"),
                ("2026-11-01T12:00:30.5Z", "12:00:30.500000"),
                ("2026-11-01T12:00+01:00", "11:00:00.000000"),
                ("2026-10-31T23:30:00-05:30", "05:00:00.000000"),
            )
        ),
    ],
)
def test_a_date_is_a_day_in_utc_and_a_moment_is_itself(text, first, last):
    assert first == read_time(text, "--since", ends=False)
    assert last == read_time(text, "--until", ends=True)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "2026-1-1",
            "20261101",
            "2026-W44-7",
            "2026-11-01T",
            "٢٠٢٦-11-01",
        ],
        *["2026-11-01T24:30", "2026-11-01T12", "2026-11-01T12:00+25:00", "2026-11-01T12:00 Z", "2026-11-01\n", "now"],
        *["0001-01-01T00:00+05:00", "9999-12-31T23:59-05:00", "2026-11-01T12:00:00.1234567Z", "1e3"],
    ],
)
def test_what_is_no_time_is_refused_with_the_forms_that_are(text):
    words = "--since expects a date such as 2026-11-24 or a moment such as 2026-11-24T02:00, received "
    with pytest.raises(UsageError, match=re.escape(f"{words}{text!r}")) as refusal:
        read_time(text, "--since", ends=False)
    assert "Both are in UTC" in refusal.value.hint


@given(
    st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1 < moment.year < 9999),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_moment_reads_as_it_is_written_wherever_it_is_written(moment, zone):
    written = moment.astimezone(zone).isoformat()
    assert utc(moment) == read_time(written, "--as-of", ends=True)


@given(st.dates().filter(lambda day: day.year < 9999))
def test_between_two_days_there_is_no_moment_that_belongs_to_neither(day):
    last = datetime.fromisoformat(read_time(str(day), "--until", ends=True))
    following = read_time(str(day + timedelta(1)), "--since", ends=False)
    assert following == utc(last + timedelta(microseconds=1))


# Spans

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["register", "set", "set", "rollback", "delete"]),
        st.sampled_from(["champion", "challenger"]),
        st.integers(1, 4),
        st.integers(-1, 3),  # seconds since the event before: now and then a clock is behind
    ),
    max_size=25,
)


def told(moves):
    """Make a log of moves, leaving out those that can't be."""
    events, stacks, versions, sequences, time = [], {}, 0, count(1), datetime(2026, 1, 1, tzinfo=UTC)
    for verb, alias, number, seconds in [("register", "", 0, 0), *moves]:
        stack, time = stacks.setdefault(alias, []), time + timedelta(seconds=seconds)
        if verb == "register":
            versions += 1
            kind, body = log.VERSION_REGISTERED, {"version": versions, "folder": "f", "digest": "d"}
        elif verb == "set" and number <= versions and stack[-1:] != [number]:
            stack.append(number)
            kind, body = log.ALIAS_SET, {"alias": alias, "version": number, "digest": "d", "rollback": False}
        elif verb == "rollback" and len(stack) > 1:
            stack.pop()
            kind, body = log.ALIAS_SET, {"alias": alias, "version": stack[-1], "digest": "d", "rollback": True}
        elif verb == "delete" and stack:
            stack.clear()
            kind, body = log.ALIAS_DELETED, {"alias": alias}
        else:
            continue
        sequence = next(sequences)
        events.append(Event(sequence, "", utc(time), "ada", kind, "", "", body, f"{sequence:064x}"))
    return events


@settings(deadline=None)
@given(moves=MOVES, seconds=st.integers(-3, 40))
def test_spans_cover_exactly_what_a_state_as_of_a_time_says(moves, seconds):
    events = told(moves)
    time = utc(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
    state = replay(events, time)

    covering = [each for each in spans(events) if each.since <= time and (each.until is None or time < each.until)]
    assert state.named == {each.alias: each.version for each in sorted(covering, key=lambda each: each.alias)}
    assert len(covering) == len(state.named), "at any time an alias names one version"


@settings(deadline=None)
@given(MOVES)
def test_the_spans_of_an_alias_follow_one_another(moves):
    for alias in ("champion", "challenger"):
        its = [each for each in spans(told(moves)) if each.alias == alias]
        ends = [each.until for each in its]
        assert None not in ends[:-1]
        assert all(each.since <= (each.until or "9") for each in its)
        assert all(end <= following.since for end, following in zip(ends, its[1:], strict=False))


# history


def test_history_tells_the_end_of_aliases_and_versions_in_words(cli, two):
    lines = cli("history").out.splitlines()
    assert re.search(r"^ +10 .* retired version 2 +- +lost its trial$", lines[1])
    assert re.search(r"^ +9 .* challenger deleted \(was 2\) +- +lost its trial$", lines[2])
    assert re.search(r"^ +8 .* champion rolled back to version 1 \(was 2\) +- +too high$", lines[3])


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (["--alias", "champion"], [8, 7, 5]),
        (["--alias", "challenger"], [9, 6]),
        (["--alias", "nobody"], []),
        (["--version", "1"], [8, 7, 5, 2, 1]),
        (["--version", "2"], [10, 9, 8, 7, 6, 4, 3]),
        (["--kind", "alias.set"], [8, 7, 6, 5]),
        (["--kind", "alias"], [9, 8, 7, 6, 5]),
        (["--kind", "version.retired"], [10]),
        (["--kind", "evaluation", "--version", "2"], [4]),
        (["--alias", "champion", "--limit", "2"], [8, 7]),
        (["--limit", "100"], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (["--by", "nobody"], []),
        (["--since", "2000-01-01"], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (["--until", "2000-01-01"], []),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_history_can_be_narrowed(cli, two, filters, expected):
    assert expected == sequences(cli("history", *filters, "--json"))
    assert 0 == cli("history", *filters).code


def test_since_and_until_count_their_own_moment(cli, two):
    times = [event.time for event in two.events()]
    assert [10, 9, 8] == sequences(cli("history", "--since", times[7], "--json"))
    assert [3, 2, 1] == sequences(cli("history", "--until", times[2], "--json"))
    assert [5, 4] == sequences(cli("history", "--since", times[3], "--until", times[4], "--json"))


def test_history_knows_who_did_what(cli, two, monkeypatch):
    monkeypatch.setenv("LOGNAME", "grace")
    cli("promote", "1", "--alias", "on_trial")
    assert [11] == sequences(cli("history", "--by", "grace", "--json"))


def test_a_filter_that_nothing_passes_says_how_to_see_everything(cli, two):
    ran = cli("history", "--alias", "nobody")
    words = "nothing of that kind has happened to game-earnings in registry/. See everything: gamesales history\n"
    assert (0, words) == (ran.code, ran.out)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story") / "registry"
    shutil.copytree(FROZEN, folder)
    registry = open_registry(folder, "game-earnings")
    registry.record_evaluation(3, EVALUATION, "late")
    registry.delete_alias("challenger", "over")
    registry.retire(3, "over")
    return registry


@settings(deadline=None)
@given(data=st.data())
def test_filters_of_history_can_be_applied_in_any_order(story, data):
    """Together they let through what each of them does."""
    times = [event.time for event in story.events()]
    drawn = {
        "alias": data.draw(st.sampled_from(["champion", "challenger", "other"])),
        "version": data.draw(st.integers(1, 4)),
        "kind": data.draw(st.sampled_from([*KINDS, "alias", "version"])),
        "actor": data.draw(st.sampled_from(["ada", "bob"])),
        "since": data.draw(st.sampled_from(times)),
        "until": data.draw(st.sampled_from(times)),
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(drawn)), unique=True))
    each = [{event.sequence for event in history(story, Wanted(**{name: drawn[name]})).events} for name in chosen]
    together = [event.sequence for event in history(story, Wanted(**{name: drawn[name] for name in chosen})).events]

    everything = {event.sequence for event in history(story).events}
    assert sorted(everything.intersection(*each), reverse=True) == together
    limit = data.draw(st.integers(1, 15))
    limited = history(story, Wanted(**{name: drawn[name] for name in chosen}, limit=limit)).events
    assert together[:limit] == [event.sequence for event in limited]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("history --alias with-hyphen", "'with-hyphen' can't be an alias"),
        ("history --kind promotion", "there are no events of kind 'promotion'; expected version.registered, "),
        ("history --version 0", "Invalid value for '--version'"),
        ("history --version one", "Invalid value for '--version'"),
        ("history --limit 0", "Invalid value for '--limit'"),
        ("history --limit -3", "Invalid value for '--limit'"),
        ("history --since yesterday", "--since expects a date"),
        ("history --until 2026-02-30", "--until expects a date"),
        ("history --since 2026-02-02 --until 2026-02-01", "expected --since before --until, received 2026-02-02 to"),
        ("show @champion --as-of noon", "--as-of expects a date"),
        ("versions --as-of noon", "--as-of expects a date"),
    ],
)
def test_a_filter_that_makes_no_sense_is_exit_2(cli, two, command, words):
    text, document = cli(*command.split()), cli(*command.split(), "--json")
    assert (2, "", 2, "") == (text.code, text.out, document.code, document.err)
    assert words in text.err
    assert words in document.document["error"]["message"]


FINDINGS = [
    {"condition": "one", "holds": True, "found": "test.csv, 400 rows"},
    {"condition": "two", "holds": False, "found": "drift of 0.4"},
]
COMPARED = {"candidate_mae": 900.4, "champion_mae": 1000, "unheard_of": 1}


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({"findings": [], "forced": False}, "-"),
        ({"findings": FINDINGS[:1], "forced": False}, "test.csv, 400 rows"),
        ({"findings": FINDINGS[:1], "forced": False, "comparison": None}, "test.csv, 400 rows"),
        ({"findings": FINDINGS[:1], "forced": False, "comparison": COMPARED}, "MAE $900, champion's $1,000"),
        ({"findings": FINDINGS, "forced": True}, "drift of 0.4"),
        ({"findings": FINDINGS, "forced": True, "comparison": COMPARED}, "MAE $900, champion's $1,000; drift of 0.4"),
        ({"findings": [{"holds": True, "found": "x" * 99}], "forced": False}, "x" * 59 + "…"),
        ({"findings": FINDINGS[:1], "forced": False, "comparison": {"candidate_mae": "low"}}, "test.csv, 400 rows"),
    ],
)
def test_the_evidence_of_a_promotion_is_told_in_short(cli, two, evidence, told):
    """What the gate found, and the figures that it compared; of a forced promotion, what it was forced past."""
    publish_simple(two, 7.0)
    two.set_alias("champion", 3, "because", lambda state, version: evidence)
    what = "champion set to version 3 (was 1)" + (", forced past the gate" if evidence["forced"] else "")
    line = cli("history", "--limit", "1").out.splitlines()[1]
    assert [what, told, "because"] == re.split(r"\s{2,}", line.strip())[3:]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"alias": "champion", "version": 1},
        {"alias": ["x"], "version": {}, "rollback": 3, "previous_version": "y", "evidence": "none"},
        {"version": 1, "evidence": {"findings": "all"}, "metrics": [], "rows": "many"},
        {"version": 1, "data": None, "evidence": {"findings": [1, {}]}, "metrics": {"mae": None}, "rows": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [*KINDS, "version.renamed"])
def test_history_shows_events_that_are_not_as_this_release_knows_them(cli, two, kind, body):
    EventLog(LocalStore("registry"), "game-earnings").append(kind, "odd", lambda events: body)
    ran = cli("history", "--limit", "1")
    assert (0, "") == (ran.code, ran.err)
    assert re.search(r"^ +11 .* odd$", ran.out, re.MULTILINE)


# show, as of a time


def test_the_frozen_champion_at_each_time(cli):
    """It was version 1, 2, 3 and 2 again, milliseconds apart."""
    clocks = {".285939": None, ".285940": 1, ".293675": 1, ".293676": 2, ".300052": 3, ".302212": 3, ".302213": 2}
    for clock, number in clocks.items():
        time = f"2026-11-24T03:36:09{clock}Z"
        ran = cli("show", "@champion", "--as-of", time, "--registry", FROZEN, "--json")
        if number is None:
            assert (4, "nothing_promoted") == (ran.code, ran.document["error"]["code"])
            continue
        assert (number, time, ["champion"]) == tuple(ran.document[key] for key in ("version", "as_of", "aliases"))


def test_as_of_a_date_is_the_end_of_that_day(cli):
    days = {"2026-11-23": 4, "2026-11-24": 0, "2026-11-25": 0}
    for day, code in days.items():
        assert code == cli("show", "@champion", "--as-of", day, "--registry", FROZEN).code
    ran = cli("versions", "--as-of", "2026-11-23", "--registry", FROZEN, "--json")
    assert (0, []) == (ran.code, ran.document["versions"])
    ran = cli("versions", "--as-of", "2026-11-24T03:36:09.293676Z", "--registry", FROZEN, "--json")
    assert [(2, ["champion"]), (1, [])] == [(row["version"], row["aliases"]) for row in ran.document["versions"]]


def test_show_tells_since_when_and_until_when_a_version_was_what(cli):
    document = cli("show", "3", "--registry", FROZEN, "--json").document
    since, until, trial = (f"2026-11-24T03:36:09.{part}Z" for part in ("300052", "302213", "304563"))
    assert [("champion", since, until), ("challenger", trial, None)] == [
        (each["alias"], each["since"], each["until"]) for each in document["spans"]
    ]
    before = cli("show", "3", "--as-of", since, "--registry", FROZEN, "--json").document
    assert [("champion", None)] == [(each["alias"], each["until"]) for each in before["spans"]]
    text = cli("show", "3", "--registry", FROZEN).out.splitlines()
    assert "champion    from 2026-11-24 03:36:09 UTC to 2026-11-24 03:36:09 UTC" in text
    assert "challenger  from 2026-11-24 03:36:09 UTC, until now" in text


def test_show_tells_the_end_of_a_version_and_not_before_it_ended(cli, two):
    before, retired = two.events()[-2:]
    lines = cli("show", "2").out.splitlines()
    assert [f"retired     {retired.time[:10]} {retired.time[11:16]} UTC by {retired.actor}: lost its trial"] == [
        line for line in lines if line.startswith("retired")
    ]
    document = cli("show", "2", "--json").document
    assert {"time": retired.time, "actor": retired.actor, "reason": "lost its trial"} == document["retired"]
    assert cli("show", "2", "--as-of", before.time, "--json").document["retired"] is None


def test_show_tells_all_evaluations(cli, two):
    two.record_evaluation(1, {**EVALUATION, "data": "newer.csv", "rows": 1_200}, "on newer titles")
    text = cli("show", "1").out
    assert re.search(r"^20\S+ \S+ +test\.csv +400 +[0-9a-f]{12} +1\.00e-04 +\$1,000 ", text, re.MULTILINE)
    assert re.search(r"^20\S+ \S+ +newer\.csv +1,200 +000000000000 +- +\$1,000 +- +- +-$", text, re.MULTILINE)


@settings(deadline=None, max_examples=20)
@given(sequence=st.integers(0, 12))
def test_show_of_an_alias_as_of_a_time_is_what_the_spans_say(story, sequence):
    from gamesales.jobs.versions import show
    from gamesales.registry.refs import parse_ref

    events = story.events()
    assume(sequence < len(events))
    time = events[sequence].time
    for alias, number in replay(events, time).named.items():
        assert number == show(story, parse_ref(f"@{alias}"), time).version
