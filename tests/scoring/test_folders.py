"""Folders that must not be read as they are: tables of a table format, and folders that are still written."""

import json
import sys

import pytest
from pyarrow import parquet

from gamesales.errors import InputError, TryAgainError
from gamesales.scoring.inputs import find_files
from gamesales.scoring.listing import InputRules
from support.versions import titles_table


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with one Parquet file in ``in/``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    parquet.write_table(titles_table(1), tmp_path / "in/a.parquet")
    return tmp_path


def find_names(*sources, **rules):
    return [file.name for file in find_files([str(source) for source in sources], InputRules(**rules))]


def make(path, content=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


class TestTableFormats:
    """The files of a table format include rows that are not current."""

    @pytest.mark.parametrize(
        ("marker", "name"),
        [
            ("_delta_log/00000000000000000000.json", "Delta Lake"),
            ("metadata/00000-a.metadata.json", "Iceberg"),
            ("metadata/v1.gz.metadata.json", "Iceberg"),
            ("metadata/snap-1.avro", "Iceberg"),
            (".hoodie/hoodie.properties", "Hudi"),
            ("snapshot/snapshot-1", "Paimon"),
        ],
    )
    @pytest.mark.parametrize("source", [".", "in/*.parquet", "in/a.parquet", "**/*.parquet", "in/../in"])
    def test_tables_are_refused(self, here, marker, name, source, monkeypatch):
        """A table is refused, however its files are named, also as a folder of the input."""
        make(here / "in" / marker)
        if name == "Delta Lake" and source == "in/../in":
            monkeypatch.setitem(sys.modules, "deltalake", None)  # which reads the table
        with pytest.raises(InputError, match=f"is a table of {name} .it has {marker[:5]}") as failure:
            find_names(source)
        assert "xport the current rows" in failure.value.hint
        assert ("pip install 'gamesales[lake]'" in failure.value.hint) == (name == "Delta Lake")
        assert "spark.read.format(" in failure.value.hint

    def test_partition_of_table(self, here):
        """A partition of a table is a part of the table."""
        make(here / "in/_delta_log/00000000000000000000.json")
        (here / "in/region=eu").mkdir()
        parquet.write_table(titles_table(1), here / "in/region=eu/b.parquet")
        (here / "link").symlink_to("in/region=eu")
        for source in ("in/region=eu", "link", "link/b.parquet"):
            with pytest.raises(InputError, match=f"^{here}/in is a table of Delta Lake"):
                find_names(source)

    @pytest.mark.parametrize("linked", ["a.parquet", "region=eu"])
    def test_link_into_table(self, here, linked):
        """A link in an input folder to a file or a partition of a table is refused."""
        make(here / "in/_delta_log/00000000000000000000.json")
        (here / "in/region=eu").mkdir()
        parquet.write_table(titles_table(1), here / "in/region=eu/b.parquet")
        (here / "other").mkdir()
        (here / "other" / linked).symlink_to(f"../in/{linked}")
        with pytest.raises(InputError, match=f"^{here}/in is a table of Delta Lake"):
            find_names("other")

    def test_excluded_table(self, here):
        """A table in a folder that the job excludes is not read."""
        make(here / "in/archive/_delta_log/00000000000000000000.json")
        assert ["a.parquet"] == find_names("in", exclude=("archive/*",))
        with pytest.raises(InputError, match="is a table of Delta Lake"):
            find_names("in", exclude=("archive/_delta_log/*", "_delta_log"))

    @pytest.mark.parametrize("folder", ["metadata", "snapshot"])
    def test_plain_folder(self, here, folder):
        """A folder named metadata is no table without the files of one."""
        make(here / f"in/{folder}/notes.md")
        assert ["a.parquet"] == find_names("in", exclude=("*.md",))

    def test_replaced_files_of_databricks(self, here):
        """A file that a later transaction replaced, and that is still there, is named."""
        make(here / "in/_committed_1", json.dumps({"added": ["a.parquet"], "removed": []}))
        make(here / "in/_started_1")
        assert ["a.parquet"] == find_names("in")
        make(here / "in/_committed_2", json.dumps({"added": [], "removed": ["a.parquet", "gone.parquet"]}))
        with pytest.raises(InputError, match=r"^in has a\.parquet, which a later transaction of Databricks replaced$"):
            find_names("in")

    def test_damaged_log_of_databricks(self, here):
        """A log that can't be read says nothing."""
        make(here / "in/_committed_1", "[]")
        make(here / "in/_committed_2", "{")
        assert ["a.parquet"] == find_names("in")


class TestLeftovers:
    """A writer that has not finished leaves names by which it is recognized."""

    @pytest.mark.parametrize(
        "name",
        [
            "_temporary/0/task",
            ".spark-staging-1/b",
            ".hive-staging_1/b",
            "_started_7",
            "b.csv.tmp",
            "b.parquet.crdownload",
            "b.csv.part",
            "b.csv.partial",
            "b.csv.filepart",
            "b._COPYING_",
            ".~lock.b.csv#",
            ".b.csv.Xa3K9d",
            ".part-0-0.inprogress.1",
            "sub/c.tmp",
        ],
    )
    def test_leftovers_in_folder(self, here, name):
        """A leftover in a folder stops the run; the job can exclude it."""
        make(here / "in" / name)
        shown = "in/" + ("sub/c.tmp" if name == "sub/c.tmp" else name.split("/", maxsplit=1)[0])
        with pytest.raises(TryAgainError) as failure:
            find_names("in")
        assert failure.value.message == f"a writer has not finished, or was interrupted: it left {shown}"
        assert ["a.parquet"] == find_names("in", exclude=(shown.removeprefix("in/"),))

    @pytest.mark.parametrize("name", ["_temporary/x", "_started_7", ".~lock.a.parquet#", "a.parquet.part"])
    @pytest.mark.parametrize("source", ["in/a.parquet", "in/*.parquet"])
    def test_leftovers_beside_file(self, here, name, source):
        """A file that is named has leftovers of its folder, and leftovers with its name."""
        make(here / "in" / name)
        with pytest.raises(TryAgainError, match="has not finished"):
            find_names(source)
        assert ["a.parquet"] == find_names(source, exclude=("_temporary", "_started_*", ".~lock.*#", "*.part"))

    @pytest.mark.parametrize("name", ["b.csv.part", ".~lock.b.csv#", "_committed_7", "_committed_vacuum7", "x.parts"])
    def test_other_names_beside_file(self, here, name):
        """Leftovers of other files do not stop a run that names its files."""
        make(here / "in" / name)
        assert ["a.parquet"] == find_names("in/a.parquet") == find_names("in/*.parquet")

    def test_own_temporary_file(self, here):
        """A temporary file that a killed command of gamesales left is ignored."""
        make(here / "in/.gamesales-0123456789abcdef.tmp")
        assert ["a.parquet"] == find_names("in")

    def test_finished_transaction(self, here):
        """A transaction that has begun and ended is complete."""
        make(here / "in/_started_7")
        make(here / "in/_committed_7", "{}")
        assert ["a.parquet"] == find_names("in")

    def test_staging_above_partition(self, here):
        """A writer of a dataset is also a writer of its partitions."""
        make(here / "in/_temporary/0/task")
        (here / "in/year=2026/month=11").mkdir(parents=True)
        (here / "in/a.parquet").rename(here / "in/year=2026/month=11/a.parquet")
        for source in ("in/year=2026", "in/year=2026/month=11/*", "in/year=2026/month=11/a.parquet"):
            with pytest.raises(TryAgainError, match=r"it left in/_temporary$"):
                find_names(source)

    def test_current_folder_is_partition(self, here, monkeypatch):
        """A writer is noticed from within a partition too."""
        make(here / "in/_temporary/0/task")
        make(here / "in/region=eu/b.csv")
        monkeypatch.chdir(here / "in/region=eu")
        with pytest.raises(TryAgainError, match=r"it left .*/in/_temporary$"):
            find_names(".")

    def test_glob_into_staging(self, here):
        """A glob that matches files of a writer that has not finished is refused."""
        make(here / "in/new/_temporary/0/b.csv")
        with pytest.raises(TryAgainError, match=r"it left in/new/_temporary$"):
            find_names("in/**/*.csv")

    def test_folder_without_list_permission(self, here, monkeypatch):
        """A file in a folder that can't be listed is read."""

        def refuse(folder):
            raise PermissionError(13, "Permission denied", str(folder))

        monkeypatch.setattr("os.listdir", refuse)
        assert ["a.parquet"] == find_names("in/a.parquet")

    @pytest.mark.parametrize("source", ["in/new/*.csv", "in/new/b.csv", "in/new"])
    @pytest.mark.parametrize("name", ["_temporary/0/task", "b.csv.part"])
    def test_leftovers_without_file(self, here, source, name):
        """A file that is about to come is no date without titles."""
        make(here / "in/new" / name)
        if source == "in/new/*.csv" and name == "b.csv.part":
            assert [] == find_names(source, allow_empty=True)  # the name of the file is not known
            return
        with pytest.raises(TryAgainError, match=f"it left in/new/{name[:4]}"):
            find_names(source, allow_empty=True)

    def test_leftover_by_name(self, here):
        """A file that is named itself is read, also if its name looks unfinished."""
        (here / "in/a.parquet").rename(here / "in/a.tmp")
        assert ["a.tmp"] == find_names("in/a.tmp")
        with pytest.raises(TryAgainError, match=r"it left in/a\.tmp$"):
            find_names("in/*")
