"""``gamesales report --site``: the folder that it writes, updates and refuses, and what its pages say."""

import json
import os
import shutil
from pathlib import Path

import pytest
from jsonschema import validate

from gamesales.jobs.loading import open_registry
from gamesales.jobs.site import write_site
from gamesales.storage.store import LocalStore
from support.pages import HOSTILE, Outline, read_text
from support.runs import read_failure, snapshot
from support.sites import NIGHTS, SECOND_MODEL, make_site_data
from support.versions import ROOT

SITE = ("report", "--site", "site", "--output", "predictions")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    make_site_data(folder)
    return folder


@pytest.fixture
def site(data, cli, tmp_path):
    """The data in the working folder, and a function that writes the site."""
    for name in ("registry", "predictions"):
        shutil.copytree(data / name, tmp_path / name)

    def write(*more):
        ran = cli(*SITE, *more)
        assert (0, "") == (ran.code, ran.err)
        return ran

    return write


def read_page(path):
    document = Path(path).read_text(encoding="utf-8")
    Outline(document)
    return read_text(document)


def read_links(path):
    """All links of a page, but those to a place on the page itself."""
    tags = Outline(Path(path).read_text(encoding="utf-8")).tags
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    return [link for link in links if not link.startswith("#")]


def test_result(site):
    """The command names the first page. Its document has a schema."""
    document = site("--json").document
    validate(document, json.loads((ROOT / "docs/reference/report.schema.json").read_bytes()))
    assert {"page": "site/index.html", "versions": 7, "models": ["game-earnings", SECOND_MODEL]}.items() <= (
        document.items()
    )
    assert "2 models, 7 versions and 11 runs of registry/\nsite     site/index.html\n" == site().out


def test_every_link_leads_to_a_file(site):
    """The pages of versions and runs are in the folder, so that it can be copied whole."""
    site()
    links = [
        (page, link) for page in Path("site").rglob("index.html") for link in read_links(page) if "://" not in link
    ]
    assert [link for page, link in links if not (page.parent / link).is_file()] == []
    targets = {(page.parent / link).resolve().relative_to(Path("site").resolve()).as_posix() for page, link in links}
    assert 7 == sum(target.endswith("report.html") for target in targets)
    assert 10 == sum("/runs/" in target for target in targets)


def test_texts(site):
    """The pages say who promoted what and why, and how the nights went."""
    site()
    text = read_page("site/game-earnings/index.html")
    for expected in (
        "Version 5 has been the champion since",
        "rolled back to version 2",
        "promoted version 3 was version 2, forced past the gate",
        "drifted predictions on the first night",
        "$1,140, before $1,500",
        "$1,049 to $1,243",
        "withheld",
        "unit_price",
        "Error of past predictions",
        "gamesales rollback --reason TEXT",
    ):
        assert expected in text, expected
    assert "2 models, 7 versions and 11 runs." in read_page("site/index.html")


def test_texts_are_no_markup(site):
    """Reasons can't add a tag to a page, or end its data."""
    site()
    path = f"site/{SECOND_MODEL}/index.html"
    document = Path(path).read_text(encoding="utf-8")
    outline = Outline(document)
    assert 2 == sum(tag == "script" for tag, _ in outline.tags)
    assert "img" not in {tag for tag, _ in outline.tags}
    assert HOSTILE in read_text(document)


def test_same_state_same_bytes(site):
    """A second build writes nothing, and a new folder gets the same bytes."""
    site()
    before = snapshot(Path("site"))
    times = {path: path.stat().st_mtime_ns for path in Path("site").rglob("*.*")}
    site()
    assert times == {path: path.stat().st_mtime_ns for path in Path("site").rglob("*.*")}
    Path("site").rename("other")
    site()
    assert before == snapshot(Path("site"))


def test_update(site, cli):
    """A build after a change rewrites pages, and removes pages of removed runs. Files of others stay."""
    site()
    Path("site/CNAME").write_text("example.com")
    (run,) = Path("predictions").glob("run_date=2026-07-29")
    shutil.rmtree(run)
    assert 0 == cli("alias", "set", "trial", "2").code
    assert 1 == len(list(Path("site").rglob("2026-07-29-*.html")))
    site()
    assert 0 == len(list(Path("site").rglob("2026-07-29-*.html")))
    assert "@trial: set to version 2" in read_page("site/game-earnings/index.html")
    assert "example.com" == Path("site/CNAME").read_text()


@pytest.mark.parametrize("stop", [1, 4, 12, 20])
def test_killed_build(site, monkeypatch, stop):
    """After a build that stopped at a file, there is no first page, and the next build completes the site."""
    site()
    complete = snapshot(Path("site"))
    shutil.rmtree("site")
    replace, count = Path.replace, iter(range(1000))

    def stop_at(path, target):
        if next(count) == stop:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_at)
        with pytest.raises(KeyboardInterrupt):
            write_site("registry", [Path("predictions")], Path("site"))
    assert not Path("site/index.html").exists()
    site()
    assert complete == snapshot(Path("site"))


def test_leftover_of_a_killed_build(site):
    """A build that was killed before its first file does not stop the next build. Old temporary files are removed."""
    old, new = Path("site/.gamesales-0123456789abcdef.tmp"), Path("site/.gamesales-fedcba9876543210.tmp")
    old.parent.mkdir()
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    site()
    assert (False, True) == (old.exists(), new.exists())


def test_folder_in_place_of_a_page(site, cli):
    """A folder that has the path of a page is named in the message."""
    site()
    Path("site/index.html").unlink()
    Path("site/index.html").mkdir()
    code, message, _ = read_failure(cli(*SITE))
    assert (2, "site/index.html is a folder; expected a page of the site") == (code, message)


def test_link_to_nowhere(site, cli):
    """A link to a folder is followed, and a link to nothing is refused."""
    Path("site").symlink_to("elsewhere")
    code, message, hint = read_failure(cli(*SITE))
    assert (2, True, True) == (code, "a link to elsewhere" in message, hint.startswith("mkdir -p "))
    Path("elsewhere").mkdir()
    site()
    assert Path("elsewhere/index.html").exists()


@pytest.mark.parametrize("name", ["notes.txt", "index.html"])
def test_folder_of_others(site, cli, name):
    """A folder with other files is refused, and nothing is written."""
    Path("site").mkdir()
    Path("site", name).write_text("mine")
    code, message, hint = read_failure(cli(*SITE))
    assert (2, f"site holds other files, such as {name}, and no site of gamesales") == (code, message)
    assert "--site site" in hint
    assert [name] == [path.name for path in Path("site").iterdir()]


def test_file_of_others_in_a_site(site, cli):
    """A file of others is never replaced by a page of a new model."""
    site()
    shutil.rmtree(f"site/{SECOND_MODEL}")
    document = json.loads(Path("site/gamesales-site.json").read_text())
    document["files"] = {path: digest for path, digest in document["files"].items() if SECOND_MODEL not in path}
    Path("site/gamesales-site.json").write_text(json.dumps(document))
    Path("site", SECOND_MODEL).mkdir()
    Path("site", SECOND_MODEL, "index.html").write_text("mine")
    before = snapshot(Path("site"))
    code, message, _ = read_failure(cli(*SITE))
    assert (2, True) == (code, "is not a file of the site" in message)
    assert before == snapshot(Path("site"))


@pytest.mark.parametrize("files", [{"../victim": "x"}, {"/etc/x": "x"}, {"a": 1}, []])
def test_hostile_list(site, cli, files):
    """A list that names files outside of the site is refused."""
    Path("site").mkdir()
    Path("site/gamesales-site.json").write_text(json.dumps({"format": 1, "files": files}))
    assert 2 == read_failure(cli(*SITE))[0]


def test_damaged_page(site, cli):
    """A page that was changed in the registry is left out with a warning. A changed manifest is named on the page."""
    registry = open_registry("registry", "game-earnings")
    first, second = (Path("registry", registry.find_version(number).folder) for number in (1, 2))
    (first / "report.html").write_text("changed")
    (second / "MANIFEST.json").write_text("{}")
    ran = cli(*SITE)
    assert 0 == ran.code
    assert "can't be copied" in ran.err
    text = read_page("site/game-earnings/index.html")
    assert "Look at this" in text
    assert "Version 2 can't be read" in text
    assert 4 == sum(link.endswith("report.html") for link in set(read_links("site/game-earnings/index.html")))


def test_damaged_log(site, cli):
    """A damaged log is an error, and the site stays as it is."""
    site()
    before = snapshot(Path("site"))
    event = sorted(Path("registry/game-earnings/log").glob("*.json"))[3]
    event.write_bytes(event.read_bytes().replace(b"owner", b"other"))
    assert 4 == cli(*SITE).code
    assert before == snapshot(Path("site"))


def test_without_runs(site, cli):
    """A site can be made of a registry alone. An output without runs is an error if it is named."""
    assert 0 == cli("report", "--site", "site").code
    text = read_page("site/game-earnings/index.html")
    assert "How did the nights go?" not in text
    assert 3 == read_failure(cli("report", "--site", "site", "--output", "missing"))[0]
    assert 4 == read_failure(cli("report", "--site", "site", "--registry", "missing"))[0]


def test_outputs(site, cli):
    """Several outputs are on one page. A Delta table is one of them."""
    shutil.copytree("predictions", "again")
    ran = cli(*SITE, "--output", "again", "--json")
    assert (0, 2 * (NIGHTS - 2)) == (ran.code, ran.document["runs"])
    assert "runs-2/" in Path("site/game-earnings/index.html").read_text()
    assert 2 == cli("report", "--run", "2026-07-29", "--output", "predictions", "--output", "again").code


@pytest.mark.parametrize(("output", "form"), [("table", 'format = "delta"'), ("out.parquet", "")])
def test_kinds_of_outputs(site, cli, data, output, form):
    """Runs of a Delta table and of a single file have their pages too, and a second build copies none again."""
    shutil.copy(data / "usual.parquet", "usual.parquet")
    Path("job.toml").write_text(f'inputs = ["usual.parquet"]\noutput = "{output}"\npage = true\n{form}\n')
    assert 0 == cli("score", "--job", "job.toml", "--date", "2026-11-24").code
    command = ("report", "--site", "site", "--job", "job.toml")
    assert 0 == cli(*command).code
    (page,) = Path("site/game-earnings/runs").glob("2026-11-24-*.html")
    assert f"runs/{page.name}" in read_links("site/game-earnings/index.html")
    assert "game-earnings, run of 2026-11-24" in page.read_text(encoding="utf-8")
    written = page.stat().st_mtime_ns
    assert 0 == cli(*command).code
    assert written == page.stat().st_mtime_ns


def test_registry_in_object_store(data, tmp_path, monkeypatch):
    """The versions of a registry in another store are read at a time, and checked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "cache"))
    write_site(data / "registry", [], tmp_path / "site")
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "is_remote", True)
        write_site(data / "registry", [], tmp_path / "remote")
    assert snapshot(tmp_path / "site") == snapshot(tmp_path / "remote")


def test_new_project(site, cli):
    """The output of the job may have no runs yet."""
    Path("jobs").mkdir()
    Path("jobs/score.toml").write_text('inputs = ["in"]\noutput = "later/"\n')
    Path("later").mkdir()
    assert (0, 0) == ((ran := cli("report", "--site", "site", "--json")).code, ran.document["runs"])


def test_wrong_words(site, cli):
    """A site is a folder on this disk."""
    assert 2 == cli("report", "--site", "s3://bucket/site").code
    assert 2 == cli("report", "--site", "site", "--page", "page.html").code
    Path("file").write_text("")
    assert 2 == cli("report", "--site", "file").code
