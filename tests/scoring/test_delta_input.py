"""Delta tables as inputs: the active files of one version, and the tables that are refused."""

import json
import shutil
import string
import struct
import sys
from datetime import date

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data.dialect import DEFAULT_FORMAT, TableFormat
from gamesales.errors import InputError, InputNotFoundError, TryAgainError
from gamesales.scoring import delta_input
from gamesales.scoring.delta_input import DeltaInput
from gamesales.scoring.inputs import find_files
from gamesales.storage import cloud
from gamesales.storage.object_path import ObjectPath
from support import objects, servers
from support.fault_proxy import Fault, FaultProxy, lose_store
from support.runs import read_csv, score, simple_version
from support.versions import titles_table

deltalake = pytest.importorskip("deltalake")


def write(path, table, mode="append", **options):
    deltalake.write_deltalake(str(path), table, mode=mode, **options)


def read_rows(source, table_format=DEFAULT_FORMAT):
    """All rows of a source as dictionaries, file by file."""
    rows = []
    for file in find_files([str(source)]):
        table = file.open(table_format)
        for batch in table.read_batches(table.schema.names):
            rows += batch.table.to_pylist()
    return rows


@pytest.fixture
def table(tmp_path):
    """A table whose first three rows were overwritten by two."""
    write(tmp_path / "table", titles_table(3))
    write(tmp_path / "table", titles_table(2), mode="overwrite")
    return tmp_path / "table"


class TestVersions:
    """Which version is read."""

    def test_newest_version(self, table):
        """The newest version is read, without overwritten rows."""
        assert titles_table(2).to_pylist() == read_rows(table)

    def test_named_version(self, table):
        """PATH@vN is read at version N."""
        assert titles_table(3).to_pylist() == read_rows(f"{table}@v0")
        assert titles_table(2).to_pylist() == read_rows(f"{table}@v1")

    def test_missing_version(self, table):
        """A version that does not exist is refused."""
        with pytest.raises(
            InputNotFoundError, match=r"table has no version 7; its log has versions 0 to 1$"
        ) as failure:
            read_rows(f"{table}@v7")
        assert failure.value.hint == f"Name the newest version: {table}@v1, or {table}"

    def test_forgotten_version(self, table):
        """A version that the log no longer has is refused."""
        deltalake.DeltaTable(table).create_checkpoint()
        (table / "_delta_log" / f"{0:020}.json").unlink()
        with pytest.raises(InputNotFoundError, match=r"table has no version 0; its log has version 1 only$"):
            read_rows(f"{table}@v0")

    def test_version_without_history(self, table):
        """A version that does not exist is refused in a table whose writer does not describe its commits."""
        for commit in (table / "_delta_log").glob("*.json"):
            lines = commit.read_text().splitlines(keepends=True)
            commit.write_text("".join(line for line in lines if "commitInfo" not in line))
        with pytest.raises(InputNotFoundError, match=r"table has no version 7; its log has versions 0 to 1$"):
            read_rows(f"{table}@v7")

    def test_damaged_version(self, table):
        """A version that the log has, but that can't be read, is refused as a damaged table."""
        (table / "_delta_log" / f"{0:020}.json").write_text("{")
        with pytest.raises(InputError, match=r"can't be read as a table of Delta Lake in version 0: ") as failure:
            read_rows(f"{table}@v0")
        assert failure.value.hint == f"Check {table}/_delta_log"

    def test_name_like_a_version(self, table):
        """A folder whose name ends like a version is read as it is named."""
        shutil.move(table, table.with_name("table@v0"))
        assert 2 == len(read_rows(table.with_name("table@v0")))
        with pytest.raises(InputNotFoundError):
            read_rows(table.with_name("table@v7"))

    def test_version_is_part_of_the_run(self, table, tmp_path):
        """The run id has the version: equal files in another version are another run."""
        first = score(simple_version(), table, tmp_path / "first.csv")
        write(table, titles_table(2)[:0])
        second = score(simple_version(), table, tmp_path / "second.csv")
        pinned = score(simple_version(), f"{table}@v1", tmp_path / "pinned.csv")
        assert first.run_id == pinned.run_id != second.run_id
        assert 2 == first.rows_in == second.rows_in

    def test_checkpoint_is_read(self, table):
        """A log that begins with a checkpoint gives the same rows."""
        deltalake.DeltaTable(str(table)).create_checkpoint()
        for path in (table / "_delta_log").glob("*.json"):
            path.unlink()
        assert titles_table(2).to_pylist() == read_rows(table)


class TestColumns:
    """The log has the columns, their types and the values of partition columns."""

    def test_partition_values(self, tmp_path):
        """Partition columns have the types and values of the log, also nulls and odd characters."""
        more = {"day": [date(2026, 11, 23), None], "shop": ["a b/%c é", "x=y"], "is_new": [True, False]}
        table = titles_table(2)
        for name, values in more.items():
            table = table.append_column(name, pa.array(values))
        write(tmp_path / "table", table, partition_by=list(more))
        rows = read_rows(tmp_path / "table")
        assert sorted(table.to_pylist(), key=str) == sorted(rows, key=str)

    def test_feature_as_partition(self, tmp_path):
        """A feature may be a partition column."""
        table = titles_table(50)
        write(tmp_path / "table", table, partition_by=["is_sports"])
        write(tmp_path / "plain", table)
        score(simple_version(), tmp_path / "table", tmp_path / "a.csv")
        score(simple_version(), tmp_path / "plain", tmp_path / "b.csv")
        values = [sorted(row["predicted_earnings"] for row in read_csv(tmp_path / name)) for name in ("a.csv", "b.csv")]
        assert values[0] == values[1]

    def test_names_do_not_matter(self, tmp_path):
        """The values of partition columns come from the log, not from the paths of the files."""
        table = titles_table(1).append_column("shop", pa.array(["a"]))
        write(tmp_path / "table", table, partition_by=["shop"])
        (tmp_path / "table/shop=a").rename(tmp_path / "table/shop=b")
        edit_log(tmp_path / "table", lambda line: line.replace('"path":"shop=a', '"path":"shop=b'))
        assert table.to_pylist() == read_rows(tmp_path / "table")

    def test_newer_partitions(self, tmp_path):
        """A table whose partition columns were changed has the columns of each version."""
        table = titles_table(2).append_column("shop", pa.array(["a", "b"])).append_column("kind", pa.array(["x", "y"]))
        write(tmp_path / "table", table, partition_by=["shop"])
        write(tmp_path / "table", table, mode="overwrite", schema_mode="overwrite", partition_by=["kind"])
        for version in (0, 1):
            rows = read_rows(f"{tmp_path}/table@v{version}")
            assert sorted(table.to_pylist(), key=str) == sorted(rows, key=str)

    def test_added_column(self, tmp_path):
        """A column that was added later is null in the rows before."""
        write(tmp_path / "table", titles_table(1))
        write(tmp_path / "table", titles_table(1).append_column("shop", pa.array(["a"])), schema_mode="merge")
        assert {None, "a"} == {row["shop"] for row in read_rows(tmp_path / "table")}
        assert 2 == score(simple_version(), tmp_path / "table", tmp_path / "out.parquet").rows_scored

    def test_renamed_columns(self, tmp_path):
        """Columns of the job apply to the columns of the table."""
        table = titles_table(1).append_column("shop", pa.array(["a"]))
        write(tmp_path / "table", table, partition_by=["shop"])
        row = read_rows(tmp_path / "table", TableFormat(columns={"store": "shop"}))[0]
        assert "a" == row["store"]


def edit_log(folder, edit, number=0):
    path = folder / f"_delta_log/{number:020d}.json"
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")


def add_feature(feature, **configuration):
    """An edit of a log that adds a feature of readers."""

    def edit(text):
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            if "protocol" in line:
                line["protocol"] = {
                    "minReaderVersion": 3,
                    "minWriterVersion": 7,
                    "readerFeatures": [feature],
                    "writerFeatures": [feature],
                }
            if "metaData" in line:
                line["metaData"]["configuration"] |= configuration
        return "\n".join(map(json.dumps, lines))

    return edit


def encode_z85(data):
    """Encode bytes as ZeroMQ's Z85 does, in which a log has short deletion vectors."""
    letters = string.digits + string.ascii_letters + ".-:+=^!/*?&<>()[]{}@%$#"
    padded = data + bytes(-len(data) % 4)
    numbers = [int.from_bytes(padded[start : start + 4]) for start in range(0, len(padded), 4)]
    return "".join(letters[number // 85**power % 85] for number in numbers for power in (4, 3, 2, 1, 0))


class TestRefused:
    """Tables whose active files, read as they are, would give other rows."""

    def test_deletion_vector(self, tmp_path):
        """A file with a deletion vector is refused by name."""
        write(tmp_path / "table", titles_table(40))
        path = find_files([str(tmp_path / "table")])[0].path
        bitmap = struct.pack("<IQIIIHHIH", 1_681_511_377, 1, 0, 12_346, 1, 0, 0, 16, 5)  # row 5 is deleted
        vector = {
            "storageType": "i",
            "pathOrInlineDv": encode_z85(bitmap),
            "sizeInBytes": len(bitmap),
            "cardinality": 1,
        }

        def edit(text):
            lines = [json.loads(line) for line in add_feature("deletionVectors")(text).splitlines()]
            for line in lines:
                if "add" in line:
                    line["add"]["deletionVector"] = vector
            return "\n".join(map(json.dumps, lines))

        edit_log(tmp_path / "table", edit)
        with pytest.raises(InputError, match=rf"has files with deletion vectors, .*: file://{path}$"):
            read_rows(tmp_path / "table")

    def test_lost_deletion_vector(self, tmp_path):
        """A deletion vector that can't be read is an error."""
        write(tmp_path / "table", titles_table(3))
        vector = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "sizeInBytes": 34, "cardinality": 1}
        edit_log(
            tmp_path / "table",
            lambda text: add_feature("deletionVectors")(text).replace(
                '"dataChange": true', f'"dataChange": true, "deletionVector": {json.dumps(vector | {"offset": 1})}'
            ),
        )
        with pytest.raises(InputError, match=r"can't be read as a table of Delta Lake: .*File not found"):
            read_rows(tmp_path / "table")

    def test_unused_deletion_vectors(self, tmp_path):
        """A table that allows deletion vectors and has none is read."""
        write(tmp_path / "table", titles_table(3))
        edit_log(tmp_path / "table", add_feature("deletionVectors"))
        assert 3 == len(read_rows(tmp_path / "table"))

    def test_column_mapping(self, tmp_path):
        """Mapped columns are refused."""
        write(tmp_path / "table", titles_table(3))
        edit_log(tmp_path / "table", add_feature("columnMapping", **{"delta.columnMapping.mode": "name"}))
        with pytest.raises(InputError, match=r"columnMapping|column mapping|maps its columns"):
            read_rows(tmp_path / "table")

    @pytest.mark.parametrize("feature", ["variantType", "typeWidening", "inAnotherDecade"])
    def test_unknown_feature(self, tmp_path, feature):
        """A table that needs another feature is refused by name."""
        write(tmp_path / "table", titles_table(3))
        edit_log(tmp_path / "table", add_feature(feature))
        with pytest.raises(InputError, match=feature):
            read_rows(tmp_path / "table")

    @pytest.mark.parametrize(
        ("name", "hint"), [("table", "Run it again: it reads the newest version"), ("table@v1", "Name a newer version")]
    )
    def test_removed_file(self, table, name, hint):
        """A file of the version that was removed is an error to try again."""
        path = find_files([str(table)])[0].path
        path.unlink()
        with pytest.raises(TryAgainError, match=rf"{path} of version 1 of {table} was removed") as failure:
            read_rows(table.with_name(name))
        assert failure.value.hint.startswith(hint)

    @pytest.mark.parametrize("path", ["{0}", "file://{0}", "../{1}", "..%2F{1}", "s3://bucket/{1}"])
    def test_file_outside_the_table(self, tmp_path, path):
        """A log can't make a run read files outside the table, as those of a shallow clone."""
        write(tmp_path / "table", titles_table(3))
        (part,) = (tmp_path / "table").glob("*.parquet")
        outside = part.rename(tmp_path / part.name)
        edit_log(tmp_path / "table", lambda text: text.replace(part.name, path.format(outside, part.name)))
        with pytest.raises(InputError, match="names a file outside the table, as a shallow clone does"):
            read_rows(tmp_path / "table")

    def test_changed_file(self, table):
        """A file of another size than in the log is refused."""
        path = find_files([str(table)])[0].path
        parquet.write_table(titles_table(9), path)
        with pytest.raises(InputError, match=r"bytes, but .* in the log of its table; it was changed$"):
            read_rows(table)

    def test_part_of_a_table(self, table):
        """A file of a table, and a folder with a table in it, are refused with a hint to name the table."""
        path = find_files([str(table)])[0].path
        for source in (path, table.parent, f"{table}/*.parquet"):
            with pytest.raises(InputError, match=f"{table} is a table of Delta Lake") as failure:
                find_files([str(source)])
            assert f"Name the table itself as an input: {table}" in failure.value.hint

    def test_damaged_log(self, tmp_path):
        """A folder with a log that is none is refused."""
        (tmp_path / "table/_delta_log").mkdir(parents=True)
        (tmp_path / "table/_delta_log/00000000000000000000.json").write_text("{", encoding="utf-8")
        with pytest.raises(InputError, match="can't be read as a table of Delta Lake"):
            read_rows(tmp_path / "table")

    def test_without_deltalake(self, table, monkeypatch):
        """Without deltalake, the hint says what to install."""
        monkeypatch.setitem(sys.modules, "deltalake", None)
        with pytest.raises(InputError, match="is a table of Delta Lake") as failure:
            read_rows(table)
        assert "pip install 'gamesales[lake]'" in failure.value.hint


@pytest.mark.parametrize(
    ("fault", "kind", "match"),
    [("denied", InputError, "403 Forbidden"), ("broken", TryAgainError, "503 Service Unavailable")],
)
def test_store_fails(monkeypatch, fault, kind, match):
    """A failure of the store while the log is read has the exit code of any other failure of a store."""
    servers.s3(fault).enter(monkeypatch)
    with pytest.raises(kind, match=rf"^s3://registries/table: .*{match}$"):
        DeltaInput(ObjectPath.from_url("s3://registries/table"))


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_table_in_a_store(request, tmp_path, monkeypatch, kind):
    """A table in a store gives the run of a local copy, with the same version."""
    table = titles_table(20).append_column("shop", pa.array(["a b", "c%d"] * 10))
    write(tmp_path / "table", table, partition_by=["shop"])
    write(tmp_path / "table", table.slice(0, 5))
    url = f"{request.getfixturevalue(kind).enter(monkeypatch)}/a b#é"
    objects.upload(tmp_path / "table", url)
    local = score(simple_version(), tmp_path / "table", tmp_path / "a.parquet")
    stored = score(simple_version(), url, tmp_path / "b.parquet")
    assert local.run_id == stored.run_id
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert 20 == score(simple_version(), f"{url}@v0", tmp_path / "c.parquet").rows_in


def test_store_is_gone(s3, tmp_path, monkeypatch):
    """A store that is gone from any request on is no fault of the table, also where the log has a checkpoint."""
    monkeypatch.setattr(delta_input, "_TIMEOUTS", {**delta_input._TIMEOUTS, "max_retries": "0"})
    monkeypatch.setitem(cloud._RETRIES, "max_retries", 0)
    for rows in (3, 2):
        write(tmp_path / "table", titles_table(rows))
    deltalake.DeltaTable(str(tmp_path / "table")).create_checkpoint()
    url = s3.enter(monkeypatch)
    objects.upload(tmp_path / "table", url)
    number, is_read = 1, False
    while not is_read:
        with FaultProxy(s3, lose_store(number, Fault.CUT_BEFORE)) as proxy, proxy.server.entered():
            try:
                list(DeltaInput(ObjectPath.from_url(url)).list_files())
                is_read = True
            except TryAgainError:
                number += 1
    assert number > 3
