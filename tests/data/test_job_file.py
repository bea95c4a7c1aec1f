"""The root of a job file, at which its relative paths start."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamesales.data.contract import read_toml
from gamesales.data.job_file import format_job_file, read_job_file
from gamesales.errors import JobFileError
from support.train_jobs import as_toml

KEYS = {"inputs": None, "output": None, "registry": "registry", "data.train": None, "data.contract": "contract.toml"}


@pytest.fixture
def read(tmp_path):
    """Read a job file with some keys in ``shop/jobs``. A key with a dot is in a table."""
    (tmp_path / "shop/jobs").mkdir(parents=True)

    def read_job(**keys):
        lines = [f"{key.replace('__', '.')} = {as_toml(value)}" for key, value in keys.items()]
        path = tmp_path / "shop/jobs/job.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return read_job_file(path, KEYS)

    return read_job


def test_paths_start_at_root(read, tmp_path):
    """Relative paths start at the root, and keys that hold no path stay."""
    shop = str(tmp_path / "shop")
    job = read(root="..", inputs=["in/{date}", "*.csv"], output="out", data__train="a.csv", name="in")
    assert {
        "inputs": [f"{shop}/in/{{date}}", f"{shop}/*.csv"],
        "output": f"{shop}/out",
        "registry": f"{shop}/registry",
        "data": {"train": f"{shop}/a.csv", "contract": f"{shop}/contract.toml"},
        "name": "in",
    } == job


@pytest.mark.parametrize(
    "path", ["/srv/out", "s3://bucket/a", "gs://b", "az://c/d", "memory:", "file:///srv/registry", "s3:/mistyped"]
)
def test_absolute_paths_and_urls_stay(read, path):
    """Absolute paths and URLs do not start at the root."""
    assert (path, [path]) == tuple(read(root="..", registry=path, inputs=[path])[key] for key in ("registry", "inputs"))


@pytest.mark.parametrize(
    ("root", "folder"), [("..", "shop"), (".", "shop/jobs"), ("../..", ""), ("../jobs/..", "shop")]
)
def test_root_starts_at_job_file(read, tmp_path, monkeypatch, root, folder):
    """The root is relative to the job file, whatever the current folder is."""
    monkeypatch.chdir("/")
    assert str(tmp_path / folder / "out") == read(root=root, output="out")["output"]


def test_root_through_relative_path(read, tmp_path, monkeypatch):
    """A job file that is named by a relative path has the same paths."""
    job = read(root="..", output="out")
    for folder, path in (("shop/jobs", "job.toml"), ("shop", "jobs/job.toml"), ("", "shop/jobs/../jobs/job.toml")):
        monkeypatch.chdir(tmp_path / folder)
        assert job == read_job_file(Path(path), KEYS)


def test_absolute_root(read, tmp_path):
    """A root may be absolute."""
    (tmp_path / "elsewhere").mkdir()
    assert str(tmp_path / "elsewhere/out") == read(root=str(tmp_path / "elsewhere"), output="out")["output"]


def test_root_with_wildcard_in_name(tmp_path):
    """A root whose name has brackets is not a pattern in a glob below it."""
    import glob

    folder = tmp_path / "shop [1]"
    folder.mkdir()
    (folder / "a.csv").touch()
    (folder / "job.toml").write_text('root = "."\ninputs = ["*.csv", "a.csv"]\n', encoding="utf-8")
    pattern, file = read_job_file(folder / "job.toml", KEYS)["inputs"]
    assert ([f"{folder}/a.csv"], f"{folder}/a.csv") == (glob.glob(pattern), file)  # noqa: PTH207


@pytest.mark.parametrize("root", ["", 3, ["."], True])
def test_root_is_text(read, root):
    """A root that is not text is an error that shows it."""
    with pytest.raises(JobFileError, match="root expects a folder relative to the job file"):
        read(root=root)


def test_root_is_folder(read, tmp_path):
    """A root that is no folder is named in full."""
    with pytest.raises(JobFileError, match=f"but '../none' is {tmp_path}/shop/none, which is no folder"):
        read(root="../none")


def test_wrong_values_stay(read):
    """Values that are no paths stay, so that the check of the job reports them."""
    job = read(root="..", inputs=[1, ""], output="", data="x", registry=3)
    assert ([1, ""], "", "x", 3) == (job["inputs"], job["output"], job["data"], job["registry"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(
    st.dictionaries(
        st.sampled_from(["inputs", "output", "registry", "name", "data"]),
        st.one_of(st.integers(), st.booleans(), st.sampled_from(["", "a/b.csv", "..", "s3://b"])),
    )
)
def test_nothing_changes_without_root(tmp_path, keys):
    """Without a root, the file is read as it is."""
    path = tmp_path / "job.toml"
    path.write_text("\n".join(f"{key} = {as_toml(value)}" for key, value in keys.items()), encoding="utf-8")
    assert read_toml(path) == read_job_file(path, KEYS)


keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
scalars = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f")) | st.booleans() | st.integers(-9, 9)
)
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(keys, parts, max_size=3),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys.filter(lambda key: key != "root"), values.filter(lambda value: value != {}), max_size=4))
def test_formatted_job_reads_again(tmp_path, job):
    """A job that is formatted as a file is the same job when it is read again."""
    path = tmp_path / "job.toml"
    path.write_text(format_job_file(job), encoding="utf-8", newline="")
    assert job == read_job_file(path, {})


def test_missing_values_are_left_out():
    """A key without a value and an empty table are not written. Tables of a list have lines of their own."""
    job = {"name": "a", "registry": None, "csv": {}, "network": {"layers": [{"layer": "Dense", "units": 1}]}}
    assert format_job_file(job) == ('name = "a"\n\n[network]\nlayers = [\n  { layer = "Dense", units = 1 },\n]\n')
