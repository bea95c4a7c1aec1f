"""The log: events are read as they were written, or refused by name; and many writers lose nothing."""

import getpass
import hashlib
import json
import os
import random
import re
import shutil
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError, TryAgainError, UsageError
from gamesales.registry.event import encode_canonical_json, seal_event, unseal_event
from gamesales.registry.log import EVENT_SIZE_LIMIT, EventLog
from gamesales.storage.store import LocalStore
from support.racing import racing
from support.sampling import many

# Appends events. Each has its writer and the number of events before it.
APPENDER = """
from gamesales.registry.log import EventLog
from gamesales.storage.store import LocalStore
log = EventLog(LocalStore(sys.argv[1]), "game-earnings")
wait_for_start()
for number in range(int(sys.argv[3])):
    log.append("alias.set", "", lambda events: {"writer": int(sys.argv[2]), "number": number, "count": len(events)})
"""

# Any JSON. Text has no lone surrogates, which have a test of their own.
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
BODIES = st.dictionaries(st.text(), JSON_LIKE, max_size=5)
FIELDS = {
    "sequence": 3,
    "id": "0f" * 16,
    "time": "2026-11-24T02:00:00.123456Z",
    "actor": "ada",
    "kind": "alias.set",
    "reason": "better on sequels",
    "previous": "ab" * 32,
    "body": {"alias": "champion", "version": 4},
}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "registry/game-earnings/log"


@pytest.fixture
def log(tmp_path):
    """A log of four events with numbered bodies."""
    log = EventLog(LocalStore(tmp_path / "registry"), "game-earnings")
    append_events(log, 4)
    return log


class InterruptedStore(LocalStore):
    """A store that calls a function once, just before a key is created."""

    def __init__(self, root, interrupt):
        super().__init__(root)
        self.interrupt = interrupt

    def create(self, key, data):
        interrupt, self.interrupt = self.interrupt, None
        if interrupt:
            interrupt()
        return super().create(key, data)


def append_events(log, count):
    for _ in range(count):
        log.append("evaluation.recorded", "for a test", lambda events: {"number": len(events) + 1})


def read_numbers(log):
    return [event.body["number"] for event in log.read()]


def event_file(sequence):
    return f"{sequence:020d}.json"


def seal_bytes(content):
    """Seal bytes that seal_event() would never write."""
    return b'{"event":' + content + b',"sha256":"' + hashlib.sha256(content).hexdigest().encode() + b'"}\n'


def check_refused(log, pattern):
    """Check that reading a log fails with this message; return the error."""
    with pytest.raises(IntegrityError, match=pattern) as refusal:
        log.read()
    assert 4 == refusal.value.exit_code
    return refusal.value


# Writing and reading


@settings(deadline=None, max_examples=150)
@given(body=BODIES, reason=st.text(), actor=st.text())
def test_unseal_inverts_seal(body, reason, actor):
    """A sealed event comes back with the same fields, and its file is one line of JSON."""
    data, digest = seal_event({**FIELDS, "body": body, "reason": reason, "actor": actor})
    event = unseal_event(data, "the file")

    assert (body, reason, actor, digest) == (event.body, event.reason, event.actor, event.digest)
    assert {**FIELDS, "body": body, "reason": reason, "actor": actor, "digest": digest} == vars(event)
    assert digest == hashlib.sha256(data[len(b'{"event":') : data.rindex(b',"sha256":')]).hexdigest()
    assert {"event", "sha256"} == set(json.loads(data)), "any JSON parser can read an event"
    assert 1 == data.count(b"\n"), "one line, for people with grep"


@settings(deadline=None, max_examples=50)
@given(body=BODIES, random=st.randoms(use_true_random=False))
def test_canonical_json_sorts_keys(body, random):
    """Equal values have equal bytes, whatever the order of their keys."""
    keys = list(body)
    random.shuffle(keys)
    assert encode_canonical_json(body) == encode_canonical_json({key: body[key] for key in keys})


@settings(deadline=None, max_examples=25)
@given(reasons=st.lists(st.text(), min_size=1, max_size=4))
def test_reasons_keep_any_script(tmp_path_factory, reasons):
    """A reason in any script is read as it was written."""
    root = tmp_path_factory.mktemp("log")
    for reason in reasons:
        EventLog(LocalStore(root), "game-earnings").append("alias.set", reason, lambda events: {})

    assert reasons == [event.reason for event in EventLog(LocalStore(root), "game-earnings").read()]


def test_reason_with_surrogates_is_escaped(log):
    """Lone surrogates, which Python makes of a Latin-1 argument, are escaped: UTF-8 has no bytes for them."""
    log.append("alias.set", os.fsdecode("besser für café".encode("latin-1")), lambda events: {"number": 5})

    assert r"besser f\udcfcr caf\udce9" == log.read()[-1].reason


def test_event_has_actor_time_previous(log, monkeypatch):
    """Each event has an actor and a time, and names the digest of the event before it."""
    monkeypatch.setenv("LOGNAME", "ada")
    append_events(log, 1)
    events = log.read()

    assert [1, 2, 3, 4, 5] == [event.sequence for event in events]
    assert ["0" * 64, *(event.digest for event in events[:-1])] == [event.previous for event in events]
    assert 5 == len({event.id for event in events})
    assert sorted(event.time for event in events) == [event.time for event in events]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.time) for event in events)
    assert "ada" == events[-1].actor


def test_nameless_user_gets_number(log, monkeypatch):
    """The actor is the number of a user who has no name."""

    def raise_key_error():
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", raise_key_error)
    append_events(log, 1)
    assert f"uid {os.getuid()}" == log.read()[-1].actor


def test_nan_is_not_appended(log):
    """A body with NaN is refused, and nothing is appended."""
    with pytest.raises(ValueError, match="Out of range float values"):
        log.append("evaluation.recorded", "", lambda events: {"mae": float("nan")})
    assert [1, 2, 3, 4] == read_numbers(log)


def test_missing_log_is_empty(tmp_path):
    """A log without a folder is empty, and reading does not create the folder."""
    assert [] == EventLog(LocalStore(tmp_path / "registry"), "game-earnings").read()
    assert not (tmp_path / "registry").exists()


# Damage


@pytest.mark.parametrize("sequence", [1, 2, 3, 4])
def test_flipped_byte_is_refused(log, folder, sequence):
    """Any flipped byte of an event is refused, and the message names the file."""
    path = folder / event_file(sequence)
    whole = path.read_bytes()
    pattern = rf"log/{event_file(sequence)} was changed: its content has sha256 [0-9a-f]{{64}}, its seal reads "
    for position in range(len(whole)):
        for mask in (0x01, 0x20, 0x80):
            flipped = bytearray(whole)
            flipped[position] ^= mask
            path.write_bytes(flipped)
            check_refused(log, pattern)
    path.write_bytes(whole)
    assert [1, 2, 3, 4] == read_numbers(log)


@pytest.mark.parametrize("sequence", [2, 4])
def test_truncated_event_is_refused(log, folder, sequence):
    """An event that is cut off anywhere is refused, and the message names the file."""
    path = folder / event_file(sequence)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        check_refused(log, f"log/{event_file(sequence)} was changed")


def test_added_bytes_are_refused(log, folder):
    """An event with bytes before or after it is refused."""
    path = folder / event_file(4)
    whole = path.read_bytes()
    for longer in (whole + b"\n", whole + whole, b" " + whole, b"\xef\xbb\xbf" + whole, whole.replace(b"\n", b"\r\n")):
        path.write_bytes(longer)
        assert (
            "Restore this file from a backup of the registry"
            == check_refused(log, f"log/{event_file(4)} was changed").hint
        )


def test_grown_event_is_read_partly(log, folder):
    """Only the size limit is read of an event that grew to a terabyte."""
    with open(folder / event_file(4), "r+b") as file:
        file.truncate(2**40)
    check_refused(log, f"log/{event_file(4)} was changed")


def test_oversized_event_is_not_appended(log):
    """An event above the size limit is refused, and nothing is appended."""
    with pytest.raises(UsageError, match=r"^an event of 16,777,\d+ bytes is too large; the limit is 16,777,216$"):
        log.append("alias.set", "r" * EVENT_SIZE_LIMIT, lambda events: {})
    assert [1, 2, 3, 4] == read_numbers(log)


@settings(deadline=None, max_examples=150)
@given(
    data=st.binary(max_size=300)
    | st.binary(max_size=40).map(seal_bytes)
    | JSON_LIKE.map(encode_canonical_json).map(seal_bytes)
)
def test_random_bytes_are_refused(data):
    """Bytes that are not an event are refused, sealed or not."""
    with pytest.raises(IntegrityError, match=r"^the file (was changed|is not an event)"):
        unseal_event(data, "the file")


@pytest.mark.parametrize(
    "fields",
    [
        {name: value for name, value in FIELDS.items() if name != "reason"},
        {**FIELDS, "signature": "…"},
        {**FIELDS, "sequence": "3"},
        {**FIELDS, "sequence": True},
        {**FIELDS, "kind": ["alias.set"]},
        {**FIELDS, "reason": None},
        {**FIELDS, "body": [1]},
    ],
    ids=["a field less", "a field more", "text number", "true", "list kind", "no reason", "list body"],
)
def test_unknown_event_shape_is_refused(fields):
    """An event with other fields, as a later release may write, is refused with a hint to upgrade."""
    with pytest.raises(IntegrityError, match=r"^the file is not an event that this release can read") as refusal:
        unseal_event(seal_event(fields)[0], "the file")
    assert "Upgrade gamesales" == refusal.value.hint


def test_deeply_nested_event_is_refused():
    """JSON that is nested too deep to parse is refused."""
    with pytest.raises(IntegrityError, match="is not an event"):
        unseal_event(seal_bytes(b"[" * 200_000), "the file")


def test_missing_event_is_named(log, folder):
    """The message names a missing event, and the hint says to restore it."""
    (folder / event_file(2)).unlink()
    assert "Restore it from a backup of the registry" == check_refused(log, rf"log/{event_file(2)} is missing").hint


def test_swapped_events_are_named(log, folder):
    """The message names the first of two swapped events."""
    shutil.move(folder / event_file(2), folder / "spare")
    shutil.move(folder / event_file(3), folder / event_file(2))
    shutil.move(folder / "spare", folder / event_file(3))
    error = check_refused(
        log, rf"log/{event_file(2)} does not follow the event before it: expected event 2 after [0-9a-f]+, found"
    )
    assert "found event 3 after" in str(error)


def test_copied_event_is_named(log, folder):
    """An event that was copied over the next event is named."""
    shutil.copy(folder / event_file(2), folder / event_file(3))
    check_refused(log, rf"log/{event_file(3)} does not follow the event before it")


def test_resealed_event_breaks_chain(log, folder):
    """If an event is sealed again with other content, the next event does not follow it."""
    fields = json.loads((folder / event_file(2)).read_bytes())["event"]
    (folder / event_file(2)).write_bytes(seal_event({**fields, "actor": "nobody"})[0])
    check_refused(log, rf"log/{event_file(3)} does not follow the event before it: expected event 3 after")


# What programs that sync, copy or show folders leave in them.
OTHER_NAMES = [
    *["Thumbs.db", "desktop.ini", ".DS_Store", "~$notes.docx", "notes.txt", "old/"],
    *[f"{event_file(2)}.6Ea3f2", f".{event_file(2)}.6Ea3f2", f"{event_file(6)}.part", f"{event_file(2)}~"],
    *["00000000000000000002 (copy).json", "00000000000000000007 (conflicted copy).json", "2.json", event_file(0)],
]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_name_is_ignored(log, folder, name):
    """A file in the log whose name is not an event's is ignored by readers and by writers."""
    before = log.read()
    path = folder / name / "inner.json" if name.endswith("/") else folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("half of an ev")
    assert before == log.read()
    log.append("alias.set", "", lambda events: {"number": len(events)})
    assert [event.sequence for event in log.read()] == [1, 2, 3, 4, 5]
    assert log.list_other_names() == ([] if name.startswith(".") else [name.rstrip("/")])


@pytest.mark.parametrize("name", OTHER_NAMES)
@pytest.mark.parametrize("change", ["missing", "torn"])
def test_other_name_hides_nothing(log, folder, name, change):
    """Beside such a file, a missing or a torn event is an error."""
    path = folder / name / "inner.json" if name.endswith("/") else folder / name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(folder / event_file(2), path)
    if change == "missing":
        (folder / event_file(2)).unlink()
    else:
        (folder / event_file(2)).write_bytes((folder / event_file(2)).read_bytes()[:-9])
    check_refused(log, rf"log/{event_file(2)} (is missing|was changed)")


@pytest.mark.parametrize("sequence", [4, 5, 9])
def test_folder_is_no_event(log, folder, sequence):
    """A folder in place of an event, or after the last event, is an error."""
    (folder / event_file(sequence)).unlink(missing_ok=True)
    (folder / event_file(sequence)).mkdir()
    (folder / event_file(sequence) / "file").touch()
    check_refused(log, rf"log/{event_file(sequence)} is not a plain file")


def test_repeated_write_registers_once(log, tmp_path):
    """A write that happened, although the store answers that the name is taken, is not repeated."""

    class RepeatingStore(LocalStore):
        def create(self, key, data):
            super().create(key, data)
            return False

    event = EventLog(RepeatingStore(tmp_path / "registry"), "game-earnings").append("alias.set", "", lambda events: {})
    assert 5 == event.sequence
    assert event == log.read()[-1]
    assert 5 == len(log.read())


def test_linked_event_is_refused(log, folder, tmp_path):
    """A symbolic link in place of an event is refused."""
    shutil.move(folder / event_file(4), tmp_path / "elsewhere")
    (folder / event_file(4)).symlink_to(tmp_path / "elsewhere")
    check_refused(log, rf"log/{event_file(4)} is a symbolic link")


@pytest.mark.parametrize("sequence", [6, 10**19])
def test_future_event_shows_gap(log, folder, sequence):
    """An event with a sequence far ahead makes the first missing event an error."""
    shutil.copy(folder / event_file(4), folder / event_file(sequence))
    check_refused(log, rf"log/{event_file(5)} is missing")


def test_temporary_file_is_ignored(log, folder):
    """The temporary file of a killed writer is ignored."""
    (folder / ".tmp-0123456789abcdef").write_bytes((folder / event_file(4)).read_bytes()[:100])
    append_events(log, 1)
    assert [1, 2, 3, 4, 5] == read_numbers(log)


def test_damaged_log_is_not_extended(log, folder):
    """Nothing is appended to a log with a damaged event."""
    (folder / event_file(2)).write_bytes(b"{}")
    with pytest.raises(IntegrityError, match=f"log/{event_file(2)} was changed"):
        append_events(log, 1)
    assert not (folder / event_file(5)).exists()


def test_folder_at_next_event_is_refused(log, folder):
    """A folder in place of the next event is refused; the writer does not retry forever."""
    (folder / event_file(5)).mkdir()
    with pytest.raises(IntegrityError, match=rf"log/{event_file(5)} is not a plain file"):
        append_events(log, 1)


# Many writers


def test_failing_decide_appends_nothing(log):
    """If ``decide`` raises, nothing is appended."""

    def decide(events):
        raise LookupError(len(events))

    with pytest.raises(LookupError, match="4"):
        log.append("alias.set", "", decide)
    assert [1, 2, 3, 4] == read_numbers(log)


def test_race_loser_decides_again(log, tmp_path):
    """A writer that loses a race decides again, on all events before its own."""
    decisions = []

    def decide(events):
        decisions.append([event.body["number"] for event in events])
        return {"number": 7}

    late = EventLog(InterruptedStore(tmp_path / "registry", lambda: append_events(log, 2)), "game-earnings")
    event = late.append("alias.set", "", decide)

    assert [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6]] == decisions
    assert 7 == event.sequence
    assert [1, 2, 3, 4, 5, 6, 7] == read_numbers(log)


class UnclearStore(LocalStore):
    """A store that writes, but reports a failure the first times."""

    def __init__(self, root, times):
        super().__init__(root)
        self.times = times

    def create(self, key, data):
        created = super().create(key, data)
        self.times -= 1
        if self.times >= 0:
            raise TryAgainError("no answer in time")
        return created


def test_unclear_write_is_not_repeated(log, tmp_path):
    """An event is not appended twice if it was written although the store reported a failure."""
    store = UnclearStore(tmp_path / "registry", times=1)
    event = EventLog(store, "game-earnings").append("alias.set", "", lambda events: {"number": 5})
    assert 5 == event.sequence
    assert [1, 2, 3, 4, 5] == read_numbers(log)


def test_undurable_event_is_reported(log, tmp_path):
    """An event that is written but not durable is an error that says so."""
    store = UnclearStore(tmp_path / "registry", times=2)
    with pytest.raises(TryAgainError, match=r"0005\.json is written, but a power cut may undo it: no answer in time"):
        EventLog(store, "game-earnings").append("alias.set", "", lambda events: {"number": 5})
    assert [1, 2, 3, 4, 5] == read_numbers(log)


def test_unclear_loss_is_not_a_win(log, tmp_path):
    """After a lost answer, another writer's event is not mistaken for our own."""

    class UnclearLossStore(InterruptedStore):
        def create(self, key, data):
            is_lost = self.interrupt is not None
            created = super().create(key, data)
            if is_lost:
                raise TryAgainError("no answer in time")
            return created

    late = EventLog(UnclearLossStore(tmp_path / "registry", lambda: append_events(log, 1)), "game-earnings")
    assert 6 == late.append("alias.set", "", lambda events: {"number": len(events) + 1}).sequence
    assert [1, 2, 3, 4, 5, 6] == read_numbers(log)


def test_failed_write_adds_no_event(log, tmp_path):
    """If the store is down, nothing is appended."""

    class FailingStore(LocalStore):
        def create(self, key, data):
            raise TryAgainError("the store is down")

    with pytest.raises(TryAgainError, match="the store is down"):
        EventLog(FailingStore(tmp_path / "registry"), "game-earnings").append("alias.set", "", lambda events: {})
    assert [1, 2, 3, 4] == read_numbers(log)


def append_from_processes(root, writers, appends):
    """Let processes append at once while this process reads; check every reading and return the events."""
    log = EventLog(LocalStore(root), "game-earnings")
    previous = []
    with racing(APPENDER, [[root, writer, appends] for writer in range(writers)]) as processes:
        while any(process.poll() is None for process in processes):
            # The log itself checks every reading for gaps. Here, that no event that was read before has changed.
            events = log.read()
            assert previous == events[: len(previous)]
            previous = events
            time.sleep(0.01)  # leave a processor to the writers
    events = log.read()
    assert previous == events[: len(previous)]
    assert list(range(1, writers * appends + 1)) == [event.sequence for event in events]
    assert [event.sequence - 1 for event in events] == [event.body["count"] for event in events]
    return events


def check_nothing_is_lost_or_duplicate(events, writers, appends):
    appended = [(event.body["writer"], event.body["number"]) for event in events]
    assert {writer: list(range(appends)) for writer in range(writers)} == {
        writer: [number for owner, number in appended if owner == writer] for writer in range(writers)
    }


def test_eight_writers_lose_nothing(tmp_path):
    """Eight processes append at once, and no event is lost or duplicated."""
    events = append_from_processes(tmp_path, 8, 25)

    check_nothing_is_lost_or_duplicate(events, 8, 25)
    owners = [event.body["writer"] for event in events]
    turns = sum(owner != next_owner for owner, next_owner in pairwise(owners))
    assert turns > 7, "they ran one after another: nothing was tested"
    assert 200 == len(list((tmp_path / "game-earnings/log").iterdir()))


# Events that each of sixteen processes appends.
TURNS = many(125, 20)


@pytest.mark.slow
def test_sixteen_writers_lose_nothing(tmp_path):
    """Sixteen processes append thousands of events, and none is lost or duplicated."""
    check_nothing_is_lost_or_duplicate(append_from_processes(tmp_path, 16, TURNS), 16, TURNS)


@pytest.mark.slow
def test_random_damage_is_noticed(tmp_path, log, folder):
    """Several damaged bytes in several files of a long log are always noticed."""
    append_events(log, 60)
    files = sorted(folder.iterdir())
    generator = random.Random(5)
    for _ in range(many(1_500, 200)):
        wholes = {path: path.read_bytes() for path in generator.sample(files, generator.randint(1, 3))}
        for path, whole in wholes.items():
            damaged = bytearray(whole)
            for _ in range(generator.randint(1, 40)):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            path.write_bytes(damaged)
        if any(path.read_bytes() != whole for path, whole in wholes.items()):
            first = min(path.name for path, whole in wholes.items() if path.read_bytes() != whole)
            check_refused(log, f"log/{first} was changed")
        for path, whole in wholes.items():
            path.write_bytes(whole)
    assert 64 == len(log.read())
