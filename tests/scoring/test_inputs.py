"""The files of a run: which files of a folder are read, and which folders are refused."""

import gzip
import os

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.errors import InputError, InputNotFoundError, TryAgainError, UsageError
from gamesales.scoring.inputs import find_files
from gamesales.scoring.listing import InputRules
from support.runs import GOOD, csv_text
from support.versions import FEATURES, titles_table


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


TITLES = csv_text([GOOD], FEATURES)


def write(path, content=TITLES):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def write_parquet(path, rows=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(titles_table(rows), path)
    return path


def find_names(*sources, **rules):
    return [file.name for file in find_files([str(source) for source in sources], InputRules(**rules))]


class TestFiles:
    """Which files a run reads."""

    def test_folder_is_searched_deep(self, here):
        """A folder is searched at any depth, in a stable order."""
        for name in ("b.csv", "a.parquet", "sub/c.csv", "sub/deeper/a.CSV"):
            write(here / "in" / name)
        assert find_names("in") == ["a.parquet", "b.csv", "sub/c.csv", "sub/deeper/a.CSV"]

    @pytest.mark.parametrize("hidden", [".a.csv", "_a.csv", ".tmp/a.csv", "_rejects/a.csv", "x/_b/a.csv"])
    def test_hidden_files_are_ignored(self, here, hidden):
        """Names that begin with . or _ are ignored."""
        write(here / "in" / hidden)
        write(here / "in/run_date=2026-11-23/a.csv")
        assert find_names("in") == ["run_date=2026-11-23/a.csv"]

    @pytest.mark.parametrize("hidden", [".#a.csv", "_b.csv"])
    def test_hidden_broken_link_is_ignored(self, here, hidden):
        """A hidden broken link, as an editor leaves it next to an open file, is ignored."""
        write(here / "in/a.csv")
        (here / "in" / hidden).symlink_to("somebody@somewhere.4711")
        assert find_names("in") == ["a.csv"]

    def test_broken_link_is_refused(self, here):
        """A visible broken link is an error."""
        write(here / "in/a.csv")
        (here / "in/b.csv").symlink_to("gone.csv")
        with pytest.raises(InputNotFoundError, match=r"^in/b\.csv is a broken link$"):
            find_names("in")

    def test_link_to_itself_is_refused(self, here):
        """A link that points to itself is broken, also where links are compared with the outputs of the run."""
        (here / "in").mkdir()
        (here / "in/b.csv").symlink_to("b.csv")
        with pytest.raises(InputNotFoundError, match=r"^in/b\.csv is a broken link$"):
            find_names("in", outputs=[here / "out"])

    def test_linked_folders_are_searched(self, here):
        """Linked folders are searched, each file once, in any disk order; circular links end."""
        write(here / "far/away/x.csv")
        write(here / "in/z/y.csv")
        (here / "in/b").symlink_to(here / "far")
        (here / "in/a").symlink_to(here / "far/away")
        (here / "in/z/up").symlink_to(here / "in")
        assert find_names("in") == ["a/x.csv", "z/y.csv"]

    def test_hidden_file_by_name(self, here):
        """A hidden file is read if it is named itself."""
        write(here / "_a.csv")
        assert find_names("_a.csv") == ["_a.csv"]

    def test_folder_in_hidden_folder(self, here):
        """A folder inside a hidden folder is read if it is named itself."""
        write(here / ".cache/in/a.csv")
        assert find_names(".cache/in") == ["a.csv"]

    def test_glob_matches_files_and_folders(self, here):
        """A glob names files and folders."""
        for name in ("x1.csv", "x2.csv", "y.csv", "xs/z.csv"):
            write(here / name)
        assert find_names("x*") == ["x1.csv", "x2.csv", "xs/z.csv"]
        assert find_names(here / "x?.csv") == ["x1.csv", "x2.csv"]
        assert find_names("**/z.csv") == ["xs/z.csv"]
        write(here / "xs.csv")
        assert find_names("xs*") == ["xs/z.csv", "xs.csv"]

    @pytest.mark.parametrize("name", ["a[1].csv", "a*.csv", "what?.csv", "[x]/a.csv"])
    def test_name_looks_like_glob(self, here, name):
        """A file whose name looks like a glob is read."""
        write(here / name)
        assert find_names(name) == [name.rsplit("/", 1)[-1]]
        assert find_names("*") == [name]

    def test_file_is_read_once(self, here):
        """A file that is named several times is read once."""
        write(here / "in/a.csv")
        (here / "link.csv").symlink_to(here / "in/a.csv")
        assert find_names("in/a.csv", "in", "./in/../in/a.csv", "link.csv", here / "in/*") == ["a.csv"]

    def test_sources_keep_order(self, here):
        """Sources keep their order."""
        for name in ("a.csv", "b.csv"):
            write(here / name)
        assert find_names("b.csv", "a.csv") == ["b.csv", "a.csv"]

    @pytest.mark.parametrize("source", ["none.csv", "empty", "*.csv", "none/a.csv", "dangling.csv", "dang*", "[d]*"])
    def test_empty_source_is_named(self, here, source):
        """A source without files is named."""
        (here / "empty").mkdir()
        (here / "empty/_SUCCESS").touch()
        (here / "dangling.csv").symlink_to("nowhere.csv")
        (here / "d[angling].csv").symlink_to("nowhere.csv")
        with pytest.raises(InputNotFoundError) as failure:
            find_names(source)
        expected = f"nothing to score at {source}: expected a CSV or Parquet file, or a folder of them"
        assert expected == failure.value.message

    def test_other_urls_are_refused(self, here):
        """A URL of another kind is refused, and its password and options are not shown."""
        with pytest.raises(UsageError, match="expected a path, s3://BUCKET/PREFIX") as failure:
            find_names("https://user:secret@host/a.csv?sig=secret")
        assert failure.value.message.endswith("received 'https:…host/a.csv…'")
        with pytest.raises(UsageError, match="S3://bucket/a"):
            find_names("S3://bucket/a")

    def test_one_empty_source_is_error(self, here):
        """One source without files is an error, also with other sources."""
        write(here / "a.csv")
        with pytest.raises(InputNotFoundError, match=r"nothing to score at none\.csv"):
            find_names("a.csv", "none.csv")

    def test_equal_names_use_paths(self, here):
        """Files with equal names are named by their paths."""
        for name in ("one/a.csv", "two/a.csv", "two/b.csv"):
            write(here / name)
        assert find_names("one", "two") == ["one/a.csv", "two/a.csv", "b.csv"]


class TestContent:
    """In a folder, a file is read by its name or its content, or it is an error."""

    def test_content_decides(self, here):
        """Parquet and compressed files are read whatever their names are, and hidden files are skipped."""
        for name in ("20261129_000001_00037", "b.parq", "c.dat"):
            write_parquet(here / "in" / name)
        (here / "in/part.gz").write_bytes(gzip.compress(csv_text([GOOD]).encode()))
        (here / "in/part.csv.zst").write_bytes(pa.compress(csv_text([GOOD]).encode(), codec="zstd", asbytes=True))
        (here / "in/_SUCCESS").touch()
        (here / "in/.part.crc").write_bytes(b"crc")
        assert ["20261129_000001_00037", "b.parq", "c.dat", "part.csv.zst", "part.gz"] == find_names("in")

    def test_other_files_are_named(self, here):
        """Each file that is not read is named, with the job key that excludes it."""
        write(here / "in/a.csv")
        for name in ("README.md", "sub/notes.md", "contract.toml", "SHA256SUMS", "empty"):
            write(here / "in" / name, "" if name == "empty" else "text")
        with pytest.raises(InputError) as failure:
            find_names("in")
        assert failure.value.message == (
            "expected tables only, found files that are neither Parquet nor named .csv: "
            "in/README.md, in/SHA256SUMS, in/contract.toml, in/empty, in/sub/notes.md"
        )
        assert 'in the job file: exclude = ["*.md", "SHA256SUMS", "*.toml", "empty"]. Or' in failure.value.hint
        exclude = ("*.md", "SHA256SUMS", "*.toml", "empty")
        assert ["a.csv"] == find_names("in", exclude=exclude)

    def test_long_list_is_limited(self, here):
        """A message lists at most 20 files."""
        for number in range(25):
            write(here / f"in/{number:02}.txt")
        with pytest.raises(InputError, match=r"in/19\.txt and 5 more$"):
            find_names("in")

    @pytest.mark.parametrize(
        ("exclude", "expected"),
        [
            (("checksums/*",), ["a.csv", "sub/b.csv"]),
            (("checksums",), ["a.csv", "sub/b.csv"]),
            (("checksums/", "sub/*.csv"), ["a.csv"]),
            (("*.md5", "b.csv"), ["a.csv"]),
            (("c*", "[ab].csv"), []),
        ],
    )
    def test_excluded_files_are_skipped(self, here, exclude, expected):
        """A pattern matches the path below the input folder, the name, or a folder with all its files."""
        for name in ("a.csv", "sub/b.csv", "checksums/a.md5", "checksums/deep/b.md5"):
            write(here / "in" / name)
        assert expected == find_names("in", exclude=exclude, allow_empty=True)
        assert expected == [name.removeprefix("in/") for name in find_names("i*", exclude=exclude, allow_empty=True)]

    def test_text_by_name(self, here):
        """A file that is named, or that matches a glob, is read whatever its suffix is."""
        write(here / "in/a.txt")
        write(here / "in/b")
        assert ["a.txt"] == find_names("in/a.txt") == find_names("in/*.txt")
        assert ["b"] == find_names("in/b")

    def test_pipe_is_named(self, here):
        """A pipe in a folder is named, and not opened."""
        (here / "in").mkdir()
        os.mkfifo(here / "in/pipe")
        with pytest.raises(InputError, match="in/pipe"):
            find_names("in")

    @pytest.mark.parametrize("source", ["in", "in/b.csv", "in/*.csv"])
    def test_pipe_with_a_name_of_a_table(self, here, source):
        """A pipe is refused before it is opened: without a writer it never ends."""
        write(here / "in/a.csv")
        os.mkfifo(here / "in/b.csv")
        with pytest.raises(InputError, match=r"^expected plain files, found pipes or devices: in/b\.csv$") as failure:
            find_names(source)
        assert failure.value.hint.endswith("gamesales score -")
        assert ["a.csv"] == find_names("in", exclude=("b.csv",))

    def test_hidden_partition_is_read(self, here):
        """A partition folder is data, also if the name of its column begins with an underscore."""
        write(here / "in/_region=eu/a.csv")
        assert ["_region=eu/a.csv"] == find_names("in")

    def test_names_are_utf8(self, here):
        """A name that is not UTF-8 is refused and shown escaped."""
        for name in (b"in/caf\xe9.csv", b"in/s\xfcb/a.csv"):
            write(here / os.fsdecode(name))
        with pytest.raises(InputError) as failure:
            find_names("in")
        assert "expected file names in UTF-8, found in/caf\\udce9.csv, in/s\\udcfcb/a.csv" == failure.value.message
        with pytest.raises(InputError, match="expected file names in UTF-8"):
            find_names("in/*.csv")


class TestRequired:
    """A file that each input folder must have."""

    @pytest.mark.parametrize("source", ["in", "in/*.csv", "in/a.csv", "i*"])
    def test_required_file(self, here, source):
        """Without the file, the run can't be done now; the file itself is not an input."""
        write(here / "in/a.csv")
        with pytest.raises(TryAgainError, match=r"^in has no done\.txt, which the job requires in each input folder$"):
            find_names(source, require="done.txt")
        write(here / "in/done.txt", "")
        assert ["a.csv"] == [name.removeprefix("in/") for name in find_names(source, require="done.txt")]

    @pytest.mark.parametrize("source", ["in/2026-11-23", "in/2026-11-23/*.csv", "in/2026-11-23.csv"])
    @pytest.mark.parametrize("allow_empty", [False, True])
    def test_missing_input(self, here, source, allow_empty):
        """An input that does not exist is not complete, also where a date without titles is allowed."""
        write(here / "in/_SUCCESS", "")
        with pytest.raises(TryAgainError, match="has no _SUCCESS, which the job requires in each input folder"):
            find_names(source, require="_SUCCESS", allow_empty=allow_empty)

    def test_complete_without_files(self, here):
        """A folder with the required file and no titles is a date without titles."""
        write(here / "in/_SUCCESS", "")
        for source in ("in", "in/*.csv"):
            assert [] == find_names(source, require="_SUCCESS", allow_empty=True)
