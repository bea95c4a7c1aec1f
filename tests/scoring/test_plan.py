"""What is known before the first row: the files, their columns, and the identity of the run."""

import os
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data.contract import OUTPUT_COLUMNS
from gamesales.errors import ColumnsError, InputError, InputNotFoundError, TryAgainError
from gamesales.scoring.inputs import find_files, find_inputs
from gamesales.scoring.plan import make_plan, run_id
from support.runs import CONTRACT, GOOD, csv_text, snapshot
from support.versions import FEATURES, titles_table


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, header=FEATURES, rows=(GOOD,)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(rows, header), encoding="utf-8")
    return path


def plan(*sources, digest="d", settings=None):
    with find_inputs([str(source) for source in sources]) as inputs:
        return make_plan(inputs, CONTRACT, digest, settings or {})


def found(*sources):
    return [name for name, _ in find_files([str(source) for source in sources])]


class TestFiles:
    def test_a_folder_is_searched_to_the_bottom_in_a_stable_order(self, here):
        for name in ("b.csv", "a.parquet", "sub/c.csv", "sub/deeper/a.CSV", "notes.txt"):
            (here / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (here / "in" / name).touch()
        assert found("in") == ["a.parquet", "b.csv", "sub/c.csv", "sub/deeper/a.CSV"]

    @pytest.mark.parametrize("hidden", [".a.csv", "_a.csv", ".tmp/a.csv", "_rejects/a.csv", "x/_b/a.csv"])
    def test_bookkeeping_in_a_folder_is_left_out(self, here, hidden):
        write(here / "in" / hidden)
        write(here / "in/run_date=2026-11-23/a.csv")
        assert found("in") == ["run_date=2026-11-23/a.csv"]

    @pytest.mark.parametrize("hidden", [".#a.csv", "_b.csv"])
    def test_a_hidden_link_that_leads_nowhere_is_left_out_too(self, here, hidden):
        """As an editor leaves one beside a file that is open in it."""
        write(here / "in/a.csv")
        (here / "in" / hidden).symlink_to("somebody@somewhere.4711")
        assert found("in") == ["a.csv"]

    def test_a_visible_link_that_leads_nowhere_is_no_empty_file(self, here):
        write(here / "in/a.csv")
        (here / "in/b.csv").symlink_to("gone.csv")
        with pytest.raises(InputNotFoundError, match=r"^in/b\.csv is a link that leads nowhere$"):
            found("in")

    def test_linked_folders_are_searched_and_each_file_is_found_once(self, here):
        """Whatever order the disk lists them in; links in a circle come to an end."""
        write(here / "far/away/x.csv")
        write(here / "in/z/y.csv")
        (here / "in/b").symlink_to(here / "far")
        (here / "in/a").symlink_to(here / "far/away")
        (here / "in/z/up").symlink_to(here / "in")
        assert found("in") == ["a/x.csv", "z/y.csv"]

    def test_a_hidden_file_may_be_named_itself(self, here):
        write(here / "_a.csv")
        assert found("_a.csv") == ["_a.csv"]

    def test_a_folder_inside_a_hidden_one_may_be_named(self, here):
        write(here / ".cache/in/a.csv")
        assert found(".cache/in") == ["a.csv"]

    def test_a_glob_names_files_and_folders(self, here):
        for name in ("x1.csv", "x2.csv", "y.csv", "xs/z.csv"):
            write(here / name)
        assert found("x*") == ["x1.csv", "x2.csv", "xs/z.csv"]
        assert found(here / "x?.csv") == ["x1.csv", "x2.csv"]
        assert found("**/z.csv") == ["xs/z.csv"]

    @pytest.mark.parametrize("name", ["a[1].csv", "a*.csv", "what?.csv", "[x]/a.csv"])
    def test_a_name_may_look_like_a_glob(self, here, name):
        write(here / name)
        assert found(name) == [name.rsplit("/", 1)[-1]]
        assert found("*") == [name]

    def test_a_file_is_read_once_however_often_it_is_named(self, here):
        write(here / "in/a.csv")
        (here / "link.csv").symlink_to(here / "in/a.csv")
        assert found("in/a.csv", "in", "./in/../in/a.csv", "link.csv", here / "in/*") == ["a.csv"]

    def test_a_link_is_known_by_its_own_name(self, here):
        """Its target may be called anything, as data stores that keep files by digest do."""
        write(here / "objects/5d41402a.csv").rename(here / "objects/5d41402a")
        (here / "titles.csv").symlink_to("objects/5d41402a")
        (one,) = plan("titles.csv").inputs
        assert (one.name, one.rows) == ("titles.csv", 1)

    def test_sources_keep_their_order(self, here):
        for name in ("a.csv", "b.csv"):
            write(here / name)
        assert found("b.csv", "a.csv") == ["b.csv", "a.csv"]

    @pytest.mark.parametrize("source", ["none.csv", "empty", "*.csv", "none/a.csv", "dangling.csv", "dang*", "[d]*"])
    def test_nothing_to_score_is_told_with_the_source(self, here, source):
        (here / "empty").mkdir()
        (here / "empty/notes.txt").touch()
        (here / "dangling.csv").symlink_to("nowhere.csv")
        (here / "d[angling].csv").symlink_to("nowhere.csv")
        with pytest.raises(InputNotFoundError) as failure:
            found(source)
        expected = "expected a .csv, .csv.gz or .parquet file, or a folder of them"
        assert failure.value.message == f"nothing to score at {source}: {expected}"

    def test_one_empty_source_among_others_stops_the_run(self, here):
        write(here / "a.csv")
        with pytest.raises(InputNotFoundError, match=r"nothing to score at none\.csv"):
            found("a.csv", "none.csv")

    def test_a_file_of_another_kind_is_refused_by_name(self, here):
        (here / "notes.txt").touch()
        with pytest.raises(InputError, match=r"^notes\.txt is neither \.csv, \.csv\.gz nor \.parquet$"):
            plan("notes.txt")

    def test_all_files_that_can_not_be_opened_are_said_at_once(self, here):
        write(here / "in/a.csv")
        (here / "in/b.csv").touch()
        (here / "in/c.parquet").touch()
        with pytest.raises(InputError) as failure:
            plan("in")
        empty = "in/b.csv is empty; expected a header line with column names"
        assert failure.value.message.startswith(f"{empty}; in/c.parquet is not a Parquet file, or damaged: ")

    def test_two_files_of_one_name_are_told_apart(self, here):
        for name in ("one/a.csv", "two/a.csv", "two/b.csv"):
            write(here / name)
        assert found("one", "two") == ["one/a.csv", "two/a.csv", "b.csv"]


class TestColumns:
    def test_everything_wrong_with_every_file_is_said_at_once(self, here):
        write(here / "a.csv", [*FEATURES[:-1], "title"])
        write(here / "b.csv", [*FEATURES[2:], "title", "model_version"])
        dated = titles_table(1, title=pa.array(["x"])).drop_columns(["is_action"])
        parquet.write_table(dated.append_column("is_action", pa.array([0], pa.date32())), "c.parquet")
        before = snapshot(here)
        with pytest.raises(ColumnsError) as failure:
            plan("a.csv", "b.csv", "c.parquet")
        assert failure.value.message.split("; ")[:3] == [
            f"a.csv lacks unit_price (it has {', '.join([*FEATURES[:-1], 'title'])})",
            f"b.csv lacks critic_rating, is_action (it has {', '.join([*FEATURES[2:], 'title', 'model_version'])})",
            "b.csv: model_version is a column that scoring writes",
        ]
        assert "c.parquet: is_action has type date32[day], expected numbers" in failure.value.message
        assert before == snapshot(here)

    @pytest.mark.parametrize("name", OUTPUT_COLUMNS)
    def test_a_column_of_the_result_is_reserved(self, here, name):
        write(here / "a.csv", [*FEATURES, name], [[*GOOD, "1"]])
        with pytest.raises(ColumnsError, match=rf"^a\.csv: {name} is a column that scoring writes; rename or drop it$"):
            plan("a.csv")

    def test_columns_that_pass_through_must_be_the_same_in_all_files(self, here):
        write(here / "a.csv", [*FEATURES, "title_id", "title"], [[*GOOD, "1", "x"]])
        write(here / "b.csv", [*FEATURES, "title", "shop"], [[*GOOD, "x", "y"]])
        with pytest.raises(ColumnsError) as failure:
            plan("a.csv", "b.csv")
        assert failure.value.message == ("b.csv lacks title_id, which a.csv has; b.csv has shop, which a.csv lacks")

    def test_types_that_differ_are_named(self, here):
        parquet.write_table(titles_table(1, title_id=pa.array([7])), "a.parquet")
        write(here / "b.csv", [*FEATURES, "title_id"], [[*GOOD, "007"]])
        with pytest.raises(ColumnsError, match=r"^b\.csv: title_id has type string, in a\.parquet it has int64$"):
            plan("a.parquet", "b.csv")

    def test_features_may_have_other_types_and_another_order_in_each_file(self, here):
        parquet.write_table(titles_table(2, title_id=pa.array(["a", "b"])), "a.parquet")
        write(here / "b.csv", ["title_id", *reversed(FEATURES)], [["c", *reversed(GOOD)]])
        assert plan("a.parquet", "b.csv").kept == pa.schema([("title_id", pa.string())])

    def test_a_column_may_be_null_as_soon_as_one_file_says_so(self, here):
        strict = titles_table(2, title_id=pa.array(["a", "b"]))
        strict = strict.cast(pa.schema([f.with_nullable(f.name != "title_id") for f in strict.schema]))
        parquet.write_table(strict, "a.parquet")
        parquet.write_table(titles_table(2, title_id=pa.array(["a", None])), "b.parquet")
        assert not plan("a.parquet").kept.field("title_id").nullable
        assert plan("a.parquet", "b.parquet").kept.field("title_id").nullable

    def test_very_many_faults_are_not_all_listed(self, here):
        for number in range(30):
            write(here / f"in/{number:02}.csv", ["x"], [])
        with pytest.raises(ColumnsError) as failure:
            plan("in")
        assert failure.value.message.count(" lacks ") == 20
        assert failure.value.message.endswith("; …")


class TestRunId:
    @pytest.fixture
    def base(self, here):
        write(here / "one/a.csv")
        write(here / "one/b.csv", rows=[GOOD, GOOD])
        return plan("one").run_id

    def test_it_is_a_hash(self, base):
        assert len(base) == 64
        assert set(base) <= set("0123456789abcdef")

    def test_the_place_of_the_files_and_their_age_do_not_matter(self, base, here):
        shutil.copytree(here / "one", here / "elsewhere/two")
        os.utime(here / "elsewhere/two/a.csv", (1, 1))
        assert base == plan("elsewhere/two").run_id
        assert base == plan(here / "one").run_id

    @pytest.mark.parametrize("change", ["content", "name", "fewer", "order", "digest", "settings"])
    def test_all_that_changes_the_result_matters(self, base, here, change):
        options = {"digest": "e"} if change == "digest" else {}
        if change == "settings":
            options = {"settings": {"run_date": "2026-11-24"}}
        if change == "content":
            write(here / "one/a.csv", rows=[(*GOOD[:-1], "61")])
        if change == "name":
            (here / "one/a.csv").rename(here / "one/aa.csv")
        if change == "fewer":
            (here / "one/b.csv").unlink()
        sources = ["one/b.csv", "one/a.csv"] if change == "order" else ["one"]
        assert base != plan(*sources, **options).run_id

    @given(st.lists(st.text(max_size=3), min_size=2, max_size=2, unique=True))
    @settings(deadline=None, max_examples=30)
    def test_names_can_not_run_into_each_other(self, names):
        one = plan_input()
        first, second = ([replace(one, name=name)] for name in names)
        assert run_id(first, "d", {}) != run_id(second, "d", {})
        assert run_id(first + second, "d", {}) != run_id([replace(one, name="".join(names))], "d", {})


def plan_input():
    from gamesales.scoring.plan import Input

    return Input("x", None, (1, 1), "0" * 64, 1)


class TestInputs:
    def test_size_digest_and_rows_are_recorded(self, here):
        import hashlib

        path = write(here / "in/a.csv", rows=[GOOD, ("x",), GOOD])
        (one,) = plan("in").inputs
        assert (one.name, one.size, one.rows) == ("a.csv", path.stat().st_size, 3)
        assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    @pytest.mark.parametrize("change", ["grown", "touched", "replaced"])
    def test_a_file_that_changes_is_noticed(self, here, change):
        path = write(here / "a.csv")
        (one,) = plan("a.csv").inputs
        with one.unchanged():
            pass
        if change == "grown":
            path.write_text(path.read_text() * 2)
        if change == "touched":
            os.utime(path, ns=(0, one.stamp[1] + 1))
        if change == "replaced":
            os.replace(write(here / "b.csv", rows=[(*GOOD[:-1], "61")]), path)
            os.utime(path, ns=(0, one.stamp[1] + 10**9))
        with pytest.raises(TryAgainError, match=r"^a\.csv was changed while this run read it;"), one.unchanged():
            pytest.fail("the body ran")

    def test_a_file_that_changes_while_it_is_read_is_noticed(self, here):
        path = write(here / "a.csv")
        (one,) = plan("a.csv").inputs
        with pytest.raises(TryAgainError, match=r"a\.csv was changed"), one.unchanged():
            path.write_text("")

    def test_a_failure_that_comes_of_a_change_is_told_as_the_change(self, here):
        path = write(here / "a.csv")
        (one,) = plan("a.csv").inputs
        with pytest.raises(TryAgainError, match=r"a\.csv was removed"), one.unchanged():
            raise InputError(f"the file ends early: {path.unlink()}")

    def test_another_failure_stays_what_it_is(self, here):
        write(here / "a.csv")
        (one,) = plan("a.csv").inputs
        with pytest.raises(InputError, match="damaged"), one.unchanged():
            raise InputError("damaged")

    def test_a_file_removed_during_the_plan_is_told(self, here, monkeypatch):
        """Between its opening and its hashing."""
        from gamesales.scoring import plan as module

        path = write(here / "a.csv")
        check = module._check_all
        monkeypatch.setattr(module, "_check_all", lambda *arguments: (check(*arguments), path.unlink()))
        with pytest.raises(TryAgainError, match=r"a\.csv was removed while this run needed it"):
            plan("a.csv")
