"""``gamesales export``: every format, loaded by other programs, predicts what the scorer predicts."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import product
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
from gamesales.training.export import add_scaling, check_signature_names, clip_graph
from gamesales.training.keras_objects import load_keras
from gamesales.training.parity import TOLERANCE
from gamesales.training.scaling import Scaling
from gamesales.training.train_job import load_job
from support import warm_process
from support.runs import command_line, snapshot
from support.sampling import sample
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
    """A registry with one version that has many kinds of layers."""
    folder = tmp_path_factory.mktemp("exported")
    job = load_job(write_job(folder / "job.toml", network={"layers": LAYERS}))
    registry = open_registry(folder / "registry", job.name)
    train(job, registry)
    return registry


@pytest.fixture(scope="module")
def titles():
    """Titles inside and outside the training range: float32 (540, 9)."""
    outside = title_values(40, seed=2)
    outside[:, 0] *= np.linspace(0, 3, 40)
    outside[:, -1] = np.geomspace(0.01, 10_000, 40)
    return np.concatenate([title_values(500), outside]).astype(np.float32)


@pytest.fixture
def export(cli, registry):
    """Export the version. The default output is the one in OUTPUTS."""

    def run(form, *more, output=None, ref="1", of=registry):
        where = ("--output", output or OUTPUTS[form], "--registry", of.location)
        return cli("export", ref, "--format", form, *where, *more)

    return run


def close(predicted, registry, titles):
    """Whether predictions equal the scorer's, within the tolerance between graph and Keras."""
    bundle = registry.open_bundle(registry.find_version(1))
    expected = np.maximum(Scorer(bundle.read("scorer.onnx")).score(titles), 0)  # the target's minimum
    span = Scaling.from_dict(bundle.manifest["scaling"]).target_range
    predicted = np.asarray(predicted, np.float64)
    assert predicted.shape == expected.shape == (len(titles),)
    assert len(set(expected)) > 100
    return bool((np.abs(predicted - expected) <= TOLERANCE * np.maximum(np.abs(expected), span)).all())


# Formats

READ_KERAS = """
import sys, keras, numpy
model = keras.models.load_model(sys.argv[1], safe_mode=True)
numpy.save("predicted.npy", model.predict(numpy.load("titles.npy"), verbose=0))
assert "gamesales" not in sys.modules
"""
READ_SAVED = """
import sys, numpy, tensorflow as tf
names = sys.argv[2:]
titles = numpy.load("titles.npy")
signatures = tf.saved_model.load(sys.argv[1]).signatures
columns = {name: tf.constant(column) for name, column in zip(names, titles.T)}
numpy.save("predicted.npy", signatures["serving_default"](**columns)["earnings"])
numpy.save("matrix.npy", signatures["matrix"](titles=tf.constant(titles))["earnings"])
assert "gamesales" not in sys.modules
print(sorted(signatures["serving_default"].structured_input_signature[1]))
"""


def run_without_gamesales(script, titles, *arguments):
    """Run a script without gamesales in another process, in the current folder."""
    np.save("titles.npy", titles)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("form", sample("Keras reads", ["keras", "h5"], 1))
def test_keras_predicts_from_raw_columns(export, registry, titles, form):
    """Keras loads the file in safe mode, without gamesales, and predicts dollars from raw columns."""
    assert export(form).code == 0
    run_without_gamesales(READ_KERAS, titles, OUTPUTS[form])
    predicted = np.load("predicted.npy")
    assert predicted.shape == (len(titles), 1)
    assert close(predicted[:, 0], registry, titles)


@pytest.mark.slow
@pytest.mark.parametrize("form", sample("TensorFlow reads", ["savedmodel", "tfserving"], 1))
def test_tensorflow_takes_columns_or_matrix(export, registry, titles, form):
    """TensorFlow loads the folder and takes named columns or a matrix."""
    assert export(form).code == 0
    folder = Path(OUTPUTS[form]) / ("1" if form == "tfserving" else "")
    assert (folder / "saved_model.pb").is_file()
    assert run_without_gamesales(READ_SAVED, titles, folder, *FEATURES).strip() == str(sorted(FEATURES))
    assert close(np.load("predicted.npy"), registry, titles)
    assert close(np.load("matrix.npy"), registry, titles)


def test_onnx_is_clipped_graph(export, registry, titles):
    """The ONNX export is the scoring graph, with predictions clipped at the target's minimum."""
    assert export("onnx").code == 0
    content = Path("model.onnx").read_bytes()
    graph = registry.open_bundle(registry.find_version(1)).read("scorer.onnx")
    assert clip_graph(graph, 0.0, math.inf) == content
    assert clip_graph(graph, -math.inf, math.inf) == graph
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert close(session.run(["earnings"], {"titles": titles})[0], registry, titles)


@pytest.mark.parametrize("form", FORMATS)
def test_dense_network_is_exported(export, trained_registry, form):
    """The course's network, whose scoring graph has the scaling in its weights, can be exported."""
    document = export(form, "--json", of=trained_registry).document
    assert (document["format"], document["rows_checked"]) == (form, 4_016)
    assert 0 <= document["largest_difference"] < 3


def test_large_values_keep_digits(tmp_path):
    """Values with more digits than float32, such as seconds since 1970, are scaled in float64."""
    keras = load_keras()
    scaling = Scaling(("released",), "earned", np.array([1 / 5e7, 1 / 3e5]), np.array([-34.0, -1 / 3]))
    network = keras.Sequential([keras.Input((1,)), keras.layers.Activation("linear")])
    released = np.linspace(1.70e9, 1.75e9, 100).astype(np.float32)[:, None]
    for name in ("model.keras", "model.h5"):
        add_scaling(network, scaling).save(tmp_path / name)
        model = keras.models.load_model(tmp_path / name, compile=False)
        by_hand = scaling.unscale_target(scaling.scale_features(released.astype(np.float64)).astype(np.float32))
        np.testing.assert_allclose(np.asarray(model(released)), by_hand, rtol=1e-14)
        assert model.trainable_variables == []


@pytest.mark.parametrize(
    "limits", [(0.0, math.inf), (-50.0, math.inf), (-math.inf, 120.0), (-math.inf, 0.0), (-50.0, 120.0), (10.0, 90.0)]
)
def test_exports_are_clipped(limits):
    """Keras and ONNX clip predictions at the limits of the target, and change no other prediction."""
    keras = load_keras()
    scaling = Scaling(("x",), "y", np.array([1 / 300.0, 1 / 500.0]), np.array([0.5, 0.4]))
    network = keras.Sequential([keras.Input((1,)), keras.layers.Activation("linear")])
    values = np.linspace(-200, 200, 101).astype(np.float32)[:, None]
    plain = np.asarray(add_scaling(network, scaling)(values))[:, 0]
    clipped = np.asarray(add_scaling(network, scaling, limits)(values))[:, 0]
    np.testing.assert_allclose(clipped, np.clip(plain, *limits), rtol=0, atol=1e-10)
    graph = simple_graph(bias=-5_000.0)
    titles = title_values(200)
    expected = np.clip(Scorer(graph).score(titles), *(100 * limit for limit in limits))
    assert np.array_equal(Scorer(clip_graph(graph, *(100 * limit for limit in limits))).score(titles), expected)


# Output


def test_export_output(export, registry):
    """The result is printed as text or as a document."""
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


@pytest.mark.slow
@pytest.mark.parametrize("form", sample("export prints", ["keras", "h5", "savedmodel"], 1))
def test_export_prints_no_library_output(registry, tmp_path, form):
    """A fresh process prints nothing of TensorFlow and Keras."""
    command = command_line("export", "1", "--format", form, "--output", OUTPUTS[form], "--registry", registry.location)
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr, ran.stdout.count("\n")) == (0, "", 1)


def test_tfserving_config(export, tmp_path):
    """The output has a configuration for TensorFlow Serving."""
    ran = export("tfserving")
    assert "model_config_list {" in ran.out
    assert f'base_path: "{tmp_path}/served"' in ran.out
    assert "specific { versions: 1 }" in ran.out
    assert [path.name for path in Path("served").iterdir()] == ["1"]


def test_tfserving_keeps_other_versions(export):
    """A version is added to the versions that TensorFlow Serving has."""
    Path("served/7").mkdir(parents=True)
    assert export("tfserving").code == 0
    assert sorted(path.name for path in Path("served").iterdir()) == ["1", "7"]
    assert export("tfserving").code == 2


# Errors, which leave nothing behind


def everything():
    """Return all files and folders in the current folder, with the files' bytes."""
    return snapshot(Path())


@pytest.mark.parametrize(
    ("form", "output", "message"),
    [
        ("pmml", "m.pmml", "no format 'pmml'; expected one of keras, h5, onnx, savedmodel, tfserving"),
        ("keras", "model.h5", "--output model.h5 does not end in .keras"),
        ("onnx", "model", "--output model does not end in .onnx"),
        ("h5", "no/folder/model.h5", "there is no folder "),
        ("tfserving", "no/folder/served", "there is no folder "),
    ],
)
def test_wrong_format_or_output(export, form, output, message):
    """A wrong format or output exits with 2."""
    ran = export(form, output=output)
    assert ran.code == 2
    assert message in ran.err
    assert everything() == {}


@pytest.mark.parametrize("missing", [["--format", "onnx"], ["--output", "x.onnx"]])
def test_missing_options(cli, registry, missing):
    """--format and --output are required."""
    assert cli("export", "1", "--registry", registry.location, *missing).code == 2


def test_export_unknown_version(export):
    """An unknown version exits with 4."""
    ran = export("onnx", ref="9")
    assert ran.code == 4
    assert "no version 9 of game-earnings" in ran.err
    assert everything() == {}


@pytest.mark.parametrize("form", ["onnx", "savedmodel"])
def test_force_replaces_export(export, form):
    """--force replaces an existing export as a whole. Without it, nothing changes."""
    output = Path(OUTPUTS[form])
    assert export(form).code == 0
    part = output / "saved_model.pb" if form == "savedmodel" else output
    part.write_bytes(b"old")
    (output / "left over").touch() if form == "savedmodel" else None
    before = everything()
    ran = export(form)
    assert (ran.code, everything()) == (2, before)
    assert f"{output} exists" in ran.err
    assert "--force" in ran.err
    assert export(form, "--force").code == 0
    assert part.read_bytes() != b"old"
    assert not (output / "left over").exists()
    assert [path.name for path in Path().iterdir()] == [output.name]


def test_force_keeps_other_files(export):
    """--force does not replace what is no export. A wrong --output must not delete a folder."""
    Path("saved").mkdir()
    Path("saved/thesis.txt").write_text("years")
    Path("model.onnx").mkdir()
    before = everything()
    for form in ("savedmodel", "onnx"):
        assert export(form, "--force").code == 2
    assert everything() == before


@pytest.mark.parametrize("form", ["onnx", "savedmodel"])
def test_symbolic_link_is_kept(export, form):
    """A symbolic link needs --force and stays a link."""
    output = Path(OUTPUTS[form])
    Path("elsewhere").mkdir()
    target = Path("elsewhere") / output.name
    output.symlink_to(target)
    assert export(form).code == 2
    assert not target.exists()
    for _ in range(2):  # first a link to nothing, then a link to an export
        assert export(form, "--force").code == 0
        assert output.is_symlink()
        assert target.exists()
    assert [path.name for path in Path("elsewhere").iterdir()] == [output.name]


def test_changed_network_is_refused(export, trained_registry):
    """A changed network is found before it is loaded."""
    (path,) = Path("registry").glob("game-earnings/bundles/*/model.keras")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = everything()
    ran = export("keras", of=trained_registry)
    assert ran.code == 4
    assert "model.keras was changed: expected sha256" in ran.err
    assert everything() == before
    assert export("onnx", of=trained_registry).code == 0, "ONNX needs no model.keras"


def republished(registry, **changes):
    """Publish version 1 again with changed files or manifest keys. None leaves a file or key out."""
    bundle = registry.open_bundle(registry.find_version(1))
    files = {name: changes.get(name, bundle.read(name)) for name in bundle.files}
    details = {**bundle.manifest, **changes}
    for name in ("format", "model", "files", *files):
        details.pop(name, None)
    kept = [{key: value for key, value in part.items() if value is not None} for part in (files, details)]
    return str(registry.publish(*kept, "for a test"))


def test_other_network_is_refused(export, trained_registry, registry):
    """A bundle with the network of another version is refused."""
    other = registry.open_bundle(registry.find_version(1)).read("model.keras")
    number = republished(trained_registry, **{"model.keras": other})
    before = everything()
    for form in ("keras", "savedmodel"):
        ran = export(form, "--json", ref=number, of=trained_registry)
        assert (ran.code, ran.document["error"]["code"]) == (4, "parity")
        assert f"the export as {form} differs from the scorer: " in ran.document["error"]["message"]
    assert everything() == before


def test_lambda_layer_is_refused(export, trained_registry, tmp_path):
    """A Lambda layer holds Python bytecode, and Keras's safe mode refuses it."""
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
        (None, "has no usable scaling"),
        ({"columns": []}, "has no usable scaling"),
        ({"columns": [{"name": "x", "scale": 0.0, "offset": 1.0}]}, "scales other than 0"),
        ({"columns": [{"name": "x", "scale": 1.0, "offset": 1.0}] * 2}, "scales x, but its contract has critic_rating"),
    ],
)
def test_wrong_scaling_is_refused(export, trained_registry, scaling, message):
    """A manifest without the scaling of its columns is refused."""
    ran = export("keras", ref=republished(trained_registry, scaling=scaling), of=trained_registry)
    assert ran.code == 4
    assert message in ran.err


def test_bundle_without_network(export, simple_registry):
    """The error for a bundle without a network lists its files."""
    details = {"features": [*FEATURES, "total_earnings"]}
    columns = [{"name": name, "scale": 1e-4, "offset": 0.0} for name in details["features"]]
    bundle = simple_registry.open_bundle(simple_registry.find_version(publish_simple(simple_registry)))
    kept = {key: value for key, value in bundle.manifest.items() if key not in ("format", "model", "files")}
    number = simple_registry.publish({"scorer.onnx": simple_graph()}, {**kept, "scaling": {"columns": columns}}, "")
    ran = export("h5", ref=str(number), of=simple_registry)
    assert ran.code == 4
    assert "lists no model.keras; it holds scorer.onnx" in ran.err
    assert export("onnx", ref=str(number), of=simple_registry).code == 0


@pytest.mark.parametrize("name", ["self", "unit price", "x-y", "1st", "_a", "größe", ""])
def test_wrong_input_name(name):
    """A column that can't name an input is an error. TensorFlow would rename x-y to x_y."""
    with pytest.raises(UsageError, match=f"can't name its inputs {re.escape(repr(name))}; expected letters"):
        check_signature_names(["critic_rating", name])


def test_scaling_round_trip():
    """A scaling is read back from JSON with every digit."""
    scaling = Scaling(("a", "b"), "c", np.array([1 / 3, 2.0, 1e-7]), np.array([-1e-17, 0.1, 7.0]))
    again = Scaling.from_dict(json.loads(json.dumps(scaling.as_dict())))
    assert (again.features, again.target) == (scaling.features, scaling.target)
    np.testing.assert_array_equal([again.scale, again.offset], [scaling.scale, scaling.offset])


# A full disk and a stopped process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "kilobytes"), sample("export disk", product(["keras", "h5", "savedmodel"], [8, 24]), 2)
)
def test_full_disk(registry, tmp_path, form, kilobytes):
    """A full disk is reported, and nothing is left on it."""
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
exporting.predict_with_export = predictions
import signal
from gamesales.cli.main import _terminate
signal.signal(signal.SIGTERM, _terminate)
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "code", "left"), [(signal.SIGTERM, 143, 0), (signal.SIGKILL, -signal.SIGKILL, 1)], ids=["term", "kill"]
)
@pytest.mark.parametrize("form", ["keras", "savedmodel"])
def test_stopped_export(export, registry, form, stop, code, left):
    """A stopped export keeps the old export. SIGKILL leaves only a hidden folder."""
    assert export(form).code == 0
    before = everything()
    arguments = ["export", "1", "--format", form, "--output", OUTPUTS[form], "--force", "--registry", registry.location]
    process = warm_process.start(arguments, script=WRITING)
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
