"""Promotion, rollback, and the commands that list and check versions."""

import json
import re
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gamesales.data.contract import Contract
from gamesales.errors import GateRefusedError, NothingPromotedError
from gamesales.jobs import versions as listing
from gamesales.jobs.history import list_events
from gamesales.jobs.loading import load, open_registry
from gamesales.jobs.promote import promote, roll_back
from gamesales.old_keys import add_old_keys
from gamesales.registry.log import EventLog
from gamesales.registry.refs import Ref, parse_ref
from gamesales.storage.store import LocalStore
from support.runs import read_failure, snapshot
from support.sampling import many
from support.versions import (
    DATA,
    HOLDOUT,
    HOLDOUT_SHA256,
    publish_simple,
    simple_details,
    simple_earnings,
    simple_graph,
    titles_table,
)

EVALUATION = {"data": "test.csv", "data_sha256": HOLDOUT_SHA256, "rows": 400, "metrics": {"mae": 1000.0}}


@pytest.fixture
def registry(tmp_path):
    """An empty registry at the default path of the command line."""
    return open_registry(tmp_path / "registry", "game-earnings")


@pytest.fixture
def three(registry):
    """A registry with three evaluated versions, none promoted."""
    for bias in (0.0, 250.0, 500.0):
        publish_simple(registry, bias)
    return registry


def publish_unsound(registry):
    """Publish a version whose golden rows expect other earnings than its graph predicts."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"), bias=1.0)
    return registry.publish({"scorer.onnx": simple_graph(bias=0.0)}, details, "for a test")


def champion(registry):
    return registry.read_state().target_of("champion")


def damage(registry, number, file="scorer.onnx"):
    """Flip a bit of a version's file. Return its path, as messages have it."""
    path = Path(f"registry/{registry.find_version(number).folder}/{file}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


# promote


def test_promote_prints_both_versions(cli, three):
    """The output names the new champion and the version before it."""
    first, second = cli("promote", "1"), cli("promote", "game-earnings/2", "--reason", "better on sequels")

    assert (0, "game-earnings@champion is now version 1 (was unset)\n") == (first.code, first.out)
    assert (0, "game-earnings@champion is now version 2 (was 1)") == (second.code, second.out.splitlines()[-1])
    assert "better on sequels" == three.read_events()[-1].reason
    assert 2 == champion(three)


def test_promote_json_has_evidence(cli, three):
    """The document holds the evidence that the log records."""
    cli("promote", "1")
    ran = cli("promote", "2", "--reason", "better", "--json")

    assert (0, "") == (ran.code, ran.err)
    findings = ran.document["findings"]
    assert "an evaluation on the holdout is recorded" == findings[0]["condition"]
    assert re.fullmatch(r"test\.csv, 400 rows, recorded 20\S+Z", findings[0]["observation"])
    assert [True] * 3 == [finding["is_met"] for finding in findings]
    assert (1, 2, 400, True) == tuple(
        ran.document["comparison"][key] for key in ("champion", "candidate", "rows", "passes")
    )
    assert {
        "model": "game-earnings",
        "alias": "champion",
        "version": 2,
        "previous_version": 1,
        "changed": True,
        "dry_run": False,
        "forced": False,
        "findings": findings,
        "holdout": {"path": str(HOLDOUT), "sha256": HOLDOUT_SHA256},
        "comparison": ran.document["comparison"],
        "new_columns": [],
        "inputs": None,
        "warnings": [],
        "sequence": 8,
    } == ran.document
    keys = ("findings", "forced", "holdout", "comparison", "new_columns", "inputs", "warnings")
    evidence = {key: ran.document[key] for key in keys}
    assert evidence == add_old_keys(three.read_events()[-1].body["evidence"])


def test_promoted_version_scores(cli, three, tmp_path):
    """Predictions come from the version that was promoted last."""
    title = [f"{name}=0" for name in ("is_action", "is_exclusive_to_us", "is_portable", "is_role_playing", "is_sequel")]
    title += ["critic_rating=4", "is_sports=0", "suitable_for_kids=0", "unit_price=50"]
    for number, dollars in ((2, "4,750.00"), (3, "5,000.00"), (1, "4,500.00")):
        cli("promote", number)
        assert dollars in cli("predict", *title).out


def test_promote_by_other_alias(cli, three):
    """A version promoted to another alias can be promoted by that alias."""
    trial = cli("promote", "3", "--alias", "challenger")
    won = cli("promote", "@challenger", "--reason", "won its trial")

    assert "game-earnings@challenger is now version 3 (was unset)\n" == trial.out
    assert "game-earnings@champion is now version 3 (was unset)\n" == won.out
    assert {"challenger": [3], "champion": [3]} == three.read_state().read_alias_stacks()


def test_promote_model_in_ref(cli, tmp_path, registry):
    """A model in the reference or --name overrides the default model."""
    other = open_registry(tmp_path / "registry", "other")
    publish_simple(other)
    for ran in (cli("promote", "other/1"), cli("promote", "1", "--name", "other")):
        assert 0 == ran.code
    assert 1 == champion(other)
    assert [] == registry.read_events()


def test_promote_without_evaluation(cli, registry, tmp_path):
    """The gate refuses a version without an evaluation, and the hint gives the command."""
    publish_simple(registry, evaluated=False)
    before = snapshot(tmp_path)

    assert (
        5,
        "version 1 may not be promoted: expected that an evaluation on the holdout is recorded, but none is recorded",
        (
            f"Evaluate it: gamesales evaluate 1 --data {shlex.quote(str(HOLDOUT))}, "
            'or override: gamesales promote 1 --force --reason "…"'
        ),
    ) == read_failure(cli("promote", "1"))
    ran = cli("promote", "1", "--json")
    assert (5, "gate_refused") == (ran.code, ran.document["error"]["code"])
    assert {"code", "message", "hint", "evidence"} == set(ran.document["error"])
    assert [False, True] == [finding["is_met"] for finding in ran.document["error"]["evidence"]["findings"]]
    assert 5 == cli("promote", "1", "--dry-run").code
    assert before == snapshot(tmp_path)


def test_gate_guards_only_champion(cli, registry):
    """The gate is not asked for a challenger, because it does not score at night."""
    publish_simple(registry, evaluated=False)
    assert 0 == cli("promote", "1", "--alias", "challenger").code
    assert 5 == cli("promote", "@challenger").code


@pytest.mark.parametrize("reason", [[], ["--reason", ""], ["--reason", " \t\n"]])
def test_force_needs_reason(cli, registry, tmp_path, reason):
    """--force without a reason is a usage error and writes nothing."""
    publish_simple(registry, evaluated=False)
    before = snapshot(tmp_path)

    assert (2, "--force needs a reason", 'Add --reason "…"') == read_failure(cli("promote", "1", "--force", *reason))
    assert before == snapshot(tmp_path)


def test_force_is_recorded(cli, registry):
    """The log and the history say that a promotion was forced, and why."""
    publish_simple(registry)
    publish_simple(registry, 250.0, evaluated=False)
    cli("promote", "1")
    ran = cli("promote", "2", "--force", "--reason", "the store’s anniversary – größer, 大きい 🎮")
    cli("rollback")

    assert "game-earnings@champion is now version 2 (was 1) (forced)" == ran.out.splitlines()[-1]
    event = open_registry("registry", "game-earnings").read_events()[-2]
    assert "the store’s anniversary – größer, 大きい 🎮" == event.reason
    evidence = event.body["evidence"]
    assert (True, [False, True, True]) == (evidence["forced"], [finding["is_met"] for finding in evidence["findings"]])
    line = cli("history").out.splitlines()[2]
    assert "champion set to version 2 (was 1), forced past the gate  MAE $105,854, champion's $106,104; none" in line
    assert line.endswith("  the store’s anniversary – größer, 大きい 🎮")
    assert event.reason == cli("history", "--json").document["events"][1]["reason"]


def test_needless_force_is_not_recorded(cli, three):
    """A forced promotion that the gate accepts is not recorded as forced."""
    ran = cli("promote", "1", "--force", "--reason", "to be sure", "--json")
    assert (0, False) == (ran.code, ran.document["forced"])


def test_promote_dry_run(cli, three, tmp_path):
    """A dry run asks the gate and writes nothing."""
    cli("promote", "1")
    before = snapshot(tmp_path)
    text, document = cli("promote", "2", "--dry-run"), cli("promote", "2", "--dry-run", "--json").document

    words = "game-earnings@champion would become version 2 (was 1); nothing was changed"
    assert (0, words) == (text.code, text.out.splitlines()[-1])
    assert (2, 1, True, True) == tuple(document[key] for key in ("version", "previous_version", "changed", "dry_run"))
    assert document["sequence"] is None
    assert [True] * 3 == [finding["is_met"] for finding in document["findings"]]
    assert before == snapshot(tmp_path)


def test_promote_champion_again(cli, three, tmp_path):
    """Promoting the champion again writes nothing."""
    cli("promote", "2")
    before = snapshot(tmp_path)
    for ran in (cli("promote", "2"), cli("promote", "@champion"), cli("promote", "2", "--dry-run")):
        assert (0, "game-earnings@champion is already version 2; nothing was changed\n") == (ran.code, ran.out)
    assert not cli("promote", "2", "--json").document["changed"]
    assert before == snapshot(tmp_path)


def test_promote_race_same_version(three, monkeypatch):
    """If another writer promotes the same version first, nothing is changed."""
    other = open_registry(three.location, "game-earnings")
    set_alias = three.set_alias

    def late(*arguments):
        promote(other, Ref("game-earnings", version=2), reason="faster")
        return set_alias(*arguments)

    monkeypatch.setattr(three, "set_alias", late)
    done = promote(three, Ref("game-earnings", version=2), reason="slower")
    assert (False, 2, None) == (done.changed, done.version, done.sequence)
    assert ["faster"] == [event.reason for event in three.read_events() if event.kind == "alias.set"]


# Versions that can't be promoted, even by force


@pytest.mark.parametrize("force", [[], ["--force", "--reason", "it must be"]])
@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_promote_failed_self_test(cli, registry, alias, force):
    """A version that fails its self-test can't be promoted, even by force."""
    publish_simple(registry)
    cli("promote", "1", "--alias", alias)
    number = publish_unsound(registry)
    registry.record_evaluation(number, EVALUATION, "")
    events = registry.read_events()

    ran = cli("promote", "2", "--alias", alias, *force)
    assert 4 == ran.code
    words = r"version 2 of game-earnings fails its self-test: golden row 1: expected 5,701.00, found 5,7"
    assert re.search(words, ran.err)
    assert events == registry.read_events()


@pytest.mark.parametrize("force", [[], ["--force", "--reason", "it must be"], ["--dry-run"]])
@pytest.mark.parametrize("file", ["scorer.onnx", "MANIFEST.json", "report.html"])
def test_promote_changed_file(cli, registry, force, file):
    """A version with a changed file can't be promoted. The error names the file."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    registry.publish({"scorer.onnx": simple_graph(), "report.html": b"<p>fine</p>"}, details, "")
    registry.record_evaluation(1, EVALUATION, "")
    path = damage(registry, 1, file)
    events = registry.read_events()

    ran = cli("promote", "1", *force)
    assert 4 == ran.code
    assert re.search(rf"error: {path} was changed: expected sha256 [0-9a-f]{{64}}, found [0-9a-f]{{64}}", ran.err)
    assert events == registry.read_events()


def test_promote_unlisted_file(cli, three):
    """A bundle with a file that its manifest does not list can't be promoted."""
    bundle = Path(f"registry/{three.find_version(1).folder}")
    (bundle / "scaler.joblib").write_bytes(b"unpickle me")
    code, message, *_ = read_failure(cli("promote", "1"))
    assert (4, f"{bundle} holds files that its manifest does not list: scaler.joblib") == (code, message)


def test_promote_without_graph(cli, registry):
    """A version without a usable scoring graph can't be promoted, even by force."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    registry.publish({"model.keras": b"a network"}, details, "")
    registry.publish({"scorer.onnx": b"no graph"}, details, "")
    registry.publish({"scorer.onnx": simple_graph()}, {}, "")
    answers = [read_failure(cli("promote", number, "--force", "--reason", "it must be")) for number in (1, 2, 3)]

    assert [4, 4, 4] == [code for code, *_ in answers]
    for (_, message, *_), words in zip(
        answers,
        ["lists no scorer.onnx; it holds model.keras", "the scoring graph can't be loaded", "lacks what scoring needs"],
        strict=True,
    ):
        assert words in message
    assert champion(registry) is None


def test_promote_damaged_champion(cli, three):
    """Promoting a damaged champion again fails instead of saying that it is champion already."""
    cli("promote", "2")
    damage(three, 2)
    assert 4 == cli("promote", "2").code


# rollback


def test_rollback_twice(cli, three):
    """Each rollback goes one version further back."""
    for number in (1, 2, 3):
        cli("promote", number)
    first, second = cli("rollback", "--reason", "too high"), cli("rollback", "--json")

    assert (0, "game-earnings@champion is version 2 again (was 3)\n") == (first.code, first.out)
    assert (1, 2, True, False) == tuple(
        second.document[key] for key in ("version", "previous_version", "changed", "forced")
    )
    assert ["too high", ""] == [event.reason for event in three.read_events()[-2:]]
    assert (
        4,
        "no version of game-earnings was champion before version 1; there is nothing to roll back to",
        "Promote another version: gamesales promote N --alias champion",
    ) == read_failure(cli("rollback"))
    assert 1 == champion(three)


def test_rollback_dry_run(cli, three):
    """A dry run of a rollback names the previous version, checks it and changes nothing."""
    cli("promote", "1")
    cli("promote", "2")
    events = three.read_events()
    text, document = cli("rollback", "--dry-run").out, cli("rollback", "--dry-run", "--json").document
    assert "game-earnings@champion would become version 1 again (was 2); nothing was changed\n" == text
    assert (1, 2, True, None) == tuple(document[key] for key in ("version", "previous_version", "dry_run", "sequence"))
    assert events == three.read_events()
    damage(three, 1)
    assert 4 == cli("rollback", "--dry-run").code
    assert 4 == cli("rollback", "--dry-run", "--alias", "challenger").code


def test_bare_word_is_alias(cli, three):
    """A bare word names the version of an alias, and never a model."""
    cli("promote", "2")
    cli("promote", "3", "--alias", "on_trial")
    publish_simple(open_registry("registry", "champion"))
    assert [2, 2, 3] == [
        cli("show", ref, "--json").document["version"] for ref in ("champion", "@champion", "on_trial")
    ]
    assert "champion" == cli("show", "champion/1", "--json").document["model"]
    assert 0 == cli("verify", "champion").code
    assert 0 == cli("compare", "champion", "on_trial").code


def test_rollback_of_unset_alias(cli, three):
    """A rollback of an unset alias fails, and the hint gives the command."""
    words = "no version of game-earnings is {} in registry/; newest is 3"
    assert (4, words.format("champion"), "Promote one: gamesales promote 3") == read_failure(cli("rollback"))
    trial = read_failure(cli("rollback", "--alias", "challenger"))
    assert (4, words.format("challenger"), "Promote one: gamesales promote 3 --alias challenger") == trial


def test_rollback_moves_one_alias(cli, three):
    """A rollback leaves other aliases alone."""
    for alias in ("champion", "challenger"):
        cli("promote", "1", "--alias", alias)
        cli("promote", "2", "--alias", alias)
    cli("rollback", "--alias", "challenger")
    assert {"champion": [1, 2], "challenger": [1]} == three.read_state().read_alias_stacks()


@pytest.mark.parametrize("command", ["rollback", "promote 1"])
def test_rollback_to_damaged_version(cli, three, command):
    """Neither a rollback nor a promotion goes back to a damaged version."""
    cli("promote", "1")
    cli("promote", "2")
    damage(three, 1)

    code, message, *_ = read_failure(cli(*command.split()))
    assert 4 == code
    assert "scorer.onnx was changed: expected sha256" in message
    assert 2 == champion(three)


def test_rollback_skips_gate(cli, registry):
    """A version that was champion by force can be champion again without a reason."""
    publish_simple(registry, evaluated=False)
    publish_simple(registry)
    cli("promote", "1", "--force", "--reason", "the first one")
    cli("promote", "2")
    assert 0 == cli("rollback").code
    assert 1 == champion(registry)


# Error messages


@pytest.mark.parametrize(
    "command",
    [["score", "titles.csv", "--output", "out.csv"], ["predict", "critic_rating=4"], ["show", "@champion"]],
)
def test_no_champion(cli, three, tmp_path, command):
    """A command that needs a champion says how to promote one."""
    (tmp_path / "titles.csv").write_text("critic_rating\n4\n")
    message = "no version of game-earnings is champion in registry/; newest is 3"
    assert (4, message, "Promote one: gamesales promote 3") == read_failure(cli(*command))
    ran = cli(*command, "--json")
    assert (4, f"error: {message}\n       Promote one: gamesales promote 3\n") == (ran.code, ran.err)
    error = {"code": "nothing_promoted", "message": message, "hint": "Promote one: gamesales promote 3"}
    assert {"error": error} == ran.document
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "command",
    [
        *["versions", "versions --as-of 2026-11-01", "history", "alias list", "compare 1 2", "verify", "verify 1"],
        *["promote 1", "promote champion", "rollback", "rollback --dry-run", "show 1", "alias delete challenger", "gc"],
        *["alias set challenger 1", "retire 1 --reason old", "export 1 --format onnx --output x.onnx"],
    ],
)
def test_no_versions(cli, tmp_path, command):
    """Without a registry, a command names the folder in full, and says how to train a version."""
    hint = "Train a version: gamesales train; or give --registry PATH"
    message = f"no model game-earnings in {tmp_path}/registry: there is no such folder"
    ran = cli(*command.split(), "--json")
    assert (4, message, hint) == read_failure(ran)
    assert {"code": "unknown_version", "message": message, "hint": hint} == ran.document["error"]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["promote 7", "show 7", "verify 7", "show game-earnings/7"])
def test_unknown_version(cli, three, command):
    """The error for an unknown version names the newest one."""
    message = "no version 7 of game-earnings in registry/; newest is 3"
    assert (4, message, "List the versions: gamesales versions") == read_failure(cli(*command.split()))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("promote", "REF is missing"),
        (
            "promote latest",
            "'latest' names no version; expected 4, game-earnings/4, @champion or game-earnings@champion",
        ),
        ("promote @latest", "'latest' can't be an alias"),
        ("promote 1 --alias latest", "'latest' can't be an alias"),
        ("promote 1 --alias v1", "'v1' can't be an alias"),
        ("promote 1 --alias 7", "'7' can't be an alias"),
        ("promote 1 --alias with-hyphen", "'with-hyphen' can't be an alias"),
        ("rollback --alias with-hyphen", "'with-hyphen' can't be an alias"),
        ("promote 1 --name ../other", "'../other' can't name a model"),
        ("versions --name A", "'A' can't name a model"),
        ("history --name .", "'.' can't name a model"),
        ("rollback 1", "too many arguments: 1"),
        ("show 0", "'0' names no version"),
        ("verify v1", "'v1' names no version"),
    ],
)
def test_wrong_command_line(cli, three, tmp_path, command, words):
    """A wrong command line exits with 2 and changes nothing."""
    before = snapshot(tmp_path)
    ran, as_json = cli(*command.split()), cli(*command.split(), "--json")

    assert (2, "") == (ran.code, ran.out)
    assert words in ran.err
    assert (2, True) == (as_json.code, as_json.err.startswith("error: "))
    assert words in as_json.document["error"]["message"]
    assert before == snapshot(tmp_path)


@pytest.mark.parametrize("command", ["versions", "history", "show 1", "promote 1", "rollback", "verify"])
def test_registry_is_a_file(cli, tmp_path, command):
    """The error says that --registry names a file."""
    (tmp_path / "titles.csv").write_text("critic_rating\n")
    message = "titles.csv is a file; expected a folder of the registry"
    answer = read_failure(cli(*command.split(), "--registry", "titles.csv"))
    assert (4, message, "Name the registry: --registry PATH") == answer


def test_registry_option_and_environment(cli, three, tmp_path, monkeypatch):
    """The registry can be given by an option or an environment variable."""
    shutil.move(tmp_path / "registry", tmp_path / "store with a space")
    by_option = cli("versions", "--registry", "store with a space", "--json")
    monkeypatch.setenv("GAMESALES_REGISTRY", str(tmp_path / "store with a space"))

    assert 0 == cli("promote", "1").code
    assert [3, 3] == [len(ran.document["versions"]) for ran in (by_option, cli("versions", "--json"))]
    assert ["store with a space"] == [path.name for path in tmp_path.iterdir()]


# versions, show, history, verify


def test_versions_lists_newest_first(cli, three, monkeypatch):
    """The list starts with the newest version and shows aliases and metrics."""
    monkeypatch.setenv("LOGNAME", "ada")
    publish_simple(three, 750.0, evaluated=False)
    cli("promote", "2")
    cli("promote", "2", "--alias", "challenger")
    file, *lines = cli("versions").out.splitlines()

    assert f"metrics on test.csv, sha256 {HOLDOUT_SHA256[:12]}" == file
    assert re.split(r"\s{2,}", lines[0].strip()) == [
        *["version", "aliases", "registered", "by", "scaled MSE", "MAE", "RMSE", "R2", "MAPE", "reason"]
    ]
    assert ["4", "3", "2", "1"] == [line.split()[0] for line in lines[1:]]
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines[1:]]
    assert ["-", "ada", *["-"] * 5, "for a test"] == [cells[0][1], *cells[0][3:]]
    assert "challenger, champion" == cells[2][1]
    assert ["1.00e-04", "$1,000", "$1,300", "0.9900", "1.00%", "for a test"] == cells[2][4:]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", cells[2][2])


def test_versions_shows_latest_evaluation(cli, three):
    """The list shows the metrics of the latest evaluation."""
    three.record_evaluation(2, {**EVALUATION, "metrics": {"mae": 900.0}}, "on newer titles")
    rows = cli("versions", "--json").document["versions"]

    assert [1000.0, 900.0, 1000.0] == [row["metrics"]["mae"] for row in rows]


def test_versions_json(cli, three):
    """The document has the same rows as the list."""
    publish_simple(three, 750.0, evaluated=False)
    cli("promote", "1")
    ran = cli("versions", "--json")

    assert (0, "", "game-earnings", "registry/") == (ran.code, ran.err, ran.document["model"], ran.document["registry"])
    newest, *_, oldest = ran.document["versions"]
    assert (4, [], None) == (newest["version"], newest["aliases"], newest["metrics"])
    assert (1, ["champion"], "for a test") == (oldest["version"], oldest["aliases"], oldest["reason"])
    assert oldest["digest"] == three.find_version(1).digest
    assert {
        *("version", "aliases", "registered", "actor", "reason", "digest", "metrics", "data", "data_sha256"),
        *("listed_metrics", "backtest", "retired"),
    } == set(oldest)
    assert ("test.csv", HOLDOUT_SHA256) == (ran.document["data"], ran.document["data_sha256"])


def test_time_before_first_version(cli, three):
    """As of a time before the first version, versions lists none and says how to see all."""
    ran = cli("versions", "--as-of", "2000-01-01")
    words = "no version of game-earnings in registry/ at that time. See all: gamesales versions --retired\n"
    assert (0, words) == (ran.code, ran.out)
    assert ([], 0) == tuple(
        cli("versions", "--as-of", "2000-01-01", "--json").document[key] for key in ("versions", "registered")
    )


def test_show_prints_details(cli, registry):
    """show prints the registration, the data, the software and the metrics."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    data = {**details["data"], "training": {"path": "titles.csv", "rows": 1000, "sha256": "1f" * 32}}
    details |= {"data": data, "git_commit": "c0ffee", "software": {"keras": "3.13", "numpy": "2.3"}}
    details |= {"baselines": {"linear": {"mae": 2000.0}}}
    registry.publish({"scorer.onnx": simple_graph()}, details, "the first one")
    registry.record_evaluation(1, EVALUATION, "")
    cli("promote", "1")
    version = registry.find_version(1)
    text = cli("show", "@champion").out

    for line in (
        "version 1 of game-earnings, champion",
        f"bundle      registry/{version.folder}",
        f"digest      {version.digest}",
        "training    titles.csv, 1,000 rows, sha256 1f1f1f1f1f1f",
        "git commit  c0ffee",
        "software    keras 3.13, numpy 2.3",
    ):
        assert line in text.splitlines()
    assert re.search(r"^registered  20\d\d-\d\d-\d\d \d\d:\d\d UTC by \S+: the first one$", text, re.MULTILINE)
    assert re.search(r"^version 1 +1\.00e-04 +\$1,000 +\$1,300 +0\.9900 +1\.00%$", text, re.MULTILINE)
    assert re.search(r"^linear +- +\$2,000 +- +- +-$", text, re.MULTILINE)


def test_show_json_has_manifest(cli, three):
    """The document holds the manifest and the later evaluations."""
    cli("promote", "2", "--alias", "challenger")
    document = cli("show", "2", "--json").document

    assert (2, ["challenger"]) == (document["version"], document["aliases"])
    folder = three.find_version(2).folder
    manifest = json.loads(Path(f"registry/{folder}/MANIFEST.json").read_text(encoding="utf-8"))
    assert (f"registry/{folder}", manifest) == (document["bundle"], document["manifest"])
    evaluation = document["evaluations"][0]
    assert {"data": "test.csv", "data_sha256": HOLDOUT_SHA256, "rows": 400} == {
        key: evaluation[key] for key in ("data", "data_sha256", "rows")
    }
    assert manifest["metrics"] == evaluation["metrics"]


def test_show_changed_manifest(cli, three):
    """show refuses a changed manifest and names the file."""
    path = damage(three, 3, "MANIFEST.json")
    assert 0 == cli("show", "2").code
    code, message, *_ = read_failure(cli("show", "3"))
    assert 4 == code
    assert message.startswith(f"{path} was changed: expected sha256 ")


def test_history_lists_newest_first(cli, registry, monkeypatch):
    """The history says who did what, when and why."""
    monkeypatch.setenv("LOGNAME", "ada")
    publish_simple(registry)
    publish_simple(registry, 250.0)
    monkeypatch.setenv("LOGNAME", "grace")
    cli("promote", "1")
    cli("promote", "2", "--reason", "better on sequels")
    cli("rollback", "--reason", "too high")
    lines = [re.split(r"\s{2,}", line.strip()) for line in cli("history").out.splitlines()]

    evidence = (
        "test.csv, 400 rows, recorded; sha256 3158a4adf249 is not that of training data; "
        "the training data of version 1 is unknown"
    )
    assert ["event", "when", "by", "what", "evidence", "why"] == lines[0]
    assert [
        ["7", "grace", "champion rolled back to version 1 (was 2)", "-", "too high"],
        ["6", "grace", "champion set to version 2 (was 1)", "MAE $105,854, champion's $106,104", "better on sequels"],
        ["5", "grace", "champion set to version 1 (was unset)", evidence],
        ["4", "ada", "evaluated version 2 on test.csv", "MAE $1,000, 400 rows", "for a test"],
        ["3", "ada", "registered version 2", "-", "for a test"],
        ["2", "ada", "evaluated version 1 on test.csv", "MAE $1,000, 400 rows", "for a test"],
        ["1", "ada", "registered version 1", "-", "for a test"],
    ] == [[cells[0], *(re.sub(" 20\\S+Z", "", cell) for cell in cells[2:])] for cells in lines[1:]]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", cells[1]) for cells in lines[1:])


def test_history_json_has_whole_events(cli, three):
    """The document holds each event of the log."""
    cli("promote", "2", "--reason", "better")
    document = cli("history", "--json").document

    assert list(range(7, 0, -1)) == [event["sequence"] for event in document["events"]]
    expected = [
        {key: value for key, value in asdict(event).items() if key not in ("id", "previous", "digest")}
        for event in reversed(three.read_events())
    ]
    assert add_old_keys(expected) == document["events"]


def test_history_shows_unknown_event(cli, three):
    """history shows an event of a later release. Other commands refuse it."""
    EventLog(LocalStore("registry"), "game-earnings").append(
        "version.renamed", "too old", lambda events: {"version": 1, "needs_release": "0.7.0"}
    )

    assert re.search(r"^ +7 .* version\.renamed +- +too old$", cli("history").out, re.MULTILINE)
    for command in ("versions", "promote 1", "show 1", "verify"):
        answer = read_failure(cli(*command.split()))
        assert (
            4,
            "this release does not understand event 7 (version.renamed)",
            "Upgrade gamesales to 0.7.0 or later",
        ) == answer


def test_reason_cannot_forge_line(cli, three):
    """Control characters in a reason can't forge a line of output."""
    reason = "fine\n   99  2026-01-01 00:00  boss  champion set to version 3\x1b[2J\x1b[1A\r\u2028\x85end"
    cli("promote", "1", "--reason", reason)
    lines = cli("history").out.split("\n")

    assert (8, "") == (len(lines) - 1, lines[-1])
    assert not re.search(r"[\x00-\x1f\x85\u2028]", "".join(lines))
    assert reason == cli("history", "--json").document["events"][0]["reason"], "programs get it as it was"

    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    three.publish({"scorer.onnx": simple_graph()}, details, reason)
    assert 6 == len(cli("versions").out.splitlines())
    assert 1 == cli("show", "4").out.count("\nregistered  ")
    assert "\x1b" not in cli("show", "4").out


def test_verify_counts_checks(cli, three):
    """verify says how many events and files it checked."""
    everything, single = cli("verify"), cli("verify", "2", "--json")

    assert (0, "game-earnings in registry/ is sound: 6 events, 6 files checked\n") == (everything.code, everything.out)
    assert {"model": "game-earnings", "registry": "registry/", "events": 6, "files": 2} == single.document


def test_verify_names_changed_file(cli, three):
    """The error names the changed file with both digests."""
    path = damage(three, 2)
    code, message, hint = read_failure(cli("verify"))

    assert 4 == code
    assert re.fullmatch(rf"{path} was changed: expected sha256 [0-9a-f]{{64}}, found [0-9a-f]{{64}}", message)
    assert "Restore it from a backup of the registry, or promote another version" == hint
    assert "integrity" == cli("verify", "--json").document["error"]["code"]
    assert [0, 4, 4, 0] == [cli("verify", ref).code for ref in ("1", "2", "game-earnings/2", "3")]


@pytest.mark.parametrize("command", ["versions", "history", "show 1", "promote 1", "rollback", "verify", "verify 1"])
def test_changed_log_is_refused(cli, three, tmp_path, command):
    """Every command refuses a log with a changed event."""
    event = tmp_path / "registry/game-earnings/log/00000000000000000002.json"
    event.write_bytes(event.read_bytes().replace(b"for a test", b"for a jest"))
    before = snapshot(tmp_path)

    code, message, hint = read_failure(cli(*command.split()))
    assert (4, "Restore this file from a backup of the registry") == (code, hint)
    assert message.startswith("registry/game-earnings/log/00000000000000000002.json was changed: its content has ")
    assert before == snapshot(tmp_path)


# Loading


def test_load_resolves_alias_once(three):
    """A loaded version stays the same if the alias moves."""
    promote(three, parse_ref("1"))
    loaded = load(three, parse_ref("@champion"))
    promote(three, parse_ref("2"))

    values = titles_table(50).to_pandas().to_numpy()
    assert (1, 2) == (loaded.number, load(three, parse_ref("@champion")).number)
    assert simple_earnings(values).tolist() == loaded.scorer.score(values).tolist()
    assert three.find_version(1).digest == loaded.digest


def test_load_reads_only_graph(cli, registry):
    """A damaged file that scoring does not need does not stop the nightly run."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    registry.publish({"scorer.onnx": simple_graph(), "scaler.joblib": b"unpickle me"}, details, "")
    damage(registry, 1, "scaler.joblib")
    load(registry, parse_ref("1")).run_self_test()


# Sequences of commands against a plain dictionary


class Registrar(RuleBasedStateMachine):
    """Publish, evaluate, promote and roll back in any order, and compare the registry with a dictionary."""

    folders = None  # a factory of empty folders, set by the test

    def __init__(self):
        super().__init__()
        self.registry = open_registry(type(self).folders.mktemp("registrar"), "game-earnings")
        self.evaluated = {}  # version: is an evaluation recorded?
        self.stacks = {"champion": [], "challenger": []}
        self.reasons = []  # of every event

    @rule(evaluated=st.booleans())
    def publish(self, evaluated):
        number = publish_simple(self.registry, bias=10.0 * len(self.evaluated), evaluated=evaluated)
        assert len(self.evaluated) + 1 == number
        self.evaluated[number] = evaluated
        self.reasons += ["for a test"] * (2 if evaluated else 1)

    @precondition(lambda self: self.evaluated)
    @rule(data=st.data(), reason=st.text(max_size=5))
    def record(self, data, reason):
        number = data.draw(st.sampled_from(sorted(self.evaluated)))
        self.registry.record_evaluation(number, EVALUATION, reason)
        self.evaluated[number] = True
        self.reasons.append(reason)

    @precondition(lambda self: self.evaluated)
    @rule(
        data=st.data(),
        alias=st.sampled_from(["champion", "challenger"]),
        force=st.booleans(),
        dry_run=st.sampled_from([False, False, False, True]),
    )
    def promote(self, data, alias, force, dry_run):
        number = data.draw(st.sampled_from(sorted(self.evaluated)))
        ref, stack = Ref("game-earnings", version=number), self.stacks[alias]
        options = {"alias": alias, "reason": "because", "force": force, "dry_run": dry_run}
        lacks = alias == "champion" and not self.evaluated[number] and stack[-1:] != [number]
        if lacks and not force:
            with pytest.raises(GateRefusedError):
                promote(self.registry, ref, **options)
            return
        done = promote(self.registry, ref, **options)
        assert (stack[-1] if stack else None, number) == (done.previous_version, done.version)
        assert (stack[-1:] != [number]) == done.changed
        assert lacks == done.forced
        if done.changed and not dry_run:
            stack.append(number)
            self.reasons.append("because")

    @rule(alias=st.sampled_from(["champion", "challenger"]))
    @precondition(lambda self: self.evaluated)
    def roll_back(self, alias):
        stack = self.stacks[alias]
        if len(stack) < 2:
            with pytest.raises(NothingPromotedError):
                roll_back(self.registry, alias=alias, reason="too high")
            return
        done = roll_back(self.registry, alias=alias, reason="too high")
        assert (stack.pop(), stack[-1]) == (done.previous_version, done.version)
        self.reasons.append("too high")

    @invariant()
    @precondition(lambda self: self.evaluated)
    def the_registry_says_what_the_dictionary_says(self):
        rows = listing.list_versions(self.registry).versions
        assert sorted(self.evaluated, reverse=True) == [row.version for row in rows]
        assert self.evaluated == {row.version: row.metrics is not None for row in rows}
        for alias, stack in self.stacks.items():
            assert stack[-1:] == [row.version for row in rows if alias in row.aliases]

    @invariant()
    @precondition(lambda self: self.evaluated)
    def the_history_is_whole(self):
        events = list(reversed(list_events(self.registry).events))
        assert self.reasons == [event.reason for event in events]
        assert list(range(1, len(events) + 1)) == [event.sequence for event in events]

    def teardown(self):
        if self.evaluated:
            expected = (len(self.reasons), 2 * len(self.evaluated))
            checked = listing.verify(self.registry)
            assert expected == (checked.events, checked.files)
        shutil.rmtree(self.registry.location, ignore_errors=True)


def test_registry_matches_dictionary(tmp_path_factory):
    """After any sequence of commands, the registry says what a dictionary says."""
    from hypothesis.stateful import run_state_machine_as_test

    Registrar.folders = tmp_path_factory
    run_state_machine_as_test(Registrar, settings=settings(deadline=None, max_examples=20, stateful_step_count=15))


@pytest.mark.slow
def test_registry_matches_dictionary_slow(tmp_path_factory):
    """The same, with more and longer sequences."""
    from hypothesis.stateful import run_state_machine_as_test

    Registrar.folders = tmp_path_factory
    run_state_machine_as_test(
        Registrar, settings=settings(deadline=None, max_examples=many(60, 5), stateful_step_count=50)
    )
