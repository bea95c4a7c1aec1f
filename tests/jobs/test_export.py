"""``gamesales export``: every format, loaded as others load it, gives the scorer's dollars; or nothing is left."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import onnxruntime
import pytest

from gamesales.errors import UsageError
from gamesales.jobs.export import FORMATS
from gamesales.jobs.loading import open_registry
from gamesales.jobs.train import train
from gamesales.scoring.scorer import Scorer
from gamesales.training.export import check_names, with_scaling
from gamesales.training.network import load_keras
from gamesales.training.parity import TOLERANCE
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import load_job
from support.runs import command_line, gamesales
from support.train_jobs import write_job
from support.versions import FEATURES, ROOT, publish_simple, simple_graph, title_values

OUTPUTS = {"keras": "model.keras", "h5": "model.h5", "onnx": "model.onnx", "savedmodel": "saved", "tfserving": "served"}
LAYERS = [
    {"layer": "Dense", "units": 12, "activation": "gelu"},
    {"layer": "Reshape", "target_shape": [12, 1]},
    {"layer": "Conv1D", "filters": 3, "kernel_size": 3, "activation": "silu"},
    {"layer": "Flatten"},
    {"layer": "BatchNormalization"},
    {"layer": "Dropout", "rate": 0.4},
    {"layer": "Dense", "units": 1},
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry with one version whose layers are of many kinds."""
    folder = tmp_path_factory.mktemp("exported")
    job = load_job(write_job(folder / "job.toml", network={"layers": LAYERS}))
    registry = open_registry(folder / "registry", job.name)
    train(job, registry)
    return registry


@pytest.fixture(scope="module")
def titles():
    """Titles as training knows them, and some beyond all that it saw: float32 (540, 9)."""
    beyond = title_values(40, seed=2)
    beyond[:, 0] *= np.linspace(0, 3, 40)
    beyond[:, -1] = np.geomspace(0.01, 10_000, 40)
    return np.concatenate([title_values(500), beyond]).astype(np.float32)


@pytest.fixture
def export(cli, registry):
    """Export the version, by default to the name that OUTPUTS has for its format."""

    def run(form, *more, output=None, ref="1", of=registry):
        where = ("--output", output or OUTPUTS[form], "--registry", of.location)
        return cli("export", ref, "--format", form, *where, *more)

    return run


def close(found, registry, titles):
    """Whether predictions are the scorer's within the bound that graph and Keras are held to."""
    bundle = registry.bundle(registry.find_version(1))
    expected = Scorer(bundle.read("scorer.onnx")).score(titles)
    span = Scaling.from_dict(bundle.manifest["scaling"]).target_range
    found = np.asarray(found, np.float64)
    assert found.shape == expected.shape == (len(titles),)
    assert len(set(expected)) > 100
    return bool((np.abs(found - expected) <= TOLERANCE * np.maximum(np.abs(expected), span)).all())


# --- Every format, loaded by what will load it.

READ_KERAS = """
import sys, keras, numpy
model = keras.models.load_model(sys.argv[1], safe_mode=True)
numpy.save("found.npy", model.predict(numpy.load("titles.npy"), verbose=0))
assert "gamesales" not in sys.modules
"""
READ_SAVED = """
import sys, numpy, tensorflow as tf
names = sys.argv[2:]
titles = numpy.load("titles.npy")
signatures = tf.saved_model.load(sys.argv[1]).signatures
columns = {name: tf.constant(column) for name, column in zip(names, titles.T)}
numpy.save("found.npy", signatures["serving_default"](**columns)["earnings"])
numpy.save("matrix.npy", signatures["matrix"](titles=tf.constant(titles))["earnings"])
assert "gamesales" not in sys.modules
print(sorted(signatures["serving_default"].structured_input_signature[1]))
"""


def read_elsewhere(script, titles, *arguments):
    """Run a script that knows nothing of gamesales in a process of its own, in the current folder."""
    np.save("titles.npy", titles)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("form", ["keras", "h5"])
def test_keras_loads_the_file_and_predicts_dollars_from_raw_columns(export, registry, titles, form):
    """In safe mode, in a process that has no gamesales."""
    assert export(form).code == 0
    read_elsewhere(READ_KERAS, titles, OUTPUTS[form])
    found = np.load("found.npy")
    assert found.shape == (len(titles), 1)
    assert close(found[:, 0], registry, titles)


@pytest.mark.parametrize("form", ["savedmodel", "tfserving"])
def test_tensorflow_loads_the_folder_and_takes_named_columns_or_a_matrix(export, registry, titles, form):
    assert export(form).code == 0
    folder = Path(OUTPUTS[form]) / ("1" if form == "tfserving" else "")
    assert (folder / "saved_model.pb").is_file()
    assert read_elsewhere(READ_SAVED, titles, folder, *FEATURES).strip() == str(sorted(FEATURES))
    assert close(np.load("found.npy"), registry, titles)
    assert close(np.load("matrix.npy"), registry, titles)


def test_onnx_is_the_scoring_graph_itself(export, registry, titles):
    assert export("onnx").code == 0
    content = Path("model.onnx").read_bytes()
    assert registry.bundle(registry.find_version(1)).read("scorer.onnx") == content
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert close(session.run(["earnings"], {"titles": titles})[0], registry, titles)


@pytest.mark.parametrize("form", FORMATS)
def test_a_dense_network_is_exported_too(export, trained_registry, form):
    """The course's: there the scoring graph has its scaling in the weights, and the export has a layer for it."""
    document = export(form, "--json", of=trained_registry).document
    assert (document["format"], document["rows_checked"]) == (form, 4_016)
    assert 0 <= document["largest_difference"] < 3


def test_columns_far_from_zero_keep_their_digits_in_every_keras_file(tmp_path):
    """Seconds since 1970 have ten digits, and float32 has seven: scaling must not pass through it."""
    keras = load_keras()
    scaling = Scaling(("released",), "earned", np.array([1 / 5e7, 1 / 3e5]), np.array([-34.0, -1 / 3]))
    network = keras.Sequential([keras.Input((1,)), keras.layers.Activation("linear")])
    released = np.linspace(1.70e9, 1.75e9, 100).astype(np.float32)[:, None]
    for name in ("model.keras", "model.h5"):
        with_scaling(network, scaling).save(tmp_path / name)
        model = keras.models.load_model(tmp_path / name, compile=False)
        by_hand = scaling.unscale_target(scaling.scale_features(released.astype(np.float64)).astype(np.float32))
        np.testing.assert_allclose(np.asarray(model(released)), by_hand, rtol=1e-14)
        assert model.trainable_variables == []


# --- What it says.


def test_the_result_is_told_in_words_and_as_a_document(export, registry):
    ran = export("onnx")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(
        r"wrote version 1 of game-earnings to model\.onnx; loaded again, it is within \$0\.0000 of the scorer on 4,016 "
        r"rows\n",
        ran.out,
    )
    ran = export("keras", "--json")
    assert ran.err == ""
    schema = json.loads((ROOT / "docs/reference/export.schema.json").read_text("utf-8"))
    jsonschema.validate(ran.document, schema)
    assert ran.document["digest"] == registry.find_version(1).digest
    assert ran.document["inputs"] == list(FEATURES)


@pytest.mark.parametrize("form", ["keras", "h5", "savedmodel"])
def test_exporting_prints_nothing_of_the_libraries(registry, tmp_path, form):
    """In a fresh process, where TensorFlow would say most."""
    ran = gamesales(
        tmp_path, "export", "1", "--format", form, "--output", OUTPUTS[form], "--registry", registry.location
    )
    assert (ran.returncode, ran.stderr, ran.stdout.count("\n")) == (0, "", 1)


def test_tensorflow_serving_is_told_where_the_version_lies(export, tmp_path):
    ran = export("tfserving")
    assert "model_config_list {" in ran.out
    assert f'base_path: "{tmp_path}/served"' in ran.out
    assert "specific { versions: 1 }" in ran.out
    assert [path.name for path in Path("served").iterdir()] == ["1"]


def test_a_version_goes_beside_the_others_that_tensorflow_serving_has(export):
    Path("served/7").mkdir(parents=True)
    assert export("tfserving").code == 0
    assert sorted(path.name for path in Path("served").iterdir()) == ["1", "7"]
    assert export("tfserving").code == 2


# --- What it refuses, and what it leaves: nothing.


def everything():
    """All that lies in the current folder, with what is in it."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


@pytest.mark.parametrize(
    ("form", "output", "message"),
    [
        ("pmml", "m.pmml", "no format 'pmml'; expected one of keras, h5, onnx, savedmodel, tfserving"),
        ("keras", "model.h5", "--output model.h5 does not end in .keras"),
        ("onnx", "model", "--output model does not end in .onnx"),
        ("h5", "no/folder/model.h5", "no/folder to write model.h5 in"),
        ("tfserving", "no/folder/served", "no/folder to write 1 in"),
    ],
)
def test_a_wrong_format_or_place_ends_with_exit_code_2(export, form, output, message):
    ran = export(form, output=output)
    assert ran.code == 2
    assert message in ran.err
    assert everything() == {}


@pytest.mark.parametrize("missing", [["--format", "onnx"], ["--output", "x.onnx"]])
def test_format_and_output_must_be_given(cli, registry, missing):
    assert cli("export", "1", "--registry", registry.location, *missing).code == 2


def test_an_unknown_version_ends_with_exit_code_4(export):
    ran = export("onnx", ref="9")
    assert ran.code == 4
    assert "no version 9 of game-earnings" in ran.err
    assert everything() == {}


@pytest.mark.parametrize("form", ["onnx", "savedmodel"])
def test_what_is_there_is_replaced_whole_and_on_request_alone(export, form):
    place = Path(OUTPUTS[form])
    assert export(form).code == 0
    part = place / "saved_model.pb" if form == "savedmodel" else place
    part.write_bytes(b"old")
    (place / "left over").touch() if form == "savedmodel" else None
    before = everything()
    ran = export(form)
    assert (ran.code, everything()) == (2, before)
    assert f"{place} exists" in ran.err
    assert "--force" in ran.err
    assert export(form, "--force").code == 0
    assert part.read_bytes() != b"old"
    assert not (place / "left over").exists()
    assert [path.name for path in Path().iterdir()] == [place.name]


def test_force_replaces_nothing_that_is_no_export(export):
    """A wrong --output must not cost a folder of something else."""
    Path("saved").mkdir()
    Path("saved/thesis.txt").write_text("years")
    Path("model.onnx").mkdir()
    before = everything()
    for form in ("savedmodel", "onnx"):
        assert export(form, "--force").code == 2
    assert everything() == before


@pytest.mark.parametrize("form", ["onnx", "savedmodel"])
def test_a_symbolic_link_counts_as_there_and_stays_one_when_it_is_replaced(export, form):
    place = Path(OUTPUTS[form])
    Path("elsewhere").mkdir()
    target = Path("elsewhere") / place.name
    place.symlink_to(target)
    assert export(form).code == 2
    assert not target.exists()
    for _ in range(2):  # a link to nothing, and then one to an export
        assert export(form, "--force").code == 0
        assert place.is_symlink()
        assert target.exists()
    assert [path.name for path in Path("elsewhere").iterdir()] == [place.name]


def test_a_changed_byte_of_the_network_is_found_before_it_is_loaded(export, trained_registry):
    (path,) = Path("registry").glob("game-earnings/bundles/*/model.keras")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = everything()
    ran = export("keras", of=trained_registry)
    assert ran.code == 4
    assert "model.keras was changed: expected sha256" in ran.err
    assert everything() == before
    assert export("onnx", of=trained_registry).code == 0, "which needs no model.keras"


def republished(registry, **changes):
    """Publish version 1 again with files or parts of the manifest changed; None leaves one out."""
    bundle = registry.bundle(registry.find_version(1))
    files = {name: changes.get(name, bundle.read(name)) for name in bundle.files}
    details = {**bundle.manifest, **changes}
    for name in ("format", "model", "files", *files):
        details.pop(name, None)
    kept = [{key: value for key, value in part.items() if value is not None} for part in (files, details)]
    return str(registry.publish(*kept, "for a test"))


def test_a_network_that_is_not_the_scoring_graphs_is_refused(export, trained_registry, registry):
    """Somebody published a bundle by hand, with the network of another version."""
    other = registry.bundle(registry.find_version(1)).read("model.keras")
    number = republished(trained_registry, **{"model.keras": other})
    before = everything()
    for form in ("keras", "savedmodel"):
        ran = export(form, "--json", ref=number, of=trained_registry)
        assert (ran.code, ran.document["error"]["code"]) == (4, "parity")
        assert f"the export as {form} differs from the scorer: " in ran.document["error"]["message"]
    assert everything() == before


def test_a_network_that_would_run_code_of_its_own_is_refused(export, trained_registry, tmp_path):
    """Keras's safe mode is on: a Lambda layer carries Python's bytecode."""
    keras = load_keras()
    network = keras.Sequential([keras.Input((9,)), keras.layers.Lambda(lambda x: x[:, :1])])
    network.save(tmp_path / "lambda.keras")
    number = republished(trained_registry, **{"model.keras": (tmp_path / "lambda.keras").read_bytes()})
    ran = export("savedmodel", ref=number, of=trained_registry)
    assert ran.code == 4
    assert "model.keras can't be loaded safely: " in ran.err
    assert "ambda" in ran.err
    assert not Path("saved").exists()


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        (None, "tells no scaling"),
        ({"columns": []}, "tells no scaling"),
        ({"columns": [{"name": "x", "scale": 0.0, "offset": 1.0}]}, "no scale of 0"),
        ({"columns": [{"name": "x", "scale": 1.0, "offset": 1.0}] * 2}, "scales x, but its contract has critic_rating"),
    ],
)
def test_a_manifest_without_the_scaling_of_its_columns_is_refused(export, trained_registry, scaling, message):
    ran = export("keras", ref=republished(trained_registry, scaling=scaling), of=trained_registry)
    assert ran.code == 4
    assert message in ran.err


def test_a_bundle_without_a_network_tells_what_it_holds(export, simple_registry):
    details = {"features": [*FEATURES, "total_earnings"]}
    columns = [{"name": name, "scale": 1e-4, "offset": 0.0} for name in details["features"]]
    bundle = simple_registry.bundle(simple_registry.find_version(publish_simple(simple_registry)))
    kept = {key: value for key, value in bundle.manifest.items() if key not in ("format", "model", "files")}
    number = simple_registry.publish({"scorer.onnx": simple_graph()}, {**kept, "scaling": {"columns": columns}}, "")
    ran = export("h5", ref=str(number), of=simple_registry)
    assert ran.code == 4
    assert "lists no model.keras; it holds scorer.onnx" in ran.err
    assert export("onnx", ref=str(number), of=simple_registry).code == 0


@pytest.mark.parametrize("name", ["self", "unit price", "x-y", "1st", "_a", "größe", ""])
def test_a_column_that_can_not_name_an_input_is_told(name):
    """TensorFlow would make x_y of x-y, and leave whoever calls it to find out."""
    with pytest.raises(UsageError, match=f"can't name its inputs {re.escape(repr(name))}; expected letters"):
        check_names(["critic_rating", name])


def test_a_scaling_is_read_back_as_it_was_written():
    scaling = Scaling(("a", "b"), "c", np.array([1 / 3, 2.0, 1e-7]), np.array([-1e-17, 0.1, 7.0]))
    again = Scaling.from_dict(json.loads(json.dumps(scaling.as_dict())))
    assert (again.features, again.target) == (scaling.features, scaling.target)
    np.testing.assert_array_equal([again.scale, again.offset], [scaling.scale, scaling.offset])


# --- On a disk that is full, and stopped at any moment.


@pytest.mark.parametrize("kilobytes", [8, 24])
@pytest.mark.parametrize("form", ["keras", "h5", "savedmodel"])
def test_a_full_disk_is_told_and_nothing_is_left_on_it(registry, tmp_path, form, kilobytes):
    """HDF5 would end the process with a segmentation fault, and TensorFlow speaks of exhausted resources."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare(1) to mount a small disk for one process alone")
    (tmp_path / "disk").mkdir()
    script = f'mount -t tmpfs -o size={kilobytes}k tmpfs disk || exit 77\n"$@"\ncode=$?\nls -A disk\nexit $code'
    place = ("--format", form, "--output", f"disk/{OUTPUTS[form]}", "--registry", registry.location)
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script, "sh"]
    command = [*unshare, *command_line("export", "1", *place)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode == 77 or "unshare:" in ran.stderr:
        pytest.skip(f"may not mount a small disk here: {ran.stderr.strip()}")
    assert (ran.returncode, ran.stdout) == (7, ""), ran.stderr
    assert f"can't write disk/{OUTPUTS[form]}: No space left on device; nothing was changed" in ran.stderr


WRITING = """
import sys
from pathlib import Path
from gamesales.cli.main import run
import gamesales.training.export as exporting
def predictions(*arguments):
    Path("written").touch()
    import time
    time.sleep(60)
exporting.predictions = predictions
import signal
from gamesales.cli.main import _terminate
signal.signal(signal.SIGTERM, _terminate)
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("stop", "code", "left"), [(signal.SIGTERM, 143, 0), (signal.SIGKILL, -signal.SIGKILL, 1)], ids=["term", "kill"]
)
@pytest.mark.parametrize("form", ["keras", "savedmodel"])
def test_an_export_that_is_stopped_leaves_what_was_there(export, registry, form, stop, code, left):
    """The process stops where all is written and nothing is moved; SIGKILL leaves the hidden folder, and no more."""
    assert export(form).code == 0
    before = everything()
    arguments = ["export", "1", "--format", form, "--output", OUTPUTS[form], "--force", "--registry", registry.location]
    process = subprocess.Popen([sys.executable, "-c", WRITING, *arguments], stderr=subprocess.DEVNULL)
    while not Path("written").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(stop)
    assert process.wait(timeout=60) == code
    Path("written").unlink()
    hidden = [path for path in Path().iterdir() if path.name.startswith(".gamesales-")]
    assert len(hidden) == left
    after = {name: data for name, data in everything().items() if not name.startswith(".gamesales-")}
    assert after == before
    assert export(form, "--force").code == 0
