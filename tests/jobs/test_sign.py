"""Signatures and the policy: who may promote, and what can't be replayed, forged or raced past."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gamesales.errors import IntegrityError, NotApprovedError, UsageError
from gamesales.jobs.promote import promote, roll_back
from gamesales.jobs.sign import set_policy, show_policy, sign_policy, sign_promotion, sign_use
from gamesales.registry.event import ALIAS_SET, POLICY_SET, SIGNATURE_RECORDED
from gamesales.registry.log import EventLog
from gamesales.registry.policy import check_approvals
from gamesales.registry.refs import Ref
from gamesales.storage.store import LocalStore
from support.racing import race
from support.signing import write_keys, write_policy
from support.versions import DATA, ROOT, publish_promoted, publish_simple

MODEL = "game-earnings"
FIRST, SECOND, THIRD = (Ref(MODEL, version=number) for number in (1, 2, 3))
TITLES = str(DATA / "new_titles.csv")

# Approves and promotes versions in turn, as one person. The policy may require more meanwhile.
PROMOTER = """
from pathlib import Path
from gamesales.errors import NotApprovedError
from gamesales.jobs.loading import open_registry
from gamesales.jobs.sign import sign_promotion
from gamesales.registry.refs import Ref
root, key, alias = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
registry = open_registry(root, "game-earnings")
wait_for_start()
for turn in range(6):
    sign_promotion(registry, Ref("game-earnings", version=1 + turn % 2), alias, key, "race")
    try:
        registry.set_alias(alias, 1 + turn % 2, "race", lambda state, version: {})
    except NotApprovedError:
        print("refused")
for turn in range(100):  # every policy accepts both approvals, if no other process sets the alias in between
    for signer in (key, key.with_name("bob.pem")):
        sign_promotion(registry, Ref("game-earnings", version=1), alias, signer, "race")
    try:
        registry.set_alias(alias, 1, "race", lambda state, version: {})
        break
    except NotApprovedError:
        print("refused")
"""
# Changes the policy back and forth; each change needs the approvals of the standing policy.
CHANGER = """
from pathlib import Path
from gamesales.errors import NotApprovedError
from gamesales.jobs.loading import open_registry
from gamesales.jobs.sign import set_policy, sign_policy
root, folder, policies = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
registry = open_registry(root, "game-earnings")
wait_for_start()
for turn in range(4):
    path = Path(policies[turn % len(policies)])
    try:
        for name in ("alice", "bob"):
            sign_policy(registry, path, folder / f"{name}.pem", "race")
        set_policy(registry, path, "race")
    except NotApprovedError:
        print("refused")
"""


@pytest.fixture
def keys(tmp_path):
    """The folder with the keys of alice, bob and carol."""
    return write_keys(tmp_path / "keys")


@pytest.fixture
def registry(tmp_path):
    """A registry with three versions; the first is the champion."""
    registry = publish_promoted(tmp_path)
    for bias in (1.0, 2.0):
        publish_simple(registry, bias)
    return registry


@pytest.fixture
def guarded(registry, keys):
    """The registry, with a policy that requires both alice and bob."""
    set_policy(registry, write_policy(keys, 2, "alice", "bob"), "a policy")
    return registry


def sign(registry, ref, keys, *names, alias="champion"):
    for name in names:
        sign_promotion(registry, ref, alias, keys / f"{name}.pem", "for a test")


def append(registry, kind, body):
    """Append an event as a program could that knows the format but not the policy."""
    return EventLog(LocalStore(registry.location), MODEL).append(kind, "by hand", lambda events: body)


def test_promotion_needs_every_approval(guarded, keys):
    """A promotion is refused until two different people have signed it, and the log names their signatures."""
    with pytest.raises(NotApprovedError, match="has 0 of 2 approvals; expected signatures by 2 of alice, bob"):
        promote(guarded, SECOND)
    sign(guarded, SECOND, keys, "alice")
    with pytest.raises(NotApprovedError, match=r"has 1 of 2 approvals \(alice\)"):
        promote(guarded, SECOND, force=True, reason="the gate is not the policy")
    sign(guarded, SECOND, keys, "bob")
    assert promote(guarded, SECOND).changed
    events = guarded.read_events()
    assert [event.digest for event in events if event.kind == SIGNATURE_RECORDED] == events[-1].body["approvals"]
    guarded.verify()


def test_second_signature_of_a_key_is_not_counted(guarded, keys):
    """A key that signs twice is one approval, also if the second signature is written by hand."""
    sign(guarded, SECOND, keys, "alice")
    assert not sign_promotion(guarded, SECOND, "champion", keys / "alice.pem", "").changed
    append(guarded, SIGNATURE_RECORDED, guarded.read_events()[-1].body)
    with pytest.raises(
        NotApprovedError, match=r"1 of 2 approvals .*by alice in event 10 is by a key that has approved"
    ):
        promote(guarded, SECOND)


@pytest.mark.parametrize(
    ("ref", "alias", "name", "reason"),
    [
        (THIRD, "champion", "bob", r"by bob in event 10 is for version 3"),
        (SECOND, "challenger", "bob", r"by bob in event 10 is for @challenger"),
        (SECOND, "champion", "carol", r"by the key [0-9a-f]{12} in event 10 is by a key that is not expected"),
    ],
)
def test_other_signature_is_not_counted(guarded, keys, ref, alias, name, reason):
    """A signature for another version or alias, or by another key, is refused by name."""
    sign(guarded, SECOND, keys, "alice")
    sign(guarded, ref, keys, name, alias=alias)
    with pytest.raises(NotApprovedError, match=rf"1 of 2 approvals .*{reason}"):
        promote(guarded, SECOND)


def test_replayed_signature_is_not_counted(guarded, keys):
    """A signature that is copied to another version, or in which a byte was flipped, does not match."""
    sign(guarded, SECOND, keys, "alice", "bob")
    alice, bob = (event.body for event in guarded.read_events()[-2:])
    sign(guarded, THIRD, keys, "alice")
    third = guarded.read_events()[-1].body
    replayed = {key: third[key] for key in ("version", "digest", "statement_sha256")}
    append(guarded, SIGNATURE_RECORDED, {**bob, **replayed})
    with pytest.raises(NotApprovedError, match="by bob in event 12 does not match: the signature or its statement"):
        promote(guarded, THIRD)
    envelope = bob["signature"]["dsseEnvelope"]
    text = envelope["signatures"][0]["sig"]
    flipped = f"{text[:20]}{'A' if text[20] != 'A' else 'B'}{text[21:]}"
    signature = {**bob["signature"], "dsseEnvelope": {**envelope, "signatures": [{"sig": flipped, "keyid": ""}]}}
    sign(guarded, THIRD, keys, "carol")
    append(guarded, SIGNATURE_RECORDED, {**bob, **replayed, "signature": signature})
    with pytest.raises(NotApprovedError, match="by bob in event 14 does not match"):
        promote(guarded, THIRD)
    assert alice["key"] != bob["key"]


def test_signature_of_other_files_is_not_counted(guarded, keys, tmp_path):
    """A signature by the same key of a folder that is not a statement does not approve, whatever it ignores."""
    from model_signing import hashing, signing

    sign(guarded, SECOND, keys, "alice", "bob")
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "statement.json").write_text("{}")
    ignoring = hashing.Config().set_ignored_paths(paths=["statement.json"])
    config = signing.Config().set_hashing_config(ignoring).use_elliptic_key_signer(private_key=keys / "bob.pem")
    config.sign(folder, tmp_path / "other.sig")
    body = guarded.read_events()[-1].body
    sign(guarded, THIRD, keys, "alice")
    third = guarded.read_events()[-1].body
    signature = json.loads((tmp_path / "other.sig").read_text())
    replayed = {key: third[key] for key in ("version", "digest", "statement_sha256")}
    append(guarded, SIGNATURE_RECORDED, {**body, **replayed, "signature": signature})
    with pytest.raises(NotApprovedError, match="by bob in event 12 does not match"):
        promote(guarded, THIRD)


def test_approval_holds_once(guarded, keys):
    """Approvals of a promotion do not hold again after a rollback, and a rollback needs its own."""
    sign(guarded, SECOND, keys, "alice", "bob")
    promote(guarded, SECOND)
    with pytest.raises(NotApprovedError, match="promotion of version 1 to @champion has 0 of 2"):
        roll_back(guarded)
    sign(guarded, FIRST, keys, "alice", "bob")
    roll_back(guarded)
    with pytest.raises(NotApprovedError, match="was for an earlier change, and does not hold again"):
        promote(guarded, SECOND)
    guarded.verify()


def test_policy_changes_by_its_own_approvals(guarded, keys):
    """A policy is replaced, or removed, only with the approvals that it requires itself."""
    open_to_carol = write_policy(keys, 1, "carol")
    sign_policy(guarded, open_to_carol, keys / "carol.pem", "")
    with pytest.raises(NotApprovedError, match=r"the policy [0-9a-f]{12} of game-earnings has 0 of 2 approvals"):
        set_policy(guarded, open_to_carol, "")
    for name in ("alice", "bob"):
        sign_policy(guarded, open_to_carol, keys / f"{name}.pem", "")
    assert set_policy(guarded, open_to_carol, "").changed
    assert not set_policy(guarded, open_to_carol, "").changed
    assert (1, ["carol"]) == (show_policy(guarded).approvals, list(show_policy(guarded).keys))
    sign(guarded, SECOND, keys, "carol")
    promote(guarded, SECOND)
    nothing = write_policy(keys, 0)
    sign_policy(guarded, nothing, keys / "carol.pem", "")
    set_policy(guarded, nothing, "")
    assert 0 == show_policy(guarded).approvals
    promote(guarded, THIRD)
    guarded.verify()


def test_unapproved_event_is_found(guarded):
    """An event that another program wrote past the policy is found by verify."""
    body = {"alias": "champion", "version": 2, "digest": guarded.find_version(2).digest, "rollback": False}
    append(guarded, ALIAS_SET, {**body, "previous_version": 1, "evidence": {}})
    with pytest.raises(IntegrityError, match=r"event 9 \(alias\.set\) lacks approvals"):
        guarded.verify()


@pytest.mark.slow
def test_race_never_passes_the_policy(registry, keys):
    """Eight processes promote and change the policy at once, and every event has the approvals that it needed."""
    policies = [
        write_policy(keys, 1, "alice"),
        write_policy(keys, 2, "alice", "bob"),
        write_policy(keys, 1, "alice", "bob"),
    ]
    set_policy(registry, policies[0], "")
    promoters = [[registry.location, keys / "alice.pem", f"alias_{number % 2}"] for number in range(4)]
    changers = [[registry.location, keys, *policies[number % 3 :], *policies[: number % 3]] for number in range(4)]
    scripts = (
        "if sys.argv[1] == 'promote':\n    del sys.argv[1]\n"
        + _indent(PROMOTER)
        + "else:\n    del sys.argv[1]\n"
        + _indent(CHANGER)
    )
    race(scripts, [["promote", *one] for one in promoters] + [["change", *one] for one in changers])
    events = registry.read_events()
    check_approvals(MODEL, events)
    kinds = [event.kind for event in events]
    assert kinds.count(ALIAS_SET) > 2
    assert kinds.count(POLICY_SET) > 2


def _indent(script):
    return "".join(f"    {line}\n" for line in script.strip().splitlines())


def test_scoring_host_pins_a_key(registry, keys, cli):
    """A scoring host accepts only what its key has signed: the promotion of the champion, or the use of a version."""
    command = ["score", TITLES, "--output", "result.csv", "--registry", registry.location]
    pinned = [*command, "--require-signature", keys / "alice.pub"]
    ran = cli(*pinned)
    assert (5, True) == (ran.code, "promotion of version 1 to @champion has no approval" in ran.err)
    sign(registry, SECOND, keys, "alice")
    cli("promote", "2", "--registry", registry.location, "--require-signature", keys / "alice.pub")
    assert 0 == cli(*pinned).code
    assert 5 == cli(*command, "--require-signature", keys / "bob.pub").code
    assert 5 == cli(*pinned, "--model", "3").code
    sign_use(registry, THIRD, keys / "alice.pem", "")
    assert 0 == cli(*pinned, "--model", "3").code
    ran = cli("promote", "3", "--registry", registry.location, "--require-signature", keys / "alice.pub")
    assert (5, True) == (ran.code, "is for another purpose, use" in ran.err)


def test_unusable_key_is_refused(registry, keys, tmp_path):
    """A key that can't be used, and a policy that nobody could meet, are refused with what is wrong."""
    with pytest.raises(UsageError, match=r"alice\.pub can't sign"):
        sign_promotion(registry, FIRST, "champion", keys / "alice.pub", "")
    for text, words in [
        ('approvals = 3\n[keys]\nalice = "alice.pub"', "expects a number from 1 to the number of keys, 1, found 3"),
        ('approvals = 1\n[keys]\na = "alice.pub"\nb = "alice.pub"', "two names have the same key"),
        ('approvals = 1\n[keys]\na = "alice.pem"', "is not a public key on the curve"),
        ('approvals = 1\n[keys]\na = "none.pub"', "none.pub: No such file"),
        ("approves = 1", "expects approvals = N"),
    ]:
        (keys / "policy.toml").write_text(text)
        with pytest.raises(UsageError, match=words):
            set_policy(registry, keys / "policy.toml", "")
    assert not any(event.kind == POLICY_SET for event in registry.read_events())


def test_sign_commands(registry, keys, cli):
    """The commands sign and policy print what was signed and what the policy requires; history lists both."""
    place = ["--registry", registry.location]
    assert "anybody who can write there may promote" in cli("policy", "show", *place).out
    policy = write_policy(keys, 2, "alice", "bob")
    assert "needs approvals by 2 of 2 keys" in cli("policy", "set", policy, *place).out
    ran = cli("sign", "2", "--key", keys / "alice.pem", *place)
    assert "signed the promotion of version 2 to @champion" in ran.out
    ran = cli("promote", "2", *place)
    assert (5, True) == (ran.code, "gamesales sign 2 --alias champion --key PRIVATE_KEY" in ran.err)
    ran = cli("policy", "sign", policy, "--key", keys / "bob.pem", *place, "--json")
    assert "policy" == ran.document["purpose"]
    history = cli("history", *place).out
    assert "signed version 2 for @champion with the key" in history
    assert "policy set: 2 of 2 keys must approve" in history


@pytest.mark.slow
def test_earlier_release_refuses_the_log(guarded, tmp_path):
    """The release before signatures refuses a log with a policy, and names the release that reads it."""
    find = ["git", "log", "--reverse", "--format=%H", "-S", "needs_release", "--", "gamesales/registry/index.py"]
    found = subprocess.run(find, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not found:
        pytest.skip("needs the history of the repository")
    archive = subprocess.run(
        ["git", "archive", found[0], "gamesales"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", tmp_path], input=archive, check=True)
    for command in (["versions"], ["promote", "2"], ["score", TITLES, "--output", "o.csv"]):
        ran = subprocess.run(
            [sys.executable, "-m", "gamesales", *command, "--registry", guarded.location],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        )
        assert 4 == ran.returncode, ran.stderr
        assert "Upgrade gamesales to 0.2.0 or later" in ran.stderr
    assert not Path(tmp_path / "o.csv").exists()
