"""Inputs in object stores: a tree of tables in a store gives the run that a local copy of it gives."""

import gzip
import pickle
import secrets
import sys
from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data.dialect import CsvDialect, TableFormat
from gamesales.errors import GamesalesError, InputError, TryAgainError
from gamesales.scoring.inputs import find_files, find_inputs
from gamesales.scoring.listing import InputRules
from gamesales.scoring.plan import make_plan
from gamesales.storage import cloud
from support import objects, servers
from support.fault_proxy import FaultProxy, draw_faults
from support.runs import DAY, GOOD, csv_text, score, simple_version
from support.versions import FEATURES, titles_table

TITLES = csv_text([GOOD, GOOD]).encode()


def parquet_bytes(table, **options):
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


# Files of a folder: tables, files of other programs, and what writers leave.
CONTENT = {
    "a.csv": TITLES,
    "b.parquet": parquet_bytes(titles_table(3)),
    "c.csv.gz": gzip.compress(TITLES, mtime=0),
    "20261129_000001_00037": parquet_bytes(titles_table(2)),
    "part.gz": gzip.compress(TITLES, mtime=0),
    "notes.md": b"text",
    "_SUCCESS": b"",
    ".a.csv.crc": b"crc",
    "d.csv.tmp": b"text",
}
FOLDERS = ("", "region=eu/", "region=us/", "_region=x/", "sub/", "_delta_log/", "_temporary/", "metadata/", ".hidden/")
TREES = st.dictionaries(
    st.tuples(st.sampled_from(FOLDERS), st.sampled_from([*CONTENT])).map("".join),
    st.none(),
    min_size=1,
    max_size=5,
).map(list)
SOURCES = st.sampled_from(["", "/*", "/*.csv", "/**/*.parquet", "/region=*/*", "/a.csv", "/region=eu", "/sub", "/gone"])
RULES = st.builds(
    InputRules,
    exclude=st.sampled_from([(), ("*.md",), ("*.md", "sub/*", "*.tmp")]),
    require=st.sampled_from([None, None, "_SUCCESS"]),
    allow_empty=st.booleans(),
)


@pytest.fixture(scope="module")
def bucket(s3):
    """The URL of an empty folder in a store."""
    with pytest.MonkeyPatch.context() as patch:
        yield s3.enter(patch)


@pytest.fixture
def url(bucket):
    return f"{bucket}/{secrets.token_hex(4)}"


def write_tree(folder, url, paths):
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CONTENT[file.name])
    objects.upload(folder, url)


def outcome(find, place):
    """What a function returns or raises, with the place of the files left out."""
    try:
        return find()
    except GamesalesError as error:
        return type(error), error.message.replace(place, "IN").replace("IN/", "IN"), error.hint.replace(place, "IN")


@settings(max_examples=40)
@given(TREES, SOURCES, RULES)
def test_listing_agrees_with_a_disk(bucket, tmp_path_factory, paths, source, rules):
    """A tree in a store has the files, or the error, of a local copy."""
    folder, url = tmp_path_factory.mktemp("tree"), f"{bucket}/{secrets.token_hex(4)}"
    write_tree(folder, url, paths)

    def find(place):
        return outcome(lambda: [file.name for file in find_files([place + source], rules)], place)

    assert find(str(folder)) == find(url)


@settings(max_examples=10)
@given(
    st.lists(
        st.sampled_from(["a.csv", "region=eu/a.csv", "region=us/c.csv.gz", "sub/part.gz"]), min_size=1, unique=True
    )
)
def test_run_agrees_with_a_disk(bucket, tmp_path_factory, paths):
    """A tree in a store gives the run id and the bytes that a local copy gives."""
    paths = [path for path in paths if ("region" in path) == ("region" in paths[0])]
    folder, url = tmp_path_factory.mktemp("tree"), f"{bucket}/{secrets.token_hex(4)}"
    write_tree(folder / "in", url, paths)
    require_equal_runs(folder, folder / "in", url)


def require_equal_runs(folder, local, url, **planned):
    version = simple_version()
    reports = [
        score(version, source, folder / name, **planned)
        for source, name in ((local, "local.parquet"), (url, "url.parquet"))
    ]
    assert reports[0].run_id == reports[1].run_id
    assert [entry.name for entry in reports[0].inputs] == [entry.name for entry in reports[1].inputs]
    assert (folder / "local.parquet").read_bytes() == (folder / "url.parquet").read_bytes()


class TestRuns:
    """Runs on objects."""

    @pytest.fixture(autouse=True)
    def _small_steps(self, monkeypatch):
        """Several shards and batches, and reads of a part of an object."""
        monkeypatch.setattr("gamesales.data.parquet_file.BATCH_ROWS", 500)
        monkeypatch.setattr("gamesales.data.csv_scan.CHUNK_BYTES", 20_000)
        monkeypatch.setattr("gamesales.scoring.shard_bounds.MIN_SHARD_ROWS", 1_000)
        monkeypatch.setattr("gamesales.storage.stored_object._SMALL_BYTES", 10_000)

    @pytest.mark.parametrize("kind", ["a.parquet", "a.csv", "a.csv.gz", "a.csv.zst", "a.txt"])
    def test_formats(self, tmp_path, url, kind):
        """Every format gives the same bytes from a store: Parquet, CSV, compressed, and in another encoding."""
        table = titles_table(4_000)
        rows = zip(*(map(str, table.column(name).to_pylist()) for name in table.schema.names), strict=True)
        text = csv_text(rows, table.schema.names)
        content = {
            "a.parquet": parquet_bytes(table, row_group_size=700),
            "a.csv": text.encode(),
            "a.csv.gz": gzip.compress(text.encode()),
            "a.csv.zst": pa.compress(text.encode(), codec="zstd", asbytes=True),
            "a.txt": text.encode("utf-16"),
        }[kind]
        (tmp_path / kind).write_bytes(content)
        objects.put(f"{url}/{kind}", content)
        planned = {"table_format": TableFormat(CsvDialect(encoding="utf-16"))} if kind == "a.txt" else {}
        require_equal_runs(tmp_path, tmp_path / kind, f"{url}/{kind}", workers=2, **planned)

    @pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
    def test_changed_after_the_plan(self, tmp_path, url, name):
        """An object that changes between planning and reading is refused, and nothing is published."""
        contents = [TITLES if name == "a.csv" else parquet_bytes(titles_table(3)) for _ in range(2)]
        objects.put(f"{url}/{name}", contents[0] * 1)
        version = simple_version()
        with find_inputs([url]) as files:
            plan = make_plan(files, version.contract, version.digest, {"run_date": str(DAY)})
        objects.put(f"{url}/{name}", contents[1][:-1] + b" ")
        with pytest.raises(TryAgainError, match=rf"^{url}/{name} was changed or removed while this run needed it"):
            list(plan.inputs[0].table.read_batches(FEATURES))

    def test_pickled_input(self, url):
        """A pickle of a planned input reads its rows, as on another machine."""
        objects.put(f"{url}/a.parquet", CONTENT["b.parquet"])
        version = simple_version()
        with find_inputs([url]) as files:
            plan = make_plan(files, version.contract, version.digest, {"run_date": str(DAY)})
        source = pickle.loads(pickle.dumps(plan.inputs[0]))
        with source.require_unchanged():
            batches = list(source.table.read_batches(FEATURES))
        assert titles_table(3).select(FEATURES).to_pylist() == batches[0].table.to_pylist()

    def test_changed_while_planned(self, url):
        """An object that changes while it is planned is refused."""
        objects.put(f"{url}/a.csv", TITLES * 1_000)
        version = simple_version()
        with find_inputs([url]) as files:
            objects.put(f"{url}/a.csv", TITLES * 1_001)
            with pytest.raises(TryAgainError, match="was changed or removed while this run needed it"):
                make_plan(files, version.contract, version.digest, {"run_date": str(DAY)})

    @pytest.mark.parametrize("cut", ["csv.gz", "csv.zst"])
    def test_damage_is_named(self, tmp_path, url, cut):
        """Damaged compressed data in a store has the message that it has on a disk."""
        whole = gzip.compress(TITLES * 99) if cut == "csv.gz" else pa.compress(TITLES * 99, codec="zstd", asbytes=True)
        objects.put(f"{url}/a.{cut}", whole[: len(whole) // 2])
        with pytest.raises(InputError, match=rf"{url}/a.{cut} is damaged or incomplete compressed data"):
            score(simple_version(), url, tmp_path / "out.parquet")

    def test_joined_parquet_is_refused(self, tmp_path, url):
        """Parquet files that were joined by cat are refused, as on a disk."""
        objects.put(f"{url}/a.parquet", CONTENT["b.parquet"] * 2)
        with pytest.raises(InputError, match=rf"^{url}/a.parquet is several Parquet files in one"):
            score(simple_version(), url, tmp_path / "out.parquet")

    def test_cut_parquet_is_try_again(self, tmp_path, url):
        """A Parquet object without its footer is incomplete."""
        objects.put(f"{url}/a.parquet", CONTENT["b.parquet"][:-20])
        with pytest.raises(TryAgainError, match="lacks the footer of a Parquet file"):
            score(simple_version(), url, tmp_path / "out.parquet")

    def test_local_and_remote_mixed(self, tmp_path, url):
        """A run reads files on a disk and objects together, in the order of the sources."""
        (tmp_path / "z.csv").write_bytes(TITLES)
        objects.put(f"{url}/a.csv", TITLES)
        report = score(simple_version(), [tmp_path / "z.csv", f"{url}/*"], tmp_path / "out.parquet")
        assert ["z.csv", "a.csv"] == [entry.name for entry in report.inputs]
        assert 4 == report.rows_scored


def test_azure_agrees_with_a_disk(azure, tmp_path, monkeypatch):
    """Objects in Azure give the run of a local copy."""
    url = azure.enter(monkeypatch)
    write_tree(tmp_path / "in", url, ["region=eu/a.csv", "region=us/b.parquet", "region=us/_SUCCESS"])
    (tmp_path / "in/region=us/b.parquet").unlink()
    objects.delete(f"{url}/region=us/b.parquet")
    write_tree(tmp_path / "in", url, ["region=us/c.csv.gz"])
    require_equal_runs(tmp_path, tmp_path / "in", url)


@pytest.mark.parametrize(("whole_bytes", "limit"), [(1 << 30, 26), (0, 60)])
def test_requests_of_a_large_file(tmp_path, monkeypatch, whole_bytes, limit):
    """A Parquet file of a million rows takes few requests: it is read twice, in large ranges.

    Large row groups are read in pieces of each column, and give the same bytes.
    """
    monkeypatch.setattr("gamesales.data.parquet_file._WHOLE_GROUPS_BYTES", whole_bytes)
    server = servers.s3("counting")
    url = f"{server.enter(monkeypatch)}/a.parquet"
    table = pa.concat_tables([titles_table(10_000)] * 100)
    content = parquet_bytes(table, row_group_size=250_000, use_dictionary=False)
    objects.put(url, content)
    servers.take_requests(server)
    score(simple_version(), url, tmp_path / "url.parquet")
    assert limit >= len(servers.take_requests(server))
    (tmp_path / "a.parquet").write_bytes(content)
    score(simple_version(), tmp_path / "a.parquet", tmp_path / "local.parquet")
    assert (tmp_path / "local.parquet").read_bytes() == (tmp_path / "url.parquet").read_bytes()


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
@pytest.mark.parametrize("seed", range(2))
def test_failing_requests(s3, tmp_path, monkeypatch, name, seed):
    """With 30% of the requests failing in any way, a run gives the same bytes."""
    waits = dict.fromkeys(("init_backoff", "max_backoff"), timedelta(milliseconds=1))
    monkeypatch.setitem(cloud._RETRIES, "backoff", cloud._RETRIES["backoff"] | waits)
    monkeypatch.setattr("gamesales.storage.stored_object._SMALL_BYTES", 10_000)
    table = titles_table(4_000)
    rows = zip(*(map(str, table.column(column).to_pylist()) for column in table.schema.names), strict=True)
    content = parquet_bytes(table, row_group_size=700) if name == "a.parquet" else csv_text(rows).encode()
    (tmp_path / name).write_bytes(content)
    url = f"{s3.enter(monkeypatch)}/{name}"
    objects.put(url, content)
    with FaultProxy(s3, draw_faults(0.3, seed)) as proxy, proxy.server.entered():
        require_equal_runs(tmp_path, tmp_path / name, url)
        assert str(proxy), "no request failed"


class TestCommand:
    """The command line with URLs."""

    def test_job_file(self, cli, simple_registry, tmp_path, bucket, url):
        """The root of a job file does not apply to URLs; a date in a URL is replaced."""
        objects.put(f"{url}/day=2026-11-23/a.csv", TITLES)
        (tmp_path / "jobs").mkdir()
        (tmp_path / "jobs/score.toml").write_text(
            f'root = ".."\ninputs = ["{url}/day={{date}}/*.csv"]\noutput = "out.parquet"\n', encoding="utf-8"
        )
        dry = cli("score", "--dry-run", "--date", "2026-11-23", "--json")
        assert ["a.csv"] == [entry["name"] for entry in dry.document["inputs"]]
        ran = cli("score", "--date", "2026-11-23", "--json")
        assert 0 == ran.code, ran.err
        assert 2 == ran.document["rows_scored"]
        assert dry.document["run_id"] == ran.document["run_id"]

    def test_missing_prefix(self, cli, simple_registry, url):
        """A prefix without objects is an input that is not found."""
        ran = cli("score", f"{url}/gone/", "--output", "out.parquet")
        assert 3 == ran.code
        assert f"nothing to score at {url}/gone/" in ran.err

    def test_missing_obstore(self, cli, simple_registry, monkeypatch):
        """Without obstore, the command says what to install."""
        monkeypatch.setitem(sys.modules, "obstore", None)
        ran = cli("score", "s3://elsewhere/in", "--output", "out.parquet")
        assert 2 == ran.code
        assert "pip install 'gamesales[cloud]'" in ran.err
