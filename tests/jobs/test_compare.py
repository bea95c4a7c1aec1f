"""gamesales compare: what differs between two versions, and what can't be compared."""

import re
from copy import deepcopy

import pytest

from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from support.versions import DATA, simple_details, simple_graph

METRICS = {"scaled_mse": 1e-4, "mae": 1000.0, "rmse": 1300.0, "r2": 0.99, "mape_percent": 1.0}
TRAINED = {
    "network": {"layers": [{"layer": "Dense", "units": 50}, {"layer": "Dense", "units": 1}]},
    "training": {"epochs": 200, "optimizer": {"name": "Adam"}, "seed": 1},
    "data": {
        "train": {"path": "past.csv", "rows": 1000, "sha256": "1" * 64},
        "test": {"path": "test.csv", "rows": 400, "sha256": "2" * 64},
    },
    "software": {"python": "3.11.7", "keras": "3.13.2"},
    "git_commit": "c0ffee",
}


@pytest.fixture
def registry(tmp_path):
    return open_registry(tmp_path / "registry", "game-earnings")


@pytest.fixture
def publish(registry):
    def do(change=lambda details: None, bias=0.0):
        details = simple_details(Contract.from_toml(DATA / "contract.toml"), bias) | deepcopy(TRAINED)
        change(details)
        return registry.publish({"scorer.onnx": simple_graph(bias)}, details, "for a test")

    return do


def evaluate(registry, number, digest="2" * 64, **more):
    evaluation = {"data": "test.csv", "data_sha256": digest, "rows": 400, "metrics": METRICS}
    registry.record_evaluation(number, {**evaluation, **more}, "for a test")


def sections(document):
    """Return what differs: section to name to the two values."""
    return {
        section["name"]: {each["name"]: (each["first"], each["second"]) for each in section["entries"]}
        for section in document["sections"]
    }


def compared(cli, *arguments):
    ran = cli("compare", *(arguments or ("1", "2")), "--json")
    assert 0 == ran.code, ran.out
    return ran.document


def test_a_version_does_not_differ_from_itself(cli, publish):
    publish()
    document = compared(cli, "1", "1")
    assert ([], True, True) == (document["sections"], document["same_training_data"], document["same_holdout"])
    assert [True] == [each["same"] for each in document["figures"]]
    assert cli("compare", "1", "1").out.endswith("\nNothing else differs; what is the same: --all\n")


def test_the_network_the_training_and_the_software_are_compared_key_by_key(cli, publish):
    def change(details):
        details["network"]["layers"][0]["units"] = 100
        details["network"]["layers"].append({"layer": "Dense", "units": 2})
        details["training"] |= {"epochs": 50, "schedule": {"name": "Cosine"}}
        details["software"] = {"python": "3.11.7", "numpy": "2.3"}
        details["git_commit"] = None

    publish()
    publish(change)
    assert {
        "network": {"layers.0.units": (50, 100), "layers.2.layer": (None, "Dense"), "layers.2.units": (None, 2)},
        "training": {"epochs": (200, 50), "schedule.name": (None, "Cosine")},
        "software": {"numpy": (None, "2.3"), "git commit": ("c0ffee", None), "keras": ("3.13.2", None)},
    } == sections(compared(cli))
    text = cli("compare", "1", "2").out
    assert re.search(r"^network +version 1 +version 2$", text, re.MULTILINE)
    assert re.search(r"^layers\.0\.units +50 +100$", text, re.MULTILINE)
    assert re.search(r"^layers\.2\.layer +- +Dense$", text, re.MULTILINE)


def test_the_contract_is_compared_column_by_column(cli, publish):
    def change(details):
        features = details["contract"]["features"]
        features[0]["maximum"] = 10.0
        features[-1]["kind"] = "money"
        del features[1]
        features.append({"name": "is_retro", "kind": "flag", "unit": "", "description": "Old."})

    publish()
    publish(change)
    contract = sections(compared(cli))["contract"]
    assert ((5.0, 10.0), ("price", "money")) == (contract["critic_rating.maximum"], contract["unit_price.kind"])
    assert (("flag", None), (None, "flag")) == (contract["is_action.kind"], contract["is_retro.kind"])
    assert "is_retro" in contract["features"][1]
    assert "is_action" not in contract["features"][1]
    assert not [name for name in contract if name.startswith(("is_sequel", "is_sports", "total_earnings"))]


def test_only_the_order_of_columns_differs_if_that_is_all(cli, publish):
    publish()
    publish(lambda details: details["contract"]["features"].reverse())
    assert ["features"] == list(sections(compared(cli))["contract"])


@pytest.mark.parametrize(
    ("role", "verdict"), [("train", "training data  different"), ("test", "holdout        different")]
)
def test_data_is_the_same_by_its_digest_wherever_it_lies(cli, publish, role, verdict):
    def move(details):
        details["data"][role]["path"] = "elsewhere.csv"

    def other(details):
        details["data"][role]["sha256"] = "3" * 64

    publish()
    publish(move)
    publish(other)
    key = {"train": "same_training_data", "test": "same_holdout"}[role]
    assert [True, False] == [compared(cli, "1", other)[key] for other in ("2", "3")]
    assert {f"{role}.path": (TRAINED["data"][role]["path"], "elsewhere.csv")} == sections(compared(cli))["data"]
    assert verdict in cli("compare", "1", "3").out.splitlines()


def test_what_a_manifest_does_not_tell_is_not_guessed(cli, publish):
    publish()
    publish(lambda details: [details.pop(key) for key in TRAINED])
    document = compared(cli)
    assert (None, None) == (document["same_training_data"], document["same_holdout"])
    assert "training data  not known of both" in cli("compare", "1", "2").out.splitlines()


def test_figures_on_the_same_titles_stand_side_by_side_with_their_difference_and_intervals(cli, registry, publish):
    publish()
    publish(bias=5.0)
    metrics = {**METRICS, "mae": 900.0, "r2": 0.995, "mape_percent": None}
    evaluate(registry, 2, metrics=metrics, intervals={"mae": [850.0, 950.0], "r2": "wide"})
    figures = compared(cli)["figures"]

    assert [("test.csv", "2" * 64, 400, False)] == [
        tuple(each[key] for key in ("data", "data_sha256", "rows", "same")) for each in figures
    ]
    told = {each["name"]: each for each in figures[0]["entries"]}
    assert {"mae", "r2", "mape_percent"} == set(told), "what is the same goes without saying"
    assert (1000.0, 900.0, -100.0) == tuple(told["mae"][key] for key in ("first", "second", "difference"))
    assert (None, [850.0, 950.0]) == (told["mae"]["first_interval"], told["mae"]["second_interval"])
    assert (1.0, None, None) == tuple(told["mape_percent"][key] for key in ("first", "second", "difference"))
    text = cli("compare", "1", "2").out
    assert "Figures on test.csv, 400 rows, sha256 222222222222:" in text
    assert re.search(r"^MAE +\$1,000 +\$900 \(\$850 to \$950\) +-\$100$", text, re.MULTILINE)


def test_figures_on_different_titles_are_not_compared(cli, registry, publish):
    def other(details):
        details["data"]["test"] = {"path": "new.csv", "rows": 9, "sha256": "3" * 64}

    publish()
    publish(other, bias=5.0)
    assert [] == compared(cli)["figures"]
    assert (
        "Their figures are on different data and can't be compared: "
        "version 1 on test.csv (sha256 222222222222); version 2 on new.csv (sha256 333333333333)."
    ) in cli("compare", "1", "2").out.splitlines()

    evaluate(registry, 1, "3" * 64, data="new.csv")
    assert ["3" * 64] == [each["data_sha256"] for each in compared(cli)["figures"]]


def test_the_latest_evaluation_on_a_file_counts(cli, registry, publish):
    publish()
    publish()
    for mae in (1.0, 2.0):
        evaluate(registry, 1, metrics={"mae": mae})
    entry = next(each for each in compared(cli)["figures"][0]["entries"] if each["name"] == "mae")
    assert (2.0, 1000.0) == (entry["first"], entry["second"])


def test_files_are_compared_by_size_and_digest(cli, publish, registry):
    publish()
    publish(bias=5.0)
    files = sections(compared(cli))["files"]
    assert ["scorer.onnx.sha256"] == list(files), "the graphs are of one size"
    everything = sections(compared(cli, "1", "2", "--all"))["files"]
    size = registry.bundle(registry.find_version(1)).files["scorer.onnx"]["size"]
    assert (size, size) == everything["scorer.onnx.size"]


def test_all_tells_what_is_the_same_too(cli, publish):
    publish()
    publish(bias=5.0)
    document = compared(cli, "1", "2", "--all")
    assert ["network", "training", "data", "contract", "software", "files"] == [
        section["name"] for section in document["sections"]
    ]
    assert [True, True, True, True, True, False] == [section["same"] for section in document["sections"]]
    assert re.search(r"^layers\.0\.units +50 +50$", cli("compare", "1", "2", "--all").out, re.MULTILINE)


def test_comparing_the_other_way_round_swaps_the_sides(cli, registry, publish):
    publish()
    publish(lambda details: details["training"].update(epochs=50, loss="mae"))
    evaluate(registry, 2, metrics={**METRICS, "mae": 900.0})
    there, back = compared(cli, "1", "2"), compared(cli, "2", "1")

    assert (there["first"], there["second"]) == (back["second"], back["first"])
    swapped = {section: {name: pair[::-1] for name, pair in told.items()} for section, told in sections(back).items()}
    assert sections(there) == swapped
    assert [-100.0, 100.0] == [each["figures"][0]["entries"][0]["difference"] for each in (there, back)]


def test_retired_versions_and_those_of_another_model_can_be_compared(cli, registry, publish, tmp_path):
    publish()
    publish(bias=5.0)
    registry.retire(2, "old")
    assert "version 2 (retired), registered" in cli("compare", "1", "2").out
    other = open_registry(tmp_path / "registry", "other")
    details = simple_details(Contract.from_toml(DATA / "contract.toml")) | TRAINED
    other.publish({"scorer.onnx": simple_graph()}, details, "for a test")
    assert "version 1 of game-earnings and version 1 of other\n" in cli("compare", "1", "other/1").out


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("1", 2, "Missing argument 'B'"),
        ("1 latest", 2, "'latest' names no version"),
        ("1 7", 4, "no version 7 of game-earnings in registry/; newest is 1"),
        ("1 @champion", 4, "no version of game-earnings is champion"),
        ("1 other/1", 4, "no model other in registry/"),
    ],
)
def test_what_is_not_there_cannot_be_compared(cli, publish, command, code, words):
    publish()
    ran = cli("compare", *command.split())
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err


def test_a_changed_manifest_is_not_compared(cli, registry, publish, tmp_path):
    publish()
    publish(bias=5.0)
    path = tmp_path / "registry" / registry.find_version(2).folder / "MANIFEST.json"
    path.write_bytes(path.read_bytes().replace(b"past.csv", b"best.csv"))
    assert 4 == cli("compare", "1", "2").code


def test_an_interval_of_another_shape_is_none(cli, registry, publish):
    publish()
    evaluate(registry, 1, intervals=["odd"])
    assert 0 == cli("compare", "1", "1", "--all").code


def test_of_a_version_whose_files_are_gone_the_log_is_told_and_nothing_compared(cli, registry, publish):
    publish()
    publish(bias=5.0)
    evaluate(registry, 1)
    registry.retire(1, "old")
    assert 0 == cli("gc", "--keep-newest", "0", "--keep-days", "0").code, "version 2 goes with it"

    ran = cli("compare", "1", "2")
    words = (
        "the files of version 1 of game-earnings were removed after it was retired; there is nothing left to compare"
    )
    assert (4, f"error: {words}\n       See what the log says of it: gamesales show 1\n") == (ran.code, ran.err)
    shown = cli("show", "1", "--json").document
    assert (None, "old", ["test.csv"]) == (
        shown["manifest"],
        shown["retired"]["reason"],
        [each["data"] for each in shown["evaluations"]],
    )
    text = cli("show", "1").out
    assert f"bundle      {shown['bundle']} (removed)" in text.splitlines()
    before = registry.events()[-3].time
    assert cli("show", "1", "--as-of", before, "--json").document["manifest"] is None
