"""The log: what was written is read as it was written, or refused by name; and many writers lose nothing."""

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
from gamesales.registry.log import EVENT_SIZE_LIMIT, EventLog, seal, unseal
from gamesales.registry.sealing import canonical_json
from gamesales.registry.store import LocalStore
from support.racing import racing

# Appends so many events, each with who made it and how many it saw before it.
APPENDER = """
from gamesales.registry.log import EventLog
from gamesales.registry.store import LocalStore
log = EventLog(LocalStore(sys.argv[1]), "game-earnings")
wait_for_start()
for number in range(int(sys.argv[3])):
    log.append("alias.set", "", lambda events: {"who": int(sys.argv[2]), "number": number, "seen": len(events)})
"""

# Whatever JSON can say. Text has no lone surrogates: see the test of arguments in another encoding.
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
    add(log, 4)
    return log


class Intruded(LocalStore):
    """A store where something happens once, just before a key is created."""

    def __init__(self, root, intrude):
        super().__init__(root)
        self.intrude = intrude

    def create(self, key, data):
        intrude, self.intrude = self.intrude, None
        if intrude:
            intrude()
        return super().create(key, data)


def add(log, count):
    for _ in range(count):
        log.append("evaluation.recorded", "for a test", lambda events: {"number": len(events) + 1})


def numbers(log):
    return [event.body["number"] for event in log.read()]


def name(sequence):
    return f"{sequence:020d}.json"


def sealed(content):
    """Seal bytes that seal() would never make."""
    return b'{"event":' + content + b',"sha256":"' + hashlib.sha256(content).hexdigest().encode() + b'"}\n'


def refused(log, pattern):
    """Read a log that must be refused; return the error."""
    with pytest.raises(IntegrityError, match=pattern) as refusal:
        log.read()
    assert 4 == refusal.value.exit_code
    return refusal.value


# What was written is read as it was written


@settings(deadline=None, max_examples=150)
@given(body=BODIES, reason=st.text(), actor=st.text())
def test_unseal_undoes_seal(body, reason, actor):
    data, digest = seal({**FIELDS, "body": body, "reason": reason, "actor": actor})
    event = unseal(data, "the file")

    assert (body, reason, actor, digest) == (event.body, event.reason, event.actor, event.digest)
    assert {**FIELDS, "body": body, "reason": reason, "actor": actor, "digest": digest} == vars(event)
    assert digest == hashlib.sha256(data[len(b'{"event":') : data.rindex(b',"sha256":')]).hexdigest()
    assert {"event", "sha256"} == set(json.loads(data)), "any JSON parser can read an event"
    assert 1 == data.count(b"\n"), "one line, for people with grep"


@settings(deadline=None, max_examples=50)
@given(body=BODIES, random=st.randoms(use_true_random=False))
def test_equal_values_have_equal_bytes(body, random):
    keys = list(body)
    random.shuffle(keys)
    assert canonical_json(body) == canonical_json({key: body[key] for key in keys})


@settings(deadline=None, max_examples=25)
@given(reasons=st.lists(st.text(), min_size=1, max_size=4))
def test_reasons_in_any_script_come_back_from_the_disk(tmp_path_factory, reasons):
    root = tmp_path_factory.mktemp("log")
    for reason in reasons:
        EventLog(LocalStore(root), "game-earnings").append("alias.set", reason, lambda events: {})

    assert reasons == [event.reason for event in EventLog(LocalStore(root), "game-earnings").read()]


def test_a_reason_in_another_encoding_is_kept_in_a_form_that_json_can_hold(log):
    """Python hands on a Latin-1 argument in a UTF-8 terminal as lone surrogates, which UTF-8 cannot write."""
    log.append("alias.set", os.fsdecode("besser für café".encode("latin-1")), lambda events: {"number": 5})

    assert r"besser f\udcfcr caf\udce9" == log.read()[-1].reason


def test_each_event_tells_who_and_when_and_names_the_one_before_it(log, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    add(log, 1)
    events = log.read()

    assert [1, 2, 3, 4, 5] == [event.sequence for event in events]
    assert ["0" * 64, *(event.digest for event in events[:-1])] == [event.previous for event in events]
    assert 5 == len({event.id for event in events})
    assert sorted(event.time for event in events) == [event.time for event in events]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.time) for event in events)
    assert "ada" == events[-1].actor


def test_a_user_without_a_name_is_told_by_number(log, monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    add(log, 1)
    assert f"uid {os.getuid()}" == log.read()[-1].actor


def test_what_json_cannot_say_is_not_appended(log):
    with pytest.raises(ValueError, match="Out of range float values"):
        log.append("evaluation.recorded", "", lambda events: {"mae": float("nan")})
    assert [1, 2, 3, 4] == numbers(log)


def test_a_log_that_nobody_wrote_is_empty(tmp_path):
    assert [] == EventLog(LocalStore(tmp_path / "registry"), "game-earnings").read()
    assert not (tmp_path / "registry").exists()


# What was changed is refused by name


@pytest.mark.parametrize("sequence", [1, 2, 3, 4])
def test_every_flipped_byte_of_an_event_is_refused_and_the_file_named(log, folder, sequence):
    path = folder / name(sequence)
    whole = path.read_bytes()
    pattern = rf"log/{name(sequence)} was changed: its content has sha256 [0-9a-f]{{64}}, its seal reads "
    for place in range(len(whole)):
        for mask in (0x01, 0x20, 0x80):
            flipped = bytearray(whole)
            flipped[place] ^= mask
            path.write_bytes(flipped)
            refused(log, pattern)
    path.write_bytes(whole)
    assert [1, 2, 3, 4] == numbers(log)


@pytest.mark.parametrize("sequence", [2, 4])
def test_an_event_cut_off_anywhere_is_refused_and_the_file_named(log, folder, sequence):
    path = folder / name(sequence)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(log, f"log/{name(sequence)} was changed")


def test_bytes_added_to_an_event_are_refused(log, folder):
    path = folder / name(4)
    whole = path.read_bytes()
    for longer in (whole + b"\n", whole + whole, b" " + whole, b"\xef\xbb\xbf" + whole, whole.replace(b"\n", b"\r\n")):
        path.write_bytes(longer)
        assert "Restore this file from a backup of the registry" == refused(log, f"log/{name(4)} was changed").hint


def test_of_an_event_that_grew_no_more_is_read_than_an_event_may_have(log, folder):
    """A hole of a terabyte takes no room on the disk; whoever read it whole would take it in memory."""
    with open(folder / name(4), "r+b") as file:
        file.truncate(2**40)
    refused(log, f"log/{name(4)} was changed")


def test_an_event_that_is_too_large_to_read_is_not_appended(log):
    with pytest.raises(UsageError, match=r"^an event of 16,777,\d+ bytes is too large; it may have 16,777,216$"):
        log.append("alias.set", "r" * EVENT_SIZE_LIMIT, lambda events: {})
    assert [1, 2, 3, 4] == numbers(log)


@settings(deadline=None, max_examples=150)
@given(data=st.binary(max_size=300) | st.binary(max_size=40).map(sealed) | JSON_LIKE.map(canonical_json).map(sealed))
def test_bytes_that_are_no_event_are_refused_whatever_they_are(data):
    with pytest.raises(IntegrityError, match=r"^the file (was changed|is not an event)"):
        unseal(data, "the file")


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
def test_an_event_of_another_shape_is_refused_with_what_to_do(fields):
    """A later release may write events that this one can't read; it must not guess."""
    with pytest.raises(IntegrityError, match=r"^the file is not an event that this version") as refusal:
        unseal(seal(fields)[0], "the file")
    assert "Upgrade gamesales" == refusal.value.hint


def test_an_event_nested_too_deep_to_parse_is_refused():
    with pytest.raises(IntegrityError, match="is not an event"):
        unseal(sealed(b"[" * 200_000), "the file")


def test_a_missing_middle_event_is_named(log, folder):
    (folder / name(2)).unlink()
    assert "Restore it from a backup of the registry" == refused(log, rf"log/{name(2)} is missing").hint


def test_swapped_events_are_named(log, folder):
    shutil.move(folder / name(2), folder / "aside")
    shutil.move(folder / name(3), folder / name(2))
    shutil.move(folder / "aside", folder / name(3))
    error = refused(log, rf"log/{name(2)} does not follow the event before it: expected event 2 after [0-9a-f]+, found")
    assert "found event 3 after" in str(error)


def test_an_event_in_anothers_place_is_named(log, folder):
    shutil.copy(folder / name(2), folder / name(3))
    refused(log, rf"log/{name(3)} does not follow the event before it")


def test_an_event_sealed_anew_with_other_content_is_shown_by_the_next_one(log, folder):
    fields = json.loads((folder / name(2)).read_bytes())["event"]
    (folder / name(2)).write_bytes(seal({**fields, "actor": "nobody"})[0])
    refused(log, rf"log/{name(3)} does not follow the event before it: expected event 3 after")


@pytest.mark.parametrize(
    "stranger",
    ["notes.txt", "00000000000000000002 (copy).json", f"{name(2)}~", "2.json", f"old/{name(2)}", name(0)],
)
def test_a_stranger_file_is_named(log, folder, stranger):
    (folder / stranger).parent.mkdir(exist_ok=True)
    shutil.copy(folder / name(2), folder / stranger)
    error = refused(log, rf"log/{re.escape(stranger)} is not an event of this log")
    assert "Move the file elsewhere" == error.hint


def test_a_link_in_an_events_place_is_refused(log, folder, tmp_path):
    shutil.move(folder / name(4), tmp_path / "elsewhere")
    (folder / name(4)).symlink_to(tmp_path / "elsewhere")
    refused(log, rf"log/{name(4)} is a symbolic link")


@pytest.mark.parametrize("sequence", [6, 10**19])
def test_an_event_from_the_far_future_shows_the_first_one_that_is_missing(log, folder, sequence):
    shutil.copy(folder / name(4), folder / name(sequence))
    refused(log, rf"log/{name(5)} is missing")


def test_what_a_killed_writer_left_does_not_disturb(log, folder):
    (folder / ".tmp-0123456789abcdef").write_bytes((folder / name(4)).read_bytes()[:100])
    add(log, 1)
    assert [1, 2, 3, 4, 5] == numbers(log)


def test_nothing_is_appended_to_a_log_that_is_not_sound(log, folder):
    (folder / name(2)).write_bytes(b"{}")
    with pytest.raises(IntegrityError, match=f"log/{name(2)} was changed"):
        add(log, 1)
    assert not (folder / name(5)).exists()


def test_a_folder_in_the_next_events_place_is_refused_and_not_tried_for_ever(log, folder):
    (folder / name(5)).mkdir()
    with pytest.raises(IntegrityError, match=rf"log/{name(5)} is not a plain file"):
        add(log, 1)


# Many writers


def test_a_writer_that_changes_its_mind_appends_nothing(log):
    def decide(events):
        raise LookupError(len(events))

    with pytest.raises(LookupError, match="4"):
        log.append("alias.set", "", decide)
    assert [1, 2, 3, 4] == numbers(log)


def test_a_writer_that_lost_the_race_decides_again_on_all_events_before_its_own(log, tmp_path):
    seen = []

    def decide(events):
        seen.append([event.body["number"] for event in events])
        return {"number": 7}

    late = EventLog(Intruded(tmp_path / "registry", lambda: add(log, 2)), "game-earnings")
    event = late.append("alias.set", "", decide)

    assert [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6]] == seen
    assert 7 == event.sequence
    assert [1, 2, 3, 4, 5, 6, 7] == numbers(log)


class Unclear(LocalStore):
    """A store that writes, and so many times does not say so."""

    def __init__(self, root, times):
        super().__init__(root)
        self.times = times

    def create(self, key, data):
        created = super().create(key, data)
        self.times -= 1
        if self.times >= 0:
            raise TryAgainError("no answer in time")
        return created


def test_an_event_that_was_written_though_the_store_says_otherwise_is_not_written_twice(log, tmp_path):
    store = Unclear(tmp_path / "registry", times=1)
    event = EventLog(store, "game-earnings").append("alias.set", "", lambda events: {"number": 5})
    assert 5 == event.sequence
    assert [1, 2, 3, 4, 5] == numbers(log)


def test_an_event_that_can_not_be_made_durable_is_not_reported_as_done(log, tmp_path):
    store = Unclear(tmp_path / "registry", times=2)
    with pytest.raises(TryAgainError, match=r"0005\.json is written, but a power cut may undo it: no answer in time"):
        EventLog(store, "game-earnings").append("alias.set", "", lambda events: {"number": 5})
    assert [1, 2, 3, 4, 5] == numbers(log)


def test_after_an_unclear_answer_another_writers_event_is_not_taken_for_ours(log, tmp_path):
    class UnclearLoss(Intruded):
        def create(self, key, data):
            lost = self.intrude is not None
            created = super().create(key, data)
            if lost:
                raise TryAgainError("no answer in time")
            return created

    late = EventLog(UnclearLoss(tmp_path / "registry", lambda: add(log, 1)), "game-earnings")
    assert 6 == late.append("alias.set", "", lambda events: {"number": len(events) + 1}).sequence
    assert [1, 2, 3, 4, 5, 6] == numbers(log)


def test_an_event_that_could_not_be_written_is_no_event(log, tmp_path):
    class Down(LocalStore):
        def create(self, key, data):
            raise TryAgainError("the store is down")

    with pytest.raises(TryAgainError, match="the store is down"):
        EventLog(Down(tmp_path / "registry"), "game-earnings").append("alias.set", "", lambda events: {})
    assert [1, 2, 3, 4] == numbers(log)


def append_from_processes(root, writers, appends):
    """Let processes append at once while this one keeps reading; check all that was read and return what is there."""
    log = EventLog(LocalStore(root), "game-earnings")
    seen = []
    with racing(APPENDER, [[root, who, appends] for who in range(writers)]) as processes:
        while any(process.poll() is None for process in processes):
            # Every read is checked for gaps by the log itself; here, that nothing read before has changed.
            events = log.read()
            assert seen == events[: len(seen)]
            seen = events
            time.sleep(0.01)  # a processor for the writers
    events = log.read()
    assert seen == events[: len(seen)]
    assert list(range(1, writers * appends + 1)) == [event.sequence for event in events]
    assert [event.sequence - 1 for event in events] == [event.body["seen"] for event in events]
    return events


def check_nothing_is_lost_or_doubled(events, writers, appends):
    made = [(event.body["who"], event.body["number"]) for event in events]
    assert {who: list(range(appends)) for who in range(writers)} == {
        who: [number for maker, number in made if maker == who] for who in range(writers)
    }


def test_eight_processes_appending_at_once_lose_and_double_nothing(tmp_path):
    events = append_from_processes(tmp_path, 8, 25)

    check_nothing_is_lost_or_doubled(events, 8, 25)
    makers = [event.body["who"] for event in events]
    turns = sum(one != next_one for one, next_one in pairwise(makers))
    assert turns > 7, "they ran one after another: nothing was tested"
    assert 200 == len(list((tmp_path / "game-earnings/log").iterdir()))


@pytest.mark.slow
def test_sixteen_processes_and_thousands_of_contended_events(tmp_path):
    check_nothing_is_lost_or_doubled(append_from_processes(tmp_path, 16, 125), 16, 125)


@pytest.mark.slow
def test_random_damage_to_a_long_log_never_goes_unnoticed(tmp_path, log, folder):
    """Several bytes at several places in several files: nothing but the very same bytes is read."""
    add(log, 60)
    files = sorted(folder.iterdir())
    dice = random.Random(5)
    for _ in range(1_500):
        wholes = {path: path.read_bytes() for path in dice.sample(files, dice.randint(1, 3))}
        for path, whole in wholes.items():
            damaged = bytearray(whole)
            for _ in range(dice.randint(1, 40)):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            path.write_bytes(damaged)
        if any(path.read_bytes() != whole for path, whole in wholes.items()):
            first = min(path.name for path, whole in wholes.items() if path.read_bytes() != whole)
            refused(log, f"log/{first} was changed")
        for path, whole in wholes.items():
            path.write_bytes(whole)
    assert 64 == len(log.read())
