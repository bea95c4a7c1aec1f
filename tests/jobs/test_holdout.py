"""Promotion against a champion: the holdout, the comparison and the evidence."""

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv

from gamesales.data.contract import Contract
from gamesales.errors import GateRefusedError
from gamesales.jobs import gate_evidence
from gamesales.jobs.loading import open_registry
from gamesales.jobs.promote import promote
from gamesales.registry.refs import Ref
from support.labeled import digest, make_labeled_table
from support.runs import snapshot
from support.versions import DATA, HOLDOUT, simple_details, simple_graph

ERROR = 1_000.0  # the absolute error of version 1 on each title of the holdout, in dollars


def publish(registry, bias=0.0, *, trained_on=None, evaluated=True, contract=None):
    """Publish a version whose manifest names ``holdout.csv``, and its training data if given."""
    details = simple_details(contract or Contract.from_toml(DATA / "contract.toml"), bias)
    files = {"test": "holdout.csv", "train": trained_on}
    details["data"] = {
        role: {"path": str(path), "sha256": digest(path), "rows": 400} for role, path in files.items() if path
    }
    number = registry.publish({"scorer.onnx": simple_graph(bias)}, details, "for a test")
    if evaluated:
        evaluation = {"data": "holdout.csv", "data_sha256": digest("holdout.csv"), "rows": 400, "metrics": {}}
        registry.record_evaluation(number, evaluation, "for a test")
    return number


@pytest.fixture
def registry(cli, tmp_path):
    """A registry whose champion has an error of 1,000 dollars on each title of ``holdout.csv``."""
    csv.write_csv(make_labeled_table(400, ERROR), "holdout.csv")
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish(registry)
    assert cli("promote", "1").code == 0
    return registry


def champion(registry):
    return registry.read_state().target_of("champion")


# The gate


def test_worse_version_is_refused(cli, registry, tmp_path):
    """The refusal shows the metrics and what would pass. The candidate's MAE is 1,500 against 1,000."""
    publish(registry, 1_500.0)
    before = snapshot(tmp_path)
    ran = cli("promote", "2")

    assert 5 == ran.code
    assert [
        "on 400 titles of holdout.csv        MAE",
        "version 1, champion           $1,000.00",
        "version 2                     $1,500.00",
        "difference                      $500.00",
    ] == ran.out.splitlines()[:4]
    assert ran.out.splitlines()[4].startswith("97.5% upper bound")
    assert ["limit, 5% of version 1's MAE     $50.00", "refused"] == ran.out.splitlines()[5:7]
    assert ran.err.startswith(
        "error: version 2 may not be promoted: expected that it is shown to be at most 5% worse than the champion on "
        "the holdout, but its mean absolute error on 400 rows is 1,500.00, against 1,000.00 for version 1: the "
        "difference is 500.00, at most "
    )
    assert "with 97.5% confidence, and the limit is 50.00; it would pass at " in ran.err
    assert ran.err.endswith('       Train again, or override: gamesales promote 2 --force --reason "…"\n')
    assert before == snapshot(tmp_path)


def test_refusal_json_has_evidence(cli, registry):
    """The error document has the same metrics."""
    publish(registry, 1_500.0)
    ran = cli("promote", "2", "--json")
    assert 5 == ran.code
    evidence = ran.document["error"]["evidence"]
    comparison = evidence["comparison"]
    assert (1, 2, False, False) == (
        comparison["champion"],
        comparison["candidate"],
        comparison["passes"],
        evidence["forced"],
    )
    assert (1_000.0, 1_500.0, 500.0, 50.0) == pytest.approx(
        tuple(comparison[key] for key in ("champion_mae", "candidate_mae", "difference", "limit"))
    )
    assert {"path": "holdout.csv", "sha256": digest("holdout.csv")} == evidence["holdout"]
    assert [True, True, False] == [finding["is_met"] for finding in evidence["findings"]]


def test_equal_version_passes(cli, registry):
    """A version that is as good passes, and the log keeps the evidence."""
    publish(registry, 20.0)
    ran = cli("promote", "2", "--reason", "as good")
    assert (0, "passes") == (ran.code, ran.out.splitlines()[6])
    evidence = registry.read_events()[-1].body["evidence"]
    assert evidence["comparison"]["passes"]
    assert (400, 10_000, int(digest("holdout.csv")[:12], 16)) == tuple(
        evidence["comparison"][key] for key in ("rows", "resamples", "seed")
    )
    assert re.search(r"champion set to version 2 \(was 1\) +MAE \$1,000, champion's \$1,000 ", cli("history").out)


def test_force_records_evidence(cli, registry):
    """A forced promotion records the findings that failed."""
    publish(registry, 1_500.0)
    ran = cli("promote", "2", "--force", "--reason", "the other one can't do sequels")
    assert (0, "forced") == (ran.code, ran.out.splitlines()[6])
    evidence = registry.read_events()[-1].body["evidence"]
    assert (True, False, [True, True, False]) == (
        evidence["forced"],
        evidence["comparison"]["passes"],
        [finding["is_met"] for finding in evidence["findings"]],
    )
    words = r"champion set to version 2 \(was 1\), forced past the gate +MAE \$1,500, champion's \$1,000; its mean "
    assert re.search(words, cli("history").out)


def test_dry_run_shows_comparison(cli, registry, tmp_path):
    """A dry run shows the comparison and writes nothing."""
    publish(registry, 20.0)
    publish(registry, 1_500.0)
    before = snapshot(tmp_path)
    passes, refused = cli("promote", "2", "--dry-run"), cli("promote", "3", "--dry-run")
    assert before == snapshot(tmp_path)
    assert (0, 5) == (passes.code, refused.code)
    assert passes.out.splitlines()[:7] == cli("promote", "2").out.splitlines()[:7]


def test_evidence_is_reproducible(cli, registry, tmp_path):
    """The same promotion in a copy of the registry has the same evidence."""
    publish(registry, 20.0)
    shutil.copytree(tmp_path / "registry", tmp_path / "copy")
    first, second = (cli("promote", "2", "--registry", name, "--json").document for name in ("registry", "copy"))
    assert first["comparison"] == second["comparison"]


def test_rollback_compares_nothing(cli, registry):
    """A rollback has no findings and no comparison."""
    publish(registry, 1_500.0)
    cli("promote", "2", "--force", "--reason", "a try")
    ran = cli("rollback", "--json")
    assert (0, [], None) == (ran.code, ran.document["findings"], ran.document["comparison"])


# The holdout


def test_first_promotion_reads_no_holdout(cli, tmp_path):
    """Without a champion, the digest of the holdout is enough."""
    csv.write_csv(make_labeled_table(400, ERROR), "holdout.csv")
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish(registry)
    Path("holdout.csv").unlink()
    assert 0 == cli("promote", "1").code


def test_missing_holdout(cli, registry, tmp_path):
    """The gate refuses if the holdout is missing, until --holdout names it."""
    publish(registry, 20.0)
    Path("holdout.csv").rename("kept.csv")
    ran = cli("promote", "2")
    assert (5, "") == (ran.code, ran.out)
    assert "but version 1 can't be scored on the holdout: there is no file holdout.csv" in ran.err
    assert "Name a file of titles that neither version saw: --holdout FILE, or override: " in ran.err
    assert 1 == champion(registry)
    assert 0 == cli("promote", "2", "--holdout", "kept.csv").code


def test_changed_holdout(cli, registry):
    """The error for a changed holdout has both digests."""
    publish(registry, 20.0)
    before = digest("holdout.csv")
    csv.write_csv(make_labeled_table(300, ERROR), "holdout.csv")
    ran = cli("promote", "2")
    assert 5 == ran.code
    assert f"holdout.csv was changed: expected sha256 {before}, found {digest('holdout.csv')}" in ran.err


def test_evaluation_on_other_file(cli, registry):
    """An evaluation on another file is not one on the holdout."""
    publish(registry, 20.0, evaluated=False)
    cli("evaluate", "2", "--data", HOLDOUT)
    ran = cli("promote", "2")
    assert 5 == ran.code
    assert "an evaluation on the holdout is recorded, but none is recorded (1 on other data)" in ran.err
    assert "Evaluate it: gamesales evaluate 2 --data holdout.csv, or override: " in ran.err
    cli("evaluate", "2", "--data", "holdout.csv")
    assert 0 == cli("promote", "2").code


def test_holdout_option_records_evaluation(cli, registry):
    """--holdout evaluates the candidate on the file and records the evaluation first."""
    publish(registry, 20.0)
    csv.write_csv(make_labeled_table(200, ERROR), "newer.csv")
    ran = cli("promote", "2", "--holdout", "newer.csv", "--json")
    assert 0 == ran.code
    evaluated, promoted = registry.read_events()[-2:]
    assert ("evaluation.recorded", "on the holdout of a promotion") == (evaluated.kind, evaluated.reason)
    assert digest("newer.csv") == evaluated.body["data_sha256"]
    assert {"path": "newer.csv", "sha256": digest("newer.csv")} == promoted.body["evidence"]["holdout"]
    assert (200, 1_000.0) == pytest.approx((ran.document["comparison"]["rows"], evaluated.body["metrics"]["mae"]))


def test_holdout_option_records_once(cli, registry):
    """An evaluation that is in the log is not recorded again."""
    publish(registry, 20.0)
    csv.write_csv(make_labeled_table(200, ERROR), "newer.csv")
    cli("evaluate", "2", "--data", "newer.csv")
    before = len(registry.read_events())
    cli("promote", "2", "--holdout", "newer.csv")
    assert before + 1 == len(registry.read_events())


def test_holdout_option_dry_run(cli, registry, tmp_path):
    """A dry run with --holdout records no evaluation."""
    publish(registry, 20.0)
    csv.write_csv(make_labeled_table(200, ERROR), "newer.csv")
    before = snapshot(tmp_path)
    document = cli("promote", "2", "--holdout", "newer.csv", "--dry-run", "--json").document
    assert "newer.csv, 200 rows, would be recorded first" == document["findings"][0]["observation"]
    assert before == snapshot(tmp_path)


def test_manifest_without_holdout(cli, registry):
    """A version without a holdout in its manifest needs --holdout."""
    details = simple_details(Contract.from_toml(DATA / "contract.toml"))
    del details["data"]
    registry.publish({"scorer.onnx": simple_graph()}, details, "")
    ran = cli("promote", "2")
    assert 5 == ran.code
    assert "an evaluation on the holdout is recorded, but its manifest names no holdout" in ran.err
    assert "--holdout FILE" in ran.err
    assert 0 == cli("promote", "2", "--holdout", "holdout.csv").code


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--holdout", "none.csv"], 3, "no file none.csv"),
        (["--holdout", DATA / "new_titles.csv"], 3, "new_titles.csv lacks total_earnings"),
        (
            ["--holdout", "holdout.csv", "--alias", "challenger"],
            2,
            "--holdout is only for champion, found --alias challenger",
        ),
    ],
)
def test_unusable_holdout(cli, registry, tmp_path, arguments, code, words):
    """An unusable --holdout is an error and writes nothing."""
    publish(registry, 20.0)
    before = snapshot(tmp_path)
    ran = cli("promote", "2", *arguments)
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err
    assert before == snapshot(tmp_path)


# Training data


def test_holdout_is_candidates_training_data(cli, registry):
    """The gate refuses the training data of the candidate as a holdout."""
    csv.write_csv(make_labeled_table(200, ERROR), "past.csv")
    publish(registry, 20.0, trained_on="past.csv")
    before = len(registry.read_events())
    ran = cli("promote", "2", "--holdout", "past.csv")
    assert 5 == ran.code
    assert "is no training data of candidate or champion, but it is the training data of version 2" in ran.err
    assert "Name a file of titles that neither version saw: --holdout FILE" in ran.err
    assert before == len(registry.read_events()), "nor is it an evaluation"


def test_holdout_is_champions_training_data(cli, tmp_path):
    """The gate refuses the training data of the champion as a holdout."""
    csv.write_csv(make_labeled_table(400, ERROR), "holdout.csv")
    csv.write_csv(make_labeled_table(200, ERROR), "past.csv")
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish(registry, trained_on="past.csv")
    cli("promote", "1")
    publish(registry, 20.0)
    ran = cli("promote", "2", "--holdout", "past.csv")
    assert (5, True) == (ran.code, "but it is the training data of version 1" in ran.err)
    forced = cli("promote", "2", "--holdout", "past.csv", "--force", "--reason", "all there is", "--json")
    assert (0, [True, False, True]) == (forced.code, [finding["is_met"] for finding in forced.document["findings"]])


# Versions that can't be compared


@pytest.mark.parametrize("file", ["scorer.onnx", "MANIFEST.json"])
def test_damaged_champion_needs_force(cli, registry, file):
    """A damaged champion can't be compared, so only --force replaces it."""
    publish(registry, 20.0)
    path = Path(f"registry/{registry.find_version(1).folder}/{file}")
    path.write_bytes(path.read_bytes()[:-2] + b"??")
    ran = cli("promote", "2")
    assert 5 == ran.code
    assert f"but version 1 can't be scored on the holdout: {path} was changed: expected sha256 " in ran.err
    assert 0 == cli("promote", "2", "--force", "--reason", "the champion is damaged").code
    evidence = registry.read_events()[-1].body["evidence"]
    assert (True, None) == (evidence["forced"], evidence["comparison"])


def test_candidate_rejects_more_rows(cli, registry):
    """A candidate may not reject rows that the champion scores. They may be its worst rows."""
    table = make_labeled_table(400, ERROR).to_pydict()
    prices = table["unit_price"]
    contract = Contract.from_toml(DATA / "contract.toml").as_json()
    contract["features"][-1]["maximum"] = 100.0
    table["unit_price"] = [*prices[:-3], 120.0, 120.0, 120.0]
    csv.write_csv(pa.table(table), "expensive.csv")
    publish(registry, 20.0, contract=Contract.from_json(contract))
    ran = cli("promote", "2", "--holdout", "expensive.csv")
    assert 5 == ran.code
    assert "but it rejects 3 rows of expensive.csv that version 1 scores; the first is row 398" in ran.err


def test_champion_rejects_more_rows(cli, tmp_path):
    """Rows that only the champion rejects are left out of the comparison."""
    table = make_labeled_table(400, ERROR).to_pydict()
    table["unit_price"] = [120.0, *table["unit_price"][1:]]
    csv.write_csv(pa.table(table), "holdout.csv")
    contract = Contract.from_toml(DATA / "contract.toml").as_json()
    contract["features"][-1]["maximum"] = 100.0
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish(registry, contract=Contract.from_json(contract))
    cli("promote", "1")
    publish(registry)
    assert 399 == cli("promote", "2", "--json").document["comparison"]["rows"]


# Races


def interrupt(registry, monkeypatch, action):
    """Let another writer act after the gate is asked and before the event is written, once."""
    original = registry._log._create
    actions = [action]

    def late(key, data):
        if actions:
            actions.pop()()
        return original(key, data)

    monkeypatch.setattr(registry._log, "_create", late)


def test_race_compares_with_new_champion(registry, monkeypatch):
    """A writer that loses a race is compared with the new champion."""
    publish(registry, 20.0)
    publish(registry, 30.0)
    other = open_registry(registry.location, "game-earnings")
    interrupt(registry, monkeypatch, lambda: promote(other, Ref("game-earnings", version=2)))
    scored = []
    predict = gate_evidence.predict_labeled

    def predict_and_count(version, titles):
        scored.append(version.number)
        return predict(version, titles)

    monkeypatch.setattr(gate_evidence, "predict_labeled", predict_and_count)
    done = promote(registry, Ref("game-earnings", version=3))
    assert (2, 2) == (done.previous_version, done.comparison["champion"])
    assert scored.count(3) == 1, "each version is scored once for a promotion"


def test_race_lost_to_better_version(cli, tmp_path, monkeypatch):
    """A writer that loses a race to a better version is refused."""
    table = make_labeled_table(400, 0.0).to_pydict()
    table["total_earnings"] = [earnings + ERROR for earnings in table["total_earnings"]]
    csv.write_csv(pa.table(table), "holdout.csv")
    registry, other = (open_registry(tmp_path / "registry", "game-earnings") for _ in range(2))
    for bias in (0.0, 500.0, 20.0):
        publish(registry, bias)
    promote(registry, Ref("game-earnings", version=1))

    interrupt(registry, monkeypatch, lambda: promote(other, Ref("game-earnings", version=2)))
    with pytest.raises(GateRefusedError, match=r"is 980\.00, against 500\.00 for version 2"):
        promote(registry, Ref("game-earnings", version=3))
    assert 2 == champion(registry)
