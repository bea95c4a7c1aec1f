"""The registry of a model: versions are whole or absent, numbers are never given twice, and old registries are read."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.errors import IntegrityError, NothingPromotedError, RegistryError, UnknownVersionError, UsageError
from gamesales.jobs.loading import load, open_registry
from gamesales.registry import log
from gamesales.registry.log import EventLog
from gamesales.registry.refs import Ref, check_alias, check_model, parse_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import replay
from gamesales.registry.store import LocalStore
from support.racing import race
from support.versions import ROOT, simple_earnings, title_values

FROZEN = ROOT / "tests/frozen/registry-1"
EVALUATION = {"data": "test.csv", "data_sha256": "0" * 64, "rows": 400, "metrics": {"mae": 1000.0}}
UNFORCED = {"findings": [], "forced": False}
BAD_MODELS = ["", "..", ".", "a/b", "/a", "a\\b", "Game", "-a", "a b", "a.b", "a_b", "a\n", "größe", "a" * 64, "a@b"]
BAD_ALIASES = [
    "",
    "latest",
    "Latest",
    "v1",
    "V12",
    "7",
    "v007",
    "with-hyphen",
    "a b",
    "größe",
    "a\n",
    "a/b",
    "@a",
    "a.b",
]

# Publishes so many versions, and prints their numbers.
PUBLISHER = """
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.store import LocalStore
registry, me = ModelRegistry(LocalStore(sys.argv[1])), sys.argv[2]
wait_for_start()
for turn in range(int(sys.argv[3])):
    print(registry.publish({"scorer.onnx": f"{me} {turn}".encode()}, {"who": me, "turn": turn}, me))
"""

# Publishes, evaluates and promotes version 2 in copies of a registry, once for each system call at which it can be
# killed: the n-th copy is left as a kill at the n-th call leaves it. The last one is not killed.
KILLED = """
import json, os, shutil, signal, sys
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.store import LocalStore

HARMLESS = {"fspath", "stat", "lstat", "fstat", "scandir", "getpid", "getuid", "urandom", "waitpid"}

def touches_the_disk(called):
    owner = getattr(called, "__self__", None)
    is_system_call = getattr(owner, "__name__", "") == "posix" and called.__name__ not in HARMLESS
    return is_system_call or type(owner).__module__ == "_io"

def story(root):
    registry = ModelRegistry(LocalStore(root))
    files = {"scorer.onnx": bytes(100_000), "report.html": b"<p>2</p>"}
    number = registry.publish(files, {"seed": 2}, "the second")
    registry.record_evaluation(number, json.loads(sys.argv[2]), "the second")
    registry.set_alias("champion", number, "the second", lambda state, version: json.loads(sys.argv[3]))

def run_until(call, root):
    seen = 0
    def watch(frame, event, called):
        nonlocal seen
        if event == "c_call" and touches_the_disk(called):
            seen += 1
            if seen == call:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(watch)
    story(root)
    sys.setprofile(None)

folder, call = sys.argv[1], 0
killed = True
while killed:
    call += 1
    shutil.copytree(f"{folder}/before", f"{folder}/{call}")
    child = os.fork()
    if not child:
        try:
            run_until(call, f"{folder}/{call}")
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and status:
        sys.exit(f"call {call}: status {status}")
print(call)
"""

# Drops root's right to pass over permissions, so that a folder without the right to write can't be written.
WITHOUT_PRIVILEGES = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
if os.getuid() == 0 and ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0):
    sys.exit("can't drop the right")
os.execv(sys.executable, [sys.executable, "-m", "gamesales", *sys.argv[1:]])
"""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
def registry(root):
    return ModelRegistry(LocalStore(root))


@pytest.fixture
def frozen(tmp_path):
    """A copy of the frozen registry, to be worked with."""
    shutil.copytree(FROZEN, tmp_path / "frozen")
    return open_registry(tmp_path / "frozen", "game-earnings")


def publish(registry, content=b"a graph", **details):
    return registry.publish({"scorer.onnx": content}, details, "for a test")


def set_alias(registry, alias, number):
    return registry.set_alias(alias, number, "for a test", lambda state, version: UNFORCED)


def roll_back(registry, alias="champion"):
    return registry.roll_back(alias, "for a test", lambda state, version: UNFORCED)


def contents(folder):
    """Return every file below a folder with its bytes, and every folder."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


# References and names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", Ref("game-earnings", version=4)),
        ("game-earnings/4", Ref("game-earnings", version=4)),
        ("@champion", Ref("game-earnings", alias="champion")),
        ("game-earnings@champion", Ref("game-earnings", alias="champion")),
        ("other-2/17", Ref("other-2", version=17)),
        ("other-2@on_trial", Ref("other-2", alias="on_trial")),
        ("999999999", Ref("game-earnings", version=999_999_999)),
    ],
)
def test_a_reference_names_a_version_by_number_or_alias(text, expected):
    assert expected == parse_ref(text)


@pytest.mark.parametrize("text", ["4", "@champion"])
def test_a_reference_without_a_model_takes_the_one_that_is_given(text):
    assert "other" == parse_ref(text, "other").model
    assert "game-earnings" == parse_ref(f"game-earnings{'' if text[0] == '@' else '/'}{text}", "other").model


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "0",
            "04",
            "-1",
            "+4",
            "4.0",
            " 4",
            "4\n",
            "v4",
            "latest",
            "champion",
            "@",
            "a@",
            "a/",
            "/4",
            "a/0",
            "a/v1",
        ],
        *["game-earnings/champion", "A/4", "../4", "a/../b@c", "a@b@c", "a/4@b", "@with-hyphen", "٤", "1" * 10],
    ],
)
def test_what_names_no_version_is_refused_with_the_forms_that_do(text):
    words = "names no version; expected 4, game-earnings/4, @champion or game-earnings@champion"
    with pytest.raises(UsageError, match=re.escape(f"{text!r} {words}")) as refusal:
        parse_ref(text)
    assert (2, "List what there is: gamesales versions") == (refusal.value.exit_code, refusal.value.hint)


@pytest.mark.parametrize("text", ["@latest", "game-earnings@v1", "@7"])
def test_a_name_that_nobody_can_set_is_not_looked_for(text):
    """Else the answer would be to promote a version to an alias that is refused."""
    with pytest.raises(UsageError, match="can't be an alias"):
        parse_ref(text)


@settings(deadline=None, max_examples=100)
@given(
    model=st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
    named=st.integers(1, 999_999_999) | st.from_regex(r"[a-zA-Z0-9_]+", fullmatch=True),
)
def test_a_reference_reads_as_it_is_written(model, named):
    ref = Ref(model, version=named) if isinstance(named, int) else Ref(model, alias=named)
    if ref.alias and re.fullmatch(r"latest|v?[0-9]+", ref.alias, re.IGNORECASE):
        return
    assert ref == parse_ref(str(ref))


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_models_name_is_one_safe_path_component(tmp_path, name):
    words = "can't name a model; expected small letters, digits and hyphens, such as game-earnings"
    for call in (lambda: check_model(name), lambda: open_registry(tmp_path, name), lambda: parse_ref("4", name)):
        with pytest.raises(UsageError, match=re.escape(f"{name!r} {words}")):
            call()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("alias", BAD_ALIASES)
def test_an_alias_that_reads_as_a_version_or_as_no_word_is_refused(registry, alias):
    publish(registry)
    for call in (lambda: check_alias(alias), lambda: set_alias(registry, alias, 1), lambda: roll_back(registry, alias)):
        with pytest.raises(UsageError, match=re.escape(f"{alias!r} can't be an alias; expected letters, digits and _")):
            call()
    assert 1 == len(registry.events())


@pytest.mark.parametrize("alias", ["champion", "challenger", "on_trial", "A", "_", "v", "v1b", "latest_2", "x" * 200])
def test_people_may_choose_other_aliases(registry, alias):
    publish(registry)
    set_alias(registry, alias, 1)
    assert 1 == registry.resolve(parse_ref(f"@{alias}"))[0].number


# Versions


def test_versions_are_counted_from_one_and_read_as_they_were_published(registry, root):
    numbers = [publish(registry, f"graph {turn}".encode(), seed=turn) for turn in range(3)]

    assert [1, 2, 3] == numbers
    for number in numbers:
        version, bundle = ModelRegistry(LocalStore(root)).resolve(Ref("game-earnings", version=number))
        assert (number, number - 1) == (version.number, bundle.manifest["seed"])
        assert f"graph {number - 1}".encode() == bundle.read("scorer.onnx")


def test_models_do_not_share_versions_or_aliases(registry, root):
    other = ModelRegistry(LocalStore(root), "other")
    assert [1, 2, 1] == [publish(registry), publish(registry), publish(other)]
    set_alias(registry, "champion", 2)

    with pytest.raises(NothingPromotedError, match="no version of other is champion"):
        other.resolve(parse_ref("@champion", "other"))
    assert 2 == registry.resolve(parse_ref("@champion"))[0].number


def test_a_version_that_is_not_there_is_told_with_the_newest_one(registry, root):
    publish(registry)
    words = f"^no version 7 of game-earnings in {root}/; newest is 1$"
    with pytest.raises(UnknownVersionError, match=words) as error:
        registry.resolve(parse_ref("7"))
    assert (4, "List what there is: gamesales versions") == (error.value.exit_code, error.value.hint)


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.resolve(parse_ref("1")),
        lambda registry: registry.resolve(parse_ref("@champion")),
        lambda registry: registry.verify(),
        lambda registry: set_alias(registry, "champion", 1),
        roll_back,
        lambda registry: registry.record_evaluation(1, EVALUATION, ""),
    ],
    ids=["version", "alias", "verify", "promote", "rollback", "evaluate"],
)
def test_an_empty_registry_says_how_to_train_a_version_and_stays_empty(registry, root, ask):
    with pytest.raises(UnknownVersionError, match=f"^no model game-earnings in {root}/$") as unknown:
        ask(registry)
    assert "Train one: gamesales train; or give --registry PATH" == unknown.value.hint
    assert not root.exists()


def test_nothing_promoted_is_an_error_that_says_what_to_type(registry):
    publish(registry)
    publish(registry)
    for alias, option in (("champion", ""), ("challenger", " --alias challenger")):
        with pytest.raises(NothingPromotedError, match=f"no version of game-earnings is {alias} in ") as nothing:
            registry.resolve(Ref("game-earnings", alias=alias))
        assert nothing.value.message.endswith("; newest is 2")
        assert f"Promote one: gamesales promote 2{option}" == nothing.value.hint


def test_an_evaluation_is_bound_to_the_digest_of_its_version(registry):
    publish(registry)
    event = registry.record_evaluation(1, EVALUATION, "after training")

    assert registry.find_version(1).digest == event.body["digest"]
    evaluation = registry.find_version(1).evaluations[0]
    assert EVALUATION == {key: getattr(evaluation, key) for key in EVALUATION}
    assert event.time == evaluation.time


def test_verify_counts_events_and_files_and_names_the_file_that_is_wrong(registry, root):
    publish(registry, b"a graph")
    publish(registry, b"another graph")
    assert (2, 4) == registry.verify()
    assert (2, 2) == registry.verify(parse_ref("1"))

    damaged = root / registry.find_version(2).folder / "scorer.onnx"
    damaged.write_bytes(b"Another graph")
    with pytest.raises(IntegrityError, match=f"{damaged} was changed: expected sha256"):
        registry.verify()
    assert (2, 2) == registry.verify(parse_ref("1")), "the other version is sound"


def test_every_byte_of_a_registry_is_verified(registry, root):
    """Whatever file is damaged, verify names it: there is none that nobody looks at."""
    publish(registry)
    registry.record_evaluation(1, EVALUATION, "")
    set_alias(registry, "champion", 1)
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for place in range(0, len(whole), 7):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(IntegrityError, match=f"{path} was changed"):
                registry.verify()
        path.write_bytes(whole)
    assert (3, 2) == registry.verify()


def test_a_models_folder_under_another_name_is_refused(registry, root):
    """Its log would let the versions of one model score the titles of another."""
    publish(registry)
    shutil.copytree(root / "game-earnings", root / "other")
    with pytest.raises(IntegrityError, match="holds a version of game-earnings; expected one of other"):
        ModelRegistry(LocalStore(root), "other").resolve(parse_ref("1", "other"))


@pytest.mark.parametrize("folder", ["../../etc", "/etc", "game-earnings/bundles/../log", "", "."])
def test_an_event_that_names_a_folder_outside_is_refused(registry, root, folder):
    publish(registry)
    planted = {"version": 2, "folder": folder, "digest": "0" * 64}
    EventLog(LocalStore(root), "game-earnings").append(log.VERSION_REGISTERED, "", lambda events: planted)
    with pytest.raises(IntegrityError, match="is not a key"):
        registry.resolve(parse_ref("2"))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("version.promoted", {}),
        (log.VERSION_REGISTERED, {"version": 2}),
        (log.VERSION_REGISTERED, {"version": "2", "folder": "a", "digest": "0" * 64}),
        (log.VERSION_REGISTERED, {"version": 2, "folder": ["a"], "digest": "0" * 64}),
        (log.VERSION_REGISTERED, {"version": 3, "folder": "a", "digest": "0" * 64}),
        (log.VERSION_REGISTERED, {"version": 1, "folder": "a", "digest": "0" * 64}),
        (log.ALIAS_SET, {"alias": "champion", "version": True, "rollback": False}),
        (log.ALIAS_SET, {"alias": 5, "version": 1, "rollback": False}),
        (log.ALIAS_SET, {"alias": "champion", "version": 9, "rollback": False}),
        (log.ALIAS_SET, {"alias": "champion", "version": 1, "rollback": True}),
        (log.EVALUATION_RECORDED, {**EVALUATION, "version": 9}),
        (log.EVALUATION_RECORDED, {**EVALUATION, "version": 1, "rows": "many"}),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:60],
)
def test_an_event_that_this_release_cannot_apply_stops_it(registry, root, kind, body):
    """What a later release means by it must not be guessed: the champion might be another one by now."""
    publish(registry)
    EventLog(LocalStore(root), "game-earnings").append(kind, "", lambda events: body)
    words = rf"event 2 \({kind}\) is not one that this release understands"
    with pytest.raises(IntegrityError, match=words) as refusal:
        registry.state()
    assert "Upgrade gamesales" == refusal.value.hint


# Aliases


def test_an_alias_that_names_the_version_already_is_not_set_again(registry):
    publish(registry)
    assert 2 == set_alias(registry, "champion", 1).sequence
    assert set_alias(registry, "champion", 1) is None
    assert 2 == len(registry.events())


def test_rolling_back_goes_one_further_back_each_time(registry):
    for number in (1, 2, 3):
        publish(registry)
        set_alias(registry, "champion", number)

    moves = [roll_back(registry).body for _ in range(2)]
    assert [(3, 2), (2, 1)] == [(move["previous_version"], move["version"]) for move in moves]
    words = "no version of game-earnings was champion before version 1; there is nothing to roll back to"
    with pytest.raises(NothingPromotedError, match=words) as nothing:
        roll_back(registry)
    assert "Promote another version: gamesales promote N --alias champion" == nothing.value.hint


def test_a_rollback_after_a_rollback_and_a_promotion_goes_to_what_was_live_before(registry):
    """1, 2, back to 1, 3, back: to 1, and never to the 2 that was taken away."""
    for _ in range(3):
        publish(registry)
    set_alias(registry, "champion", 1)
    set_alias(registry, "champion", 2)
    roll_back(registry)
    set_alias(registry, "champion", 3)

    assert 1 == roll_back(registry).body["version"]


def test_a_judge_that_lost_the_race_judges_again_what_it_would_replace(registry, root):
    """Somebody promotes version 2 while version 3 is judged: the evidence must speak of version 2."""
    judged = []

    def judge(state, version):
        if not judged:
            set_alias(ModelRegistry(LocalStore(root)), "champion", 2)
        judged.append(state.aliased("champion"))
        return UNFORCED

    for _ in range(3):
        publish(registry)
    set_alias(registry, "champion", 1)
    event = registry.set_alias("champion", 3, "", judge)

    assert [1, 2] == judged
    assert 2 == event.body["previous_version"]
    assert [1, 2, 3] == registry.state().aliases["champion"]


def test_of_two_that_promote_the_same_version_one_writes(registry, root):
    def judge(state, version):
        set_alias(ModelRegistry(LocalStore(root)), "champion", 1)
        return UNFORCED

    publish(registry)
    assert registry.set_alias("champion", 1, "", judge) is None
    assert 2 == len(registry.events())


# As of a moment


def test_the_state_as_of_an_event_counts_it_and_none_that_came_later(registry):
    for number in (1, 2):
        publish(registry)
        set_alias(registry, "champion", number)
    roll_back(registry)

    states = [registry.state(event.time) for event in registry.events()]
    assert [1, 1, 2, 2, 2] == [state.newest for state in states]
    assert [None, 1, 1, 2, 1] == [state.aliased("champion") for state in states]
    assert registry.state("9999-12-31T23:59:59.999999Z").aliases == registry.state().aliases


def test_a_reference_resolves_as_it_did_at_the_time(registry):
    for number in (1, 2):
        publish(registry)
        set_alias(registry, "champion", number)
    times = [event.time for event in registry.events() if event.kind == log.ALIAS_SET]

    assert [1, 2] == [registry.resolve(parse_ref("@champion"), time)[0].number for time in times]
    with pytest.raises(UnknownVersionError, match=f"^no version 2 of .* as of {times[0]}; newest is 1$"):
        registry.resolve(parse_ref("2"), times[0])


def test_nothing_promoted_at_the_time_is_an_error_that_names_the_time(registry, root):
    publish(registry)
    time = registry.events()[-1].time
    set_alias(registry, "champion", 1)

    words = f"^no version of game-earnings is champion in {root}/ as of {time}; newest is 1$"
    with pytest.raises(NothingPromotedError, match=words) as nothing:
        registry.resolve(parse_ref("@champion"), time)
    assert "See what happened when: gamesales history" == nothing.value.hint
    with pytest.raises(UnknownVersionError, match=r"^no model game-earnings in .* as of 2000-01-01T00:00:00\.000000Z$"):
        registry.resolve(parse_ref("@champion"), "2000-01-01T00:00:00.000000Z")


def test_where_clocks_disagree_a_past_state_is_one_that_the_log_once_had(registry):
    """A fast clock registered version 1, a slow one promoted it: before the first, nothing can have been promoted."""
    publish(registry)
    set_alias(registry, "champion", 1)
    registered, promoted = registry.events()
    fast = dataclasses.replace(registered, time="2030-01-01T00:00:00.000000Z")

    assert {} == replay([fast, promoted], promoted.time).aliases
    assert {"champion": [1]} == replay([fast, promoted], fast.time).aliases


@pytest.mark.parametrize(
    "time",
    ["", "yesterday", "2026-11-24", "2026-11-24T02:00:00Z", "2026-11-24T02:00:00.1Z", "2026-11-24T02:00:00.000000"],
)
def test_a_time_that_the_log_would_write_otherwise_is_refused(registry, time):
    """As text it would compare wrongly."""
    publish(registry)
    with pytest.raises(UsageError, match=f"^{time!r} is no time of the log; expected one such as 2026-11-24T02:00:00"):
        registry.state(time)


# Many at once, and the killed


def check_published_by_many(root, processes, turns):
    names = [f"writer-{number}" for number in range(processes)]
    outputs = race(PUBLISHER, [[root, name, turns] for name in names])
    registry = ModelRegistry(LocalStore(root))

    given_out = {int(number): name for name, output in zip(names, outputs, strict=True) for number in output.split()}
    assert list(range(1, processes * turns + 1)) == sorted(given_out)
    published = {number: registry.bundle(version) for number, version in registry.state().versions.items()}
    assert given_out == {number: bundle.manifest["who"] for number, bundle in published.items()}
    for bundle in published.values():
        expected = f"{bundle.manifest['who']} {bundle.manifest['turn']}"
        assert expected.encode() == bundle.read("scorer.onnx")
    assert (processes * turns, 2 * processes * turns) == registry.verify()


def test_processes_that_publish_at_once_get_different_numbers_without_a_gap(root):
    check_published_by_many(root, 8, 5)


@pytest.mark.slow
def test_sixteen_processes_publish_hundreds_of_versions(root):
    check_published_by_many(root, 16, 25)


@pytest.mark.parametrize("versions", [0, 1])
def test_a_publisher_killed_anywhere_leaves_no_version_or_a_whole_one(tmp_path, versions):
    """SIGKILL at each call that touches the disk, in a real process; then the next publish works without repair."""
    (tmp_path / "before").mkdir()
    before = ModelRegistry(LocalStore(tmp_path / "before"))
    for number in range(1, versions + 1):
        publish(before)
        set_alias(before, "champion", number)
    arguments = [str(tmp_path), json.dumps(EVALUATION), json.dumps(UNFORCED)]
    command = [sys.executable, "-c", KILLED, *arguments]
    swept = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == swept.returncode, swept.stderr
    points = int(swept.stdout)

    story = [log.VERSION_REGISTERED, log.EVALUATION_RECORDED, log.ALIAS_SET]
    told = []
    for point in range(1, points + 1):
        registry = ModelRegistry(LocalStore(tmp_path / str(point)))
        new = registry.events()[2 * versions :]
        told.append(len(new))
        assert story[: len(new)] == [event.kind for event in new]
        state = registry.state()
        assert versions + bool(new) == state.newest
        assert (versions + (len(new) == 3) or None) == state.aliased("champion")

        assert state.newest + 1 == publish(registry, b"the next one")
        files = 2 * versions + 3 * bool(new) + 2
        assert (2 * versions + len(new) + 1, files) == registry.verify()
    assert sorted(told) == told, "a later kill never leaves less"
    assert {0, 1, 2, 3} == set(told)
    assert points > 60, "hardly a call was seen: is the sweep still looking in the right place?"


# A registry that may only be read


def test_a_registry_without_the_right_to_write_can_be_read_and_scored_from(simple_registry, tmp_path):
    root = tmp_path / "registry"
    before = contents(root)
    for folder, _, names in os.walk(root):
        for name in names:
            (Path(folder) / name).chmod(0o444)
        Path(folder).chmod(0o555)

    def run(*arguments):
        command = [sys.executable, "-c", WITHOUT_PRIVILEGES, *map(str, arguments), "--registry", str(root)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)

    try:
        refused = run("promote", "1", "--alias", "challenger")
        if "can't drop the right" in refused.stderr:
            pytest.skip("root passes over permissions here, and can't give that right up")
        assert 7 == refused.returncode
        assert re.search(r"error: .*registry/game-earnings/log/\d+\.json: Permission denied", refused.stderr)

        title = [f"{name}=1" for name in ("is_action", "is_exclusive_to_us", "is_portable", "is_role_playing")]
        title += ["critic_rating=4.5", "is_sequel=0", "is_sports=0", "suitable_for_kids=0", "unit_price=60"]
        scored = run("predict", *title)
        assert (0, "") == (scored.returncode, scored.stderr)
        assert "6,100.00" in scored.stdout
        for command in (["verify"], ["show", "@champion"]):
            assert (0, "") == (run(*command).returncode, "")
    finally:
        for folder, _, _ in os.walk(root):
            Path(folder).chmod(0o755)
    assert before == contents(root)


def test_reading_writes_nothing(simple_registry, tmp_path):
    before = contents(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    load(simple_registry, parse_ref("@champion")).self_test()
    simple_registry.verify()
    assert before == contents(tmp_path)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


# A registry that an earlier release wrote


def test_a_frozen_registry_is_sound():
    registry = open_registry(FROZEN, "game-earnings")

    assert (10, 9) == registry.verify()
    # The last event names the one before it, and so on; the events name the manifests, and these the files.
    assert "1f8eaf4ff2d549ddd8c999ffcca619c246d2e6c4ea783b520f81eeceab0a0b3f" == registry.events()[-1].digest


def test_a_frozen_registry_resolves():
    registry = open_registry(FROZEN, "game-earnings")
    refs = ["1", "game-earnings/2", "3", "@champion", "game-earnings@champion", "@challenger"]

    assert [1, 2, 3, 2, 2, 3] == [registry.resolve(parse_ref(ref))[0].number for ref in refs]
    assert {"champion": [1, 2], "challenger": [3]} == registry.state().aliases


def test_a_frozen_registry_tells_its_story():
    events = open_registry(FROZEN, "game-earnings").events()

    assert {"ada"} == {event.actor for event in events}
    assert "better on sequels – größer, 大きい 🎮" == events[3].reason
    assert [False, False, True, False, False] == [
        event.body["evidence"]["forced"] for event in events if event.kind == log.ALIAS_SET
    ]
    assert [1, 1, 0] == [len(version.evaluations) for version in replay(events).versions.values()]


@pytest.mark.parametrize(("number", "golden"), [(1, [5700, 4600]), (2, [5950, 4850]), (3, [6200, 5100])])
def test_a_frozen_version_scores_to_the_recorded_dollars(number, golden):
    version = load(open_registry(FROZEN, "game-earnings"), Ref("game-earnings", version=number))

    version.self_test()
    assert golden == version.golden.earnings.tolist()
    assert golden == version.scorer.score(version.golden.values).tolist()
    values = title_values(1_500)
    assert np.array_equal(simple_earnings(values, bias=250 * (number - 1)), version.scorer.score(values))


def test_work_goes_on_in_a_frozen_registry(frozen):
    """The log that an earlier release began is continued, and rollback knows what it promoted."""
    assert 4 == publish(frozen, b"a graph of today")
    set_alias(frozen, "champion", 4)

    assert [2, 1] == [roll_back(frozen).body["version"] for _ in range(2)]
    assert (14, 11) == frozen.verify()


def test_damage_to_any_file_of_a_frozen_registry_is_named(frozen, tmp_path):
    for path in sorted(path for path in (tmp_path / "frozen/game-earnings").rglob("*") if path.is_file()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 4]) + whole[-4:])
        with pytest.raises(RegistryError, match=f"{path} was changed"):
            frozen.verify()
        path.write_bytes(whole)
    assert (10, 9) == frozen.verify()


FROZEN_2 = FROZEN.with_name("registry-2")


def test_a_frozen_registry_with_a_checkpoint_is_sound_and_tells_its_story():
    registry = open_registry(FROZEN_2, "game-earnings")
    kinds = [event.kind for event in registry.events()]

    assert (66, 4) == registry.verify()
    assert ["alias.set", "alias.deleted", "version.retired"] == [kind for kind in kinds if "evalu" not in kind][-3:]
    assert {"champion": [1, 2]} == registry.state().aliases == replay(registry.events()).aliases
    compared = [event.body["evidence"] for event in registry.events() if event.kind == log.ALIAS_SET][1]
    assert not compared["forced"]
    assert all(finding["holds"] for finding in compared["findings"])
    with pytest.raises(UnknownVersionError, match=r"version 3 of game-earnings was retired .*: worse on sequels"):
        registry.resolve(parse_ref("3"))


@pytest.mark.parametrize("number", [1, 2])
def test_a_frozen_version_with_intervals_scores_to_the_recorded_bounds(number):
    version = load(open_registry(FROZEN_2, "game-earnings"), Ref("game-earnings", version=number))

    version.self_test()
    assert simple_earnings(version.golden.values, bias=10 * number).tolist() == version.golden.earnings.tolist()
    assert (number == 2) == (version.interval is not None) == (version.golden.bounds is not None)
    if number == 2:
        assert version.golden.bounds.tolist() == [[4605, 3527], [6835, 5713]]


def test_work_goes_on_behind_a_frozen_checkpoint(tmp_path):
    shutil.copytree(FROZEN_2, tmp_path / "registry")
    registry = open_registry(tmp_path / "registry", "game-earnings")
    assert 4 == publish(registry, b"a graph of today")
    set_alias(registry, "champion", 4)
    assert 2 == roll_back(registry).body["version"]
    registry.verify()
