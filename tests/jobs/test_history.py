"""``gamesales history`` and ``--as-of``: filters, alias spans, and the times that people write."""

import re
import shutil
from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gamesales.errors import UsageError
from gamesales.jobs.history import EventFilter, list_events
from gamesales.jobs.loading import open_registry
from gamesales.registry.event import ALIAS_DELETED, ALIAS_SET, KINDS, VERSION_REGISTERED, Event, format_time, parse_time
from gamesales.registry.log import EventLog
from gamesales.registry.state import list_alias_spans, replay
from gamesales.storage.store import LocalStore
from support.versions import ROOT, publish_simple

FROZEN = ROOT / "tests/frozen/registry-1"
UNFORCED = {"findings": [], "forced": False}
EVALUATION = {"data": "test.csv", "data_sha256": "0" * 64, "rows": 400, "metrics": {"mae": 1000.0}}


@pytest.fixture
def two(tmp_path):
    """A registry with two versions, a challenger, promotions, a rollback and a retirement."""
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
def test_read_time_date_or_moment(text, first, last):
    """A date is a day in UTC. A moment is itself."""
    assert first == parse_time(text, "--since", is_end=False)
    assert last == parse_time(text, "--until", is_end=True)


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
def test_read_time_error(text):
    """The error for a wrong time shows the right forms."""
    words = "--since expects a date such as 2026-11-24 or a moment such as 2026-11-24T02:00, received "
    with pytest.raises(UsageError, match=re.escape(f"{words}{text!r}")) as refusal:
        parse_time(text, "--since", is_end=False)
    assert "Both are in UTC" in refusal.value.hint


@given(
    st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1 < moment.year < 9999),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_read_time_round_trip(moment, zone):
    """A moment written in any time zone is read back."""
    written = moment.astimezone(zone).isoformat()
    assert format_time(moment) == parse_time(written, "--as-of", is_end=True)


@given(st.dates().filter(lambda day: day.year < 9999))
def test_days_are_adjacent(day):
    """The end of a day and the start of the next are one microsecond apart."""
    last = datetime.fromisoformat(parse_time(str(day), "--until", is_end=True))
    following = parse_time(str(day + timedelta(1)), "--since", is_end=False)
    assert following == format_time(last + timedelta(microseconds=1))


# Spans

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["register", "set", "set", "rollback", "delete"]),
        st.sampled_from(["champion", "challenger"]),
        st.integers(1, 4),
        st.integers(-1, 3),  # seconds since the event before; a clock may be behind
    ),
    max_size=25,
)


def make_events(moves):
    """Make a log of moves. Impossible moves are left out."""
    events, stacks, versions, sequences, time = [], {}, 0, count(1), datetime(2026, 1, 1, tzinfo=UTC)
    for verb, alias, number, seconds in [("register", "", 0, 0), *moves]:
        stack, time = stacks.setdefault(alias, []), time + timedelta(seconds=seconds)
        if verb == "register":
            versions += 1
            kind, body = VERSION_REGISTERED, {"version": versions, "folder": "f", "digest": "d"}
        elif verb == "set" and number <= versions and stack[-1:] != [number]:
            stack.append(number)
            kind, body = ALIAS_SET, {"alias": alias, "version": number, "digest": "d", "rollback": False}
        elif verb == "rollback" and len(stack) > 1:
            stack.pop()
            kind, body = ALIAS_SET, {"alias": alias, "version": stack[-1], "digest": "d", "rollback": True}
        elif verb == "delete" and stack:
            stack.clear()
            kind, body = ALIAS_DELETED, {"alias": alias}
        else:
            continue
        sequence = next(sequences)
        events.append(Event(sequence, "", format_time(time), "ada", kind, "", "", body, f"{sequence:064x}"))
    return events


@settings(deadline=None)
@given(moves=MOVES, seconds=st.integers(-3, 40))
def test_spans_match_state(moves, seconds):
    """At any time, the spans say what the state says."""
    events = make_events(moves)
    time = format_time(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
    state = replay(events, time)

    covering = [
        span for span in list_alias_spans(events) if span.since <= time and (span.until is None or time < span.until)
    ]
    assert state.read_targets() == {span.alias: span.version for span in sorted(covering, key=lambda span: span.alias)}
    assert len(covering) == len(state.read_targets()), "at any time an alias names one version"


@settings(deadline=None)
@given(MOVES)
def test_spans_do_not_overlap(moves):
    """The spans of an alias are in order and do not overlap."""
    for alias in ("champion", "challenger"):
        spans = [span for span in list_alias_spans(make_events(moves)) if span.alias == alias]
        ends = [span.until for span in spans]
        assert None not in ends[:-1]
        assert all(span.since <= (span.until or "9") for span in spans)
        assert all(end <= following.since for end, following in zip(ends, spans[1:], strict=False))


# history


def test_history_shows_deletion_and_retirement(cli, two):
    """The history shows deleted aliases and retired versions."""
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
def test_history_filters(cli, two, filters, expected):
    """Options select events."""
    assert expected == sequences(cli("history", *filters, "--json"))
    assert 0 == cli("history", *filters).code


def test_history_since_and_until(cli, two):
    """--since and --until are inclusive."""
    times = [event.time for event in two.read_events()]
    assert [10, 9, 8] == sequences(cli("history", "--since", times[7], "--json"))
    assert [3, 2, 1] == sequences(cli("history", "--until", times[2], "--json"))
    assert [5, 4] == sequences(cli("history", "--since", times[3], "--until", times[4], "--json"))


def test_history_by_actor(cli, two, monkeypatch):
    """--by selects the events of a person."""
    monkeypatch.setenv("LOGNAME", "grace")
    cli("promote", "1", "--alias", "on_trial")
    assert [11] == sequences(cli("history", "--by", "grace", "--json"))


def test_history_no_match(cli, two):
    """If no event matches, the output says how to list all."""
    ran = cli("history", "--alias", "nobody")
    words = "no event of game-earnings in registry/ matches. See all: gamesales history\n"
    assert (0, words) == (ran.code, ran.out)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A copy of the frozen registry with later events."""
    folder = tmp_path_factory.mktemp("frozen") / "registry"
    shutil.copytree(FROZEN, folder)
    registry = open_registry(folder, "game-earnings")
    registry.record_evaluation(3, EVALUATION, "late")
    registry.delete_alias("challenger", "over")
    registry.retire(3, "over")
    return registry


@settings(deadline=None)
@given(data=st.data())
def test_history_filters_intersect(frozen, data):
    """Filters together select what each of them selects."""
    times = [event.time for event in frozen.read_events()]
    drawn = {
        "alias": data.draw(st.sampled_from(["champion", "challenger", "other"])),
        "version": data.draw(st.integers(1, 4)),
        "kind": data.draw(st.sampled_from([*KINDS, "alias", "version"])),
        "actor": data.draw(st.sampled_from(["ada", "bob"])),
        "since": data.draw(st.sampled_from(times)),
        "until": data.draw(st.sampled_from(times)),
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(drawn)), unique=True))
    matches = [
        {event.sequence for event in list_events(frozen, EventFilter(**{name: drawn[name]})).events} for name in chosen
    ]
    filters = {name: drawn[name] for name in chosen}
    together = [event.sequence for event in list_events(frozen, EventFilter(**filters)).events]

    everything = {event.sequence for event in list_events(frozen).events}
    assert sorted(everything.intersection(*matches), reverse=True) == together
    limit = data.draw(st.integers(1, 15))
    limited = list_events(frozen, EventFilter(**filters, limit=limit)).events
    assert together[:limit] == [event.sequence for event in limited]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("history --alias with-hyphen", "'with-hyphen' can't be an alias"),
        ("history --kind promotion", "expected an event kind, one of version.registered, "),
        ("history --version 0", "--version expects 1 or more, received"),
        ("history --version one", "--version expects a whole number, received"),
        ("history --limit 0", "--limit expects 1 or more, received"),
        ("history --limit -3", "--limit expects 1 or more, received"),
        ("history --since yesterday", "--since expects a date"),
        ("history --until 2026-02-30", "--until expects a date"),
        ("history --since 2026-02-02 --until 2026-02-01", "expected --since before --until, received 2026-02-02 to"),
        ("show @champion --as-of noon", "--as-of expects a date"),
        ("versions --as-of noon", "--as-of expects a date"),
    ],
)
def test_wrong_history_options(cli, two, command, words):
    """A wrong option exits with 2."""
    text, document = cli(*command.split()), cli(*command.split(), "--json")
    assert (2, "", 2, text.err) == (text.code, text.out, document.code, document.err)
    assert words in text.err
    assert words in document.document["error"]["message"]


FINDINGS = [
    {"condition": "one", "is_met": True, "observation": "test.csv, 400 rows"},
    {"condition": "two", "is_met": False, "observation": "drift of 0.4"},
]
COMPARED = {"candidate_mae": 900.4, "champion_mae": 1000, "unheard_of": 1}


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ({"findings": [], "forced": False}, "-"),
        ({"findings": FINDINGS[:1], "forced": False}, "test.csv, 400 rows"),
        ({"findings": FINDINGS[:1], "forced": False, "comparison": None}, "test.csv, 400 rows"),
        ({"findings": FINDINGS[:1], "forced": False, "comparison": COMPARED}, "MAE $900, champion's $1,000"),
        ({"findings": FINDINGS, "forced": True}, "drift of 0.4"),
        ({"findings": FINDINGS, "forced": True, "comparison": COMPARED}, "MAE $900, champion's $1,000; drift of 0.4"),
        ({"findings": [{"holds": True, "found": "x" * 99}], "forced": False}, "x" * 99),  # the old spelling
        ({"findings": FINDINGS[:1], "forced": False, "comparison": {"candidate_mae": "low"}}, "test.csv, 400 rows"),
    ],
)
def test_history_shortens_evidence(cli, two, evidence, words):
    """The history shows the metrics of a promotion, and the findings that it was forced past."""
    publish_simple(two, 7.0)
    two.set_alias("champion", 3, "because", lambda state, version: evidence)
    what = "champion set to version 3 (was 1)" + (", forced past the gate" if evidence["forced"] else "")
    line = cli("history", "--limit", "1").out.splitlines()[1]
    assert [what, words, "because"] == re.split(r"\s{2,}", line.strip())[3:]


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
def test_history_shows_odd_events(cli, two, kind, body):
    """Events with an unexpected body are shown by their kind."""
    EventLog(LocalStore("registry"), "game-earnings").append(kind, "odd", lambda events: body)
    ran = cli("history", "--limit", "1")
    assert (0, "") == (ran.code, ran.err)
    assert re.search(r"^ +11 .* odd$", ran.out, re.MULTILINE)


# show, as of a time


def test_frozen_champion_as_of(cli):
    """The champion of the frozen registry was version 1, 2, 3 and 2 again."""
    clocks = {".285939": None, ".285940": 1, ".293675": 1, ".293676": 2, ".300052": 3, ".302212": 3, ".302213": 2}
    for clock, number in clocks.items():
        time = f"2026-11-24T03:36:09{clock}Z"
        ran = cli("show", "@champion", "--as-of", time, "--registry", FROZEN, "--json")
        if number is None:
            assert (4, "nothing_promoted") == (ran.code, ran.document["error"]["code"])
            continue
        assert (number, time, ["champion"]) == tuple(ran.document[key] for key in ("version", "as_of", "aliases"))


def test_as_of_date_is_end_of_day(cli):
    """--as-of with a date means the end of that day."""
    days = {"2026-11-23": 4, "2026-11-24": 0, "2026-11-25": 0}
    for day, code in days.items():
        assert code == cli("show", "@champion", "--as-of", day, "--registry", FROZEN).code
    ran = cli("versions", "--as-of", "2026-11-23", "--registry", FROZEN, "--json")
    assert (0, []) == (ran.code, ran.document["versions"])
    ran = cli("versions", "--as-of", "2026-11-24T03:36:09.293676Z", "--registry", FROZEN, "--json")
    assert [(2, ["champion"]), (1, [])] == [(row["version"], row["aliases"]) for row in ran.document["versions"]]


def test_show_has_alias_spans(cli):
    """show says from when to when each alias named the version."""
    document = cli("show", "3", "--registry", FROZEN, "--json").document
    since, until, trial = (f"2026-11-24T03:36:09.{part}Z" for part in ("300052", "302213", "304563"))
    assert [("champion", since, until), ("challenger", trial, None)] == [
        (span["alias"], span["since"], span["until"]) for span in document["spans"]
    ]
    before = cli("show", "3", "--as-of", since, "--registry", FROZEN, "--json").document
    assert [("champion", None)] == [(span["alias"], span["until"]) for span in before["spans"]]
    text = cli("show", "3", "--registry", FROZEN).out.splitlines()
    assert "champion    from 2026-11-24 03:36:09 UTC to 2026-11-24 03:36:09 UTC" in text
    assert "challenger  from 2026-11-24 03:36:09 UTC, until now" in text


def test_show_has_retirement(cli, two):
    """show has the retirement, but not with an earlier --as-of."""
    before, retired = two.read_events()[-2:]
    lines = cli("show", "2").out.splitlines()
    assert [f"retired     {retired.time[:10]} {retired.time[11:16]} UTC by {retired.actor}: lost its trial"] == [
        line for line in lines if line.startswith("retired")
    ]
    document = cli("show", "2", "--json").document
    assert {"time": retired.time, "actor": retired.actor, "reason": "lost its trial"} == document["retired"]
    assert cli("show", "2", "--as-of", before.time, "--json").document["retired"] is None


def test_show_has_all_evaluations(cli, two):
    """show lists every evaluation."""
    two.record_evaluation(1, {**EVALUATION, "data": "newer.csv", "rows": 1_200}, "on newer titles")
    text = cli("show", "1").out
    assert re.search(r"^20\S+ \S+ +test\.csv +400 +holdout +[0-9a-f]{12} +1\.00e-04 +\$1,000 ", text, re.MULTILINE)
    assert re.search(r"^20\S+ \S+ +newer\.csv +1,200 +holdout +000000000000 +- +\$1,000 +- +- +-$", text, re.MULTILINE)


@settings(deadline=None, max_examples=20)
@given(sequence=st.integers(0, 12))
def test_show_alias_as_of(frozen, sequence):
    """show resolves an alias as of the time."""
    from gamesales.jobs.history import show
    from gamesales.registry.refs import parse_ref

    events = frozen.read_events()
    assume(sequence < len(events))
    time = events[sequence].time
    for alias, number in replay(events, time).read_targets().items():
        assert number == show(frozen, parse_ref(f"@{alias}"), time).version
