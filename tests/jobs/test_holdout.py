"""Promotion against a standing champion: on which titles the two are compared, and what comes of it."""

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv

from gamesales.data.contract import Contract
from gamesales.errors import GateRefusedError
from gamesales.jobs import promote as holdouts
from gamesales.jobs.loading import open_registry
from gamesales.jobs.promote import promote
from gamesales.registry.refs import Ref
from support.labelled import contents, digest, labelled
from support.versions import DATA, HOLDOUT, simple_details, simple_graph

OFF = 1_000.0  # dollars by which version 1 is off on each title of the holdout


def publish(registry, bias=0.0, *, trained_on=None, evaluated=True, contract=None):
    """Publish a version whose manifest names ``holdout.csv``, and perhaps what it was trained on."""
    details = simple_details(contract or Contract.from_toml(DATA / "contract.toml"), bias)
    files = {"test": "holdout.csv", "train": trained_on}
    details["data"] = {
        role: {"path": str(path), "sha256": digest(path), "rows": 400} for role, path in files.items() if path
    }
    number = registry.publish({"scorer.onnx": simple_graph(bias)}, details, "for a test")
    if evaluated:
        figures = {"data": "holdout.csv", "data_sha256": digest("holdout.csv"), "rows": 400, "metrics": {}}
        registry.record_evaluation(number, figures, "for a test")
    return number


@pytest.fixture
def registry(cli, tmp_path):
    """A registry whose champion is off by 1,000 dollars on each title of ``holdout.csv``."""
    csv.write_csv(labelled(400, OFF), "holdout.csv")
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish(registry)
    assert cli("promote", "1").code == 0
    return registry


def champion(registry):
    return registry.state().aliased("champion")


# Who passes


def test_a_version_that_is_clearly_worse_is_refused_with_the_figures_and_what_would_pass(cli, registry, tmp_path):
    """All its predictions are 1,500 dollars higher: 500 off on half of the titles and 2,500 on the others."""
    publish(registry, 1_500.0)
    before = contents(tmp_path)
    ran = cli("promote", "2")

    assert 5 == ran.code
    assert [
        "on 400 titles of holdout.csv        MAE",
        "version 1, champion           $1,000.00",
        "version 2                     $1,500.00",
        "difference                      $500.00",
    ] == ran.out.splitlines()[:4]
    assert ran.out.splitlines()[4].startswith("at most, 97.5 % sure")
    assert ["limit, 5 % of version 1's        $50.00", "refused"] == ran.out.splitlines()[5:7]
    assert ran.err.startswith(
        "error: version 2 may not be promoted: expected that it is shown to be at most 5 % worse than the champion on "
        "the holdout, but its mean absolute error on 400 rows is 1,500.00 against 1,000.00 of version 1: a difference "
        "of 500.00, and of at most "
    )
    assert "with 97.5 % confidence, where the limit is 50.00; it would pass at " in ran.err
    assert ran.err.endswith('       Train again, or override: gamesales promote 2 --force --reason "…"\n')
    assert before == contents(tmp_path)


def test_a_refusal_as_json_has_the_same_figures(cli, registry):
    publish(registry, 1_500.0)
    ran = cli("promote", "2", "--json")
    assert (5, "") == (ran.code, ran.err)
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
    assert [True, True, False] == [finding["holds"] for finding in evidence["findings"]]


def test_a_version_that_is_as_good_passes_and_the_log_keeps_the_evidence(cli, registry):
    publish(registry, 20.0)
    ran = cli("promote", "2", "--reason", "as good")
    assert (0, "passes") == (ran.code, ran.out.splitlines()[6])
    evidence = registry.events()[-1].body["evidence"]
    assert evidence["comparison"]["passes"]
    assert (400, 10_000, int(digest("holdout.csv")[:12], 16)) == tuple(
        evidence["comparison"][key] for key in ("rows", "resamples", "seed")
    )
    assert re.search(r"champion set to version 2 \(was 1\) +MAE \$1,000, champion's \$1,000 ", cli("history").out)


def test_a_forced_version_is_recorded_with_what_was_against_it(cli, registry):
    publish(registry, 1_500.0)
    ran = cli("promote", "2", "--force", "--reason", "the other one can't do sequels")
    assert (0, "forced") == (ran.code, ran.out.splitlines()[6])
    evidence = registry.events()[-1].body["evidence"]
    assert (True, False, [True, True, False]) == (
        evidence["forced"],
        evidence["comparison"]["passes"],
        [finding["holds"] for finding in evidence["findings"]],
    )
    words = r"champion set to version 2 \(was 1\), forced past the gate +MAE \$1,500, champion's \$1,000; its mean "
    assert re.search(words, cli("history").out)


def test_a_dry_run_shows_the_same_figures_and_writes_nothing(cli, registry, tmp_path):
    publish(registry, 20.0)
    publish(registry, 1_500.0)
    before = contents(tmp_path)
    passes, refused = cli("promote", "2", "--dry-run"), cli("promote", "3", "--dry-run")
    assert before == contents(tmp_path)
    assert (0, 5) == (passes.code, refused.code)
    assert passes.out.splitlines()[:7] == cli("promote", "2").out.splitlines()[:7]


def test_the_same_promotion_has_the_same_evidence_anywhere(cli, registry, tmp_path):
    publish(registry, 20.0)
    shutil.copytree(tmp_path / "registry", tmp_path / "copy")
    first, second = (cli("promote", "2", "--registry", one, "--json").document for one in ("registry", "copy"))
    assert first["comparison"] == second["comparison"]


def test_rollback_compares_nothing(cli, registry):
    publish(registry, 1_500.0)
    cli("promote", "2", "--force", "--reason", "a try")
    ran = cli("rollback", "--json")
    assert (0, [], None) == (ran.code, ran.document["findings"], ran.document["comparison"])


# Which titles


def test_the_first_promotion_reads_no_holdout(cli, tmp_path):
    """Its digest is enough to know that the version was evaluated on it."""
    csv.write_csv(labelled(400, OFF), "holdout.csv")
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish(registry)
    Path("holdout.csv").unlink()
    assert 0 == cli("promote", "1").code


def test_without_the_holdout_nothing_can_be_compared(cli, registry, tmp_path):
    publish(registry, 20.0)
    Path("holdout.csv").rename("kept.csv")
    ran = cli("promote", "2")
    assert (5, "") == (ran.code, ran.out)
    assert "but version 1 can't be scored on the holdout: there is no file holdout.csv" in ran.err
    assert "Name a file of titles that neither version saw: --holdout FILE, or override: " in ran.err
    assert 1 == champion(registry)
    assert 0 == cli("promote", "2", "--holdout", "kept.csv").code


def test_a_changed_holdout_is_told_with_both_digests(cli, registry):
    publish(registry, 20.0)
    before = digest("holdout.csv")
    csv.write_csv(labelled(300, OFF), "holdout.csv")
    ran = cli("promote", "2")
    assert 5 == ran.code
    assert f"holdout.csv was changed: expected sha256 {before}, found {digest('holdout.csv')}" in ran.err


def test_an_evaluation_on_other_titles_does_not_count(cli, registry):
    publish(registry, 20.0, evaluated=False)
    cli("evaluate", "2", "--data", HOLDOUT)
    ran = cli("promote", "2")
    assert 5 == ran.code
    assert "an evaluation on the holdout is recorded, but none is recorded (1 on other data)" in ran.err
    assert "Evaluate it: gamesales evaluate 2 --data holdout.csv, or override: " in ran.err
    cli("evaluate", "2", "--data", "holdout.csv")
    assert 0 == cli("promote", "2").code


def test_a_holdout_that_is_given_is_evaluated_on_and_that_is_recorded_first(cli, registry):
    publish(registry, 20.0)
    csv.write_csv(labelled(200, OFF), "newer.csv")
    ran = cli("promote", "2", "--holdout", "newer.csv", "--json")
    assert 0 == ran.code
    evaluated, promoted = registry.events()[-2:]
    assert ("evaluation.recorded", "on the holdout of a promotion") == (evaluated.kind, evaluated.reason)
    assert digest("newer.csv") == evaluated.body["data_sha256"]
    assert {"path": "newer.csv", "sha256": digest("newer.csv")} == promoted.body["evidence"]["holdout"]
    assert (200, 1_000.0) == pytest.approx((ran.document["comparison"]["rows"], evaluated.body["metrics"]["mae"]))


def test_what_was_evaluated_on_a_given_holdout_before_is_not_recorded_again(cli, registry):
    publish(registry, 20.0)
    csv.write_csv(labelled(200, OFF), "newer.csv")
    cli("evaluate", "2", "--data", "newer.csv")
    before = len(registry.events())
    cli("promote", "2", "--holdout", "newer.csv")
    assert before + 1 == len(registry.events())


def test_a_dry_run_on_a_given_holdout_records_no_evaluation(cli, registry, tmp_path):
    publish(registry, 20.0)
    csv.write_csv(labelled(200, OFF), "newer.csv")
    before = contents(tmp_path)
    document = cli("promote", "2", "--holdout", "newer.csv", "--dry-run", "--json").document
    assert "newer.csv, 200 rows, would be recorded first" == document["findings"][0]["found"]
    assert before == contents(tmp_path)


def test_a_version_whose_manifest_names_no_holdout_needs_one(cli, registry):
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
        (["--holdout", "holdout.csv", "--alias", "challenger"], 2, "--holdout is for champion, which alone the gate"),
    ],
)
def test_a_holdout_that_cannot_be_used_is_told(cli, registry, tmp_path, arguments, code, words):
    publish(registry, 20.0)
    before = contents(tmp_path)
    ran = cli("promote", "2", *arguments)
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err
    assert before == contents(tmp_path)


# Titles that one of the two has learnt


def test_the_candidates_own_training_titles_are_no_holdout(cli, registry):
    csv.write_csv(labelled(200, OFF), "past.csv")
    publish(registry, 20.0, trained_on="past.csv")
    before = len(registry.events())
    ran = cli("promote", "2", "--holdout", "past.csv")
    assert 5 == ran.code
    assert "is no training data of candidate or champion, but it is the very file that version 2 learnt from" in ran.err
    assert before == len(registry.events()), "nor is it an evaluation"


def test_the_champions_training_titles_are_no_holdout(cli, tmp_path):
    csv.write_csv(labelled(400, OFF), "holdout.csv")
    csv.write_csv(labelled(200, OFF), "past.csv")
    registry = open_registry(tmp_path / "registry", "game-earnings")
    publish(registry, trained_on="past.csv")
    cli("promote", "1")
    publish(registry, 20.0)
    ran = cli("promote", "2", "--holdout", "past.csv")
    assert (5, True) == (ran.code, "but it is the very file that version 1 learnt from" in ran.err)
    forced = cli("promote", "2", "--holdout", "past.csv", "--force", "--reason", "all there is", "--json")
    assert (0, [True, False, True]) == (forced.code, [finding["holds"] for finding in forced.document["findings"]])


# Versions that can't be compared


@pytest.mark.parametrize("file", ["scorer.onnx", "MANIFEST.json"])
def test_a_damaged_champion_can_be_replaced_by_force_alone(cli, registry, file):
    publish(registry, 20.0)
    path = Path(f"registry/{registry.find_version(1).folder}/{file}")
    path.write_bytes(path.read_bytes()[:-2] + b"??")
    ran = cli("promote", "2")
    assert 5 == ran.code
    assert f"but version 1 can't be scored on the holdout: {path} was changed: expected sha256 " in ran.err
    assert 0 == cli("promote", "2", "--force", "--reason", "the champion is damaged").code
    evidence = registry.events()[-1].body["evidence"]
    assert (True, None) == (evidence["forced"], evidence["comparison"])


def test_a_candidate_that_rejects_what_the_champion_scores_is_not_compared_on_the_rest(cli, registry):
    """It could reject just where it is worst."""
    table = labelled(400, OFF).to_pydict()
    prices = table["unit_price"]
    contract = Contract.from_toml(DATA / "contract.toml").as_json()
    contract["features"][-1]["maximum"] = 100.0
    table["unit_price"] = [*prices[:-3], 120.0, 120.0, 120.0]
    csv.write_csv(pa.table(table), "dear.csv")
    publish(registry, 20.0, contract=Contract.from_json(contract))
    ran = cli("promote", "2", "--holdout", "dear.csv")
    assert 5 == ran.code
    assert "but it rejects 3 rows of dear.csv that version 1 scores; the first is row 398" in ran.err


def test_rows_that_the_champion_alone_rejects_are_left_out(cli, tmp_path):
    table = labelled(400, OFF).to_pydict()
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


def interrupt(registry, monkeypatch, meanwhile):
    """Let another writer act after the gate was asked for the first time, and before the event is written."""
    original = registry._log._create
    waiting = [meanwhile]

    def late(key, data):
        if waiting:
            waiting.pop()()
        return original(key, data)

    monkeypatch.setattr(registry._log, "_create", late)


def test_whoever_loses_a_race_is_compared_with_the_new_champion(registry, monkeypatch):
    publish(registry, 20.0)
    publish(registry, 30.0)
    other = open_registry(registry.location, "game-earnings")
    interrupt(registry, monkeypatch, lambda: promote(other, Ref("game-earnings", version=2)))
    scored = []
    real = holdouts.predictions
    monkeypatch.setattr(holdouts, "predictions", lambda one, titles: scored.append(one.number) or real(one, titles))
    done = promote(registry, Ref("game-earnings", version=3))
    assert (2, 2) == (done.previous_version, done.comparison["champion"])
    assert scored.count(3) == 1, "each version is scored once for a promotion"


def test_whoever_loses_a_race_to_a_better_one_is_refused(cli, tmp_path, monkeypatch):
    """Either is better than the champion that both began with."""
    table = labelled(400, 0.0).to_pydict()
    table["total_earnings"] = [earned + OFF for earned in table["total_earnings"]]
    csv.write_csv(pa.table(table), "holdout.csv")
    registry, other = (open_registry(tmp_path / "registry", "game-earnings") for _ in range(2))
    for bias in (0.0, 500.0, 20.0):
        publish(registry, bias)
    promote(registry, Ref("game-earnings", version=1))

    interrupt(registry, monkeypatch, lambda: promote(other, Ref("game-earnings", version=2)))
    with pytest.raises(GateRefusedError, match=r"is 980\.00 against 500\.00 of version 2"):
        promote(registry, Ref("game-earnings", version=3))
    assert 2 == champion(registry)
