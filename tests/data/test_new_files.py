"""Writing several new files: all or none, and no existing file is replaced."""

import pytest

from gamesales.data import new_files
from gamesales.data.new_files import write_new_files
from gamesales.errors import UsageError


def writer(text):
    return lambda path: path.write_text(text, encoding="utf-8")


def list_names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_writes_files_and_folders(tmp_path):
    """The folders of the files are made, and nothing else is left."""
    write_new_files({tmp_path / "new/data/a.txt": writer("a"), tmp_path / "new/jobs/b.txt": writer("b")})
    assert ["new", "new/data", "new/data/a.txt", "new/jobs", "new/jobs/b.txt"] == list_names(tmp_path)
    assert "b" == (tmp_path / "new/jobs/b.txt").read_text(encoding="utf-8")


def test_existing_files_are_named(tmp_path):
    """Existing files are named, and no file is written."""
    (tmp_path / "b.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"b\.txt exists already; nothing was written"):
        write_new_files({tmp_path / "new/a.txt": writer("a"), tmp_path / "b.txt": writer("b")})
    assert ["b.txt"] == list_names(tmp_path)
    assert "mine" == (tmp_path / "b.txt").read_text(encoding="utf-8")


def test_failing_writer(tmp_path):
    """If a file can't be written, neither files nor folders are left."""

    def fail(path):
        path.write_text("half", encoding="utf-8")
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        write_new_files({tmp_path / "new/a.txt": writer("a"), tmp_path / "new/deep/b.txt": fail})
    assert [] == list_names(tmp_path)


def test_name_taken_meanwhile(tmp_path, monkeypatch):
    """A file that another process makes in between is kept, and the files before it are removed."""
    monkeypatch.setattr(new_files, "require_new", lambda _: (tmp_path / "b.txt").write_text("theirs", "utf-8"))
    with pytest.raises(UsageError, match=r"b\.txt exists already"):
        write_new_files({tmp_path / "a.txt": writer("a"), tmp_path / "b.txt": writer("b")})
    assert ["b.txt"] == list_names(tmp_path)
    assert "theirs" == (tmp_path / "b.txt").read_text(encoding="utf-8")


def test_file_in_the_way(tmp_path):
    """A file where a folder should be is named."""
    (tmp_path / "data").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="data is a file, expected a folder"):
        write_new_files({tmp_path / "data/a.txt": writer("a")})
