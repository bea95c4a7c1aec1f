"""``gamesales compare``: what differs between two versions, and what can't be compared."""

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
    """Return the differences: section to name to both values."""
    return {
        section["name"]: {entry["name"]: (entry["first"], entry["second"]) for entry in section["entries"]}
        for section in document["sections"]
    }


def compared(cli, *arguments):
    ran = cli("compare", *(arguments or ("1", "2")), "--json")
    assert 0 == ran.code, ran.out
    return ran.document


def test_compare_with_itself(cli, publish):
    """A version does not differ from itself."""
    publish()
    document = compared(cli, "1", "1")
    assert ([], True, True) == (document["sections"], document["same_training_data"], document["same_holdout"])
    assert [True] == [metrics["same"] for metrics in document["metrics_by_file"]]
    assert cli("compare", "1", "1").out.endswith("\nNothing else differs. To show equal values too: --all\n")


def test_compare_by_key(cli, publish):
    """Network, training and software are compared key by key."""

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


def test_compare_contract_by_column(cli, publish):
    """The contract is compared column by column."""

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


def test_compare_column_order(cli, publish):
    """A different order of columns is one difference."""
    publish()
    publish(lambda details: details["contract"]["features"].reverse())
    assert ["features"] == list(sections(compared(cli))["contract"])


@pytest.mark.parametrize(
    ("role", "verdict"), [("train", "training data  different"), ("test", "holdout        different")]
)
def test_compare_data_by_digest(cli, publish, role, verdict):
    """Data files are the same if their digests are, wherever they are."""

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


def test_compare_without_data(cli, publish):
    """If a manifest names no data, the comparison does not guess."""
    publish()
    publish(lambda details: [details.pop(key) for key in TRAINED])
    document = compared(cli)
    assert (None, None) == (document["same_training_data"], document["same_holdout"])
    assert "training data  unknown" in cli("compare", "1", "2").out.splitlines()


def test_compare_metrics_on_same_file(cli, registry, publish):
    """Metrics on the same file are shown with their difference and confidence intervals."""
    publish()
    publish(bias=5.0)
    metrics = {**METRICS, "mae": 900.0, "r2": 0.995, "mape_percent": None}
    evaluate(registry, 2, metrics=metrics, intervals={"mae": [850.0, 950.0], "r2": "wide"})
    files = compared(cli)["metrics_by_file"]

    assert [("test.csv", "2" * 64, 400, False)] == [
        tuple(metrics[key] for key in ("data", "data_sha256", "rows", "same")) for metrics in files
    ]
    entries = {entry["name"]: entry for entry in files[0]["entries"]}
    assert {"mae", "r2", "mape_percent"} == set(entries), "equal metrics are left out"
    assert (1000.0, 900.0, -100.0) == tuple(entries["mae"][key] for key in ("first", "second", "difference"))
    assert (None, [850.0, 950.0]) == (entries["mae"]["first_interval"], entries["mae"]["second_interval"])
    assert (1.0, None, None) == tuple(entries["mape_percent"][key] for key in ("first", "second", "difference"))
    text = cli("compare", "1", "2").out
    assert "Metrics on test.csv, 400 rows, sha256 222222222222:" in text
    assert re.search(r"^MAE +\$1,000 +\$900 \(\$850 to \$950\) +-\$100$", text, re.MULTILINE)


def test_compare_intervals_from_training(cli, publish):
    """Without an evaluation in the log, the intervals come from the manifest's evaluation, not from its settings."""

    def change(details):
        details["intervals"] = {"method": "cv", "coverage": 0.9, "folds": 5, "calibration_share": 0.2}
        details["evaluation"] = {"holdout": {"intervals": {"mae": [950.0, 1050.0], "scaled_mse": [9e-5, 1.1e-4]}}}

    publish()
    publish(change, bias=5.0)
    entries = {entry["name"]: entry for entry in compared(cli, "1", "2", "--all")["metrics_by_file"][0]["entries"]}
    assert (None, [950.0, 1050.0]) == (entries["mae"]["first_interval"], entries["mae"]["second_interval"])
    assert [9e-5, 1.1e-4] == entries["scaled_mse"]["second_interval"]
    assert entries["rmse"]["second_interval"] is None
    assert re.search(
        r"^MAE +\$1,000 +\$1,000 \(\$950 to \$1,050\)", cli("compare", "1", "2", "--all").out, re.MULTILINE
    )


@pytest.mark.parametrize("evaluation", [None, [], {"holdout": None}, {"holdout": {"intervals": ["odd"]}}])
def test_compare_odd_evaluation_in_manifest(cli, publish, evaluation):
    """A manifest with an evaluation of another shape has no intervals."""
    publish(lambda details: details.update(evaluation=evaluation))
    entries = compared(cli, "1", "1", "--all")["metrics_by_file"][0]["entries"]
    assert [None] * 5 == [entry["first_interval"] for entry in entries]


def test_compare_metrics_on_different_files(cli, registry, publish):
    """Metrics on different files are not compared."""

    def other(details):
        details["data"]["test"] = {"path": "new.csv", "rows": 9, "sha256": "3" * 64}

    publish()
    publish(other, bias=5.0)
    assert [] == compared(cli)["metrics_by_file"]
    assert (
        "The versions were evaluated on different data, so metrics can't be compared: "
        "version 1 on test.csv (sha256 222222222222); version 2 on new.csv (sha256 333333333333)."
    ) in cli("compare", "1", "2").out.splitlines()

    evaluate(registry, 1, "3" * 64, data="new.csv")
    assert ["3" * 64] == [metrics["data_sha256"] for metrics in compared(cli)["metrics_by_file"]]


def test_compare_latest_evaluation(cli, registry, publish):
    """The latest evaluation on a file is compared."""
    publish()
    publish()
    for mae in (1.0, 2.0):
        evaluate(registry, 1, metrics={"mae": mae})
    entry = next(entry for entry in compared(cli)["metrics_by_file"][0]["entries"] if entry["name"] == "mae")
    assert (2.0, 1000.0) == (entry["first"], entry["second"])


def test_compare_files(cli, publish, registry):
    """Files are compared by size and digest."""
    publish()
    publish(bias=5.0)
    files = sections(compared(cli))["files"]
    assert ["scorer.onnx.sha256"] == list(files), "the graphs have the same size"
    everything = sections(compared(cli, "1", "2", "--all"))["files"]
    size = registry.open_bundle(registry.find_version(1)).files["scorer.onnx"]["size"]
    assert (size, size) == everything["scorer.onnx.size"]


def test_compare_all(cli, publish):
    """--all shows equal values too."""
    publish()
    publish(bias=5.0)
    document = compared(cli, "1", "2", "--all")
    assert ["network", "training", "data", "contract", "software", "files"] == [
        section["name"] for section in document["sections"]
    ]
    assert [True, True, True, True, True, False] == [section["same"] for section in document["sections"]]
    assert re.search(r"^layers\.0\.units +50 +50$", cli("compare", "1", "2", "--all").out, re.MULTILINE)


def test_compare_is_symmetric(cli, registry, publish):
    """Swapping the arguments swaps the sides."""
    publish()
    publish(lambda details: details["training"].update(epochs=50, loss="mae"))
    evaluate(registry, 2, metrics={**METRICS, "mae": 900.0})
    there, back = compared(cli, "1", "2"), compared(cli, "2", "1")

    assert (there["first"], there["second"]) == (back["second"], back["first"])
    swapped = {name: {key: pair[::-1] for key, pair in entries.items()} for name, entries in sections(back).items()}
    assert sections(there) == swapped
    assert [-100.0, 100.0] == [document["metrics_by_file"][0]["entries"][0]["difference"] for document in (there, back)]


def test_compare_retired_and_other_model(cli, registry, publish, tmp_path):
    """Retired versions and versions of another model can be compared."""
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
        ("1", 2, "B is missing"),
        ("1 latest", 2, "'latest' names no version"),
        ("1 7", 4, "no version 7 of game-earnings in registry/; newest is 1"),
        ("1 @champion", 4, "no version of game-earnings is champion"),
        ("1 other/1", 4, "registry; found the model game-earnings"),
    ],
)
def test_wrong_compare_commands(cli, publish, command, code, words):
    """A wrong command is an error."""
    publish()
    ran = cli("compare", *command.split())
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err


def test_compare_changed_manifest(cli, registry, publish, tmp_path):
    """A changed manifest is an error."""
    publish()
    publish(bias=5.0)
    path = tmp_path / "registry" / registry.find_version(2).folder / "MANIFEST.json"
    path.write_bytes(path.read_bytes().replace(b"past.csv", b"best.csv"))
    assert 4 == cli("compare", "1", "2").code


def test_compare_odd_interval(cli, registry, publish):
    """An interval of another shape is ignored."""
    publish()
    evaluate(registry, 1, intervals=["odd"])
    assert 0 == cli("compare", "1", "1", "--all").code


def test_compare_removed_version(cli, registry, publish):
    """A version whose files were removed can't be compared, but can be shown."""
    publish()
    publish(bias=5.0)
    evaluate(registry, 1)
    registry.retire(1, "old")
    assert 0 == cli("gc", "--keep-newest", "0", "--keep-days", "0").code, "version 2 goes with it"

    ran = cli("compare", "1", "2")
    words = (
        "the files of version 1 of game-earnings were removed after it was retired; there is nothing left to compare"
    )
    assert (4, f"error: {words}\n       See its events in the log: gamesales show 1\n") == (ran.code, ran.err)
    shown = cli("show", "1", "--json").document
    assert (None, "old", ["test.csv"]) == (
        shown["manifest"],
        shown["retired"]["reason"],
        [evaluation["data"] for evaluation in shown["evaluations"]],
    )
    text = cli("show", "1").out
    assert f"bundle      {shown['bundle']} (removed)" in text.splitlines()
    before = registry.read_events()[-3].time
    assert cli("show", "1", "--as-of", before, "--json").document["manifest"] is None
