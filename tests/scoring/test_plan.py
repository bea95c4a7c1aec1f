"""The plan of a run: files, columns and run id."""

import os
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data.contract import OUTPUT_COLUMNS
from gamesales.errors import ColumnsError, InputError, TryAgainError
from gamesales.scoring.inputs import find_inputs
from gamesales.scoring.plan import compute_run_id, make_plan
from gamesales.scoring.shard_bounds import MIN_SHARD_ROWS, cut_shards
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


class TestColumns:
    """Columns that the inputs must have."""

    def test_all_faults_are_listed(self, here):
        """One error lists all faults of all files."""
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
    def test_result_columns_are_reserved(self, here, name):
        """An input may not have a column of the result."""
        write(here / "a.csv", [*FEATURES, name], [[*GOOD, "1"]])
        with pytest.raises(ColumnsError, match=rf"^a\.csv: {name} is a column that scoring writes; rename or drop it$"):
            plan("a.csv")

    def test_passthrough_must_agree(self, here):
        """All files must have the same pass-through columns."""
        write(here / "a.csv", [*FEATURES, "title_id", "title"], [[*GOOD, "1", "x"]])
        write(here / "b.csv", [*FEATURES, "title", "shop"], [[*GOOD, "x", "y"]])
        with pytest.raises(ColumnsError) as failure:
            plan("a.csv", "b.csv")
        assert failure.value.message == ("b.csv lacks title_id, which a.csv has; b.csv has shop, which a.csv lacks")

    def test_different_types_are_named(self, here):
        """Different types of a pass-through column are named."""
        parquet.write_table(titles_table(1, title_id=pa.array([7])), "a.parquet")
        write(here / "b.csv", [*FEATURES, "title_id"], [[*GOOD, "007"]])
        with pytest.raises(ColumnsError, match=r"^b\.csv: title_id has type string, in a\.parquet it has int64$"):
            plan("a.parquet", "b.csv")

    def test_features_may_differ_in_type(self, here):
        """Features may have other types and another order in each file."""
        parquet.write_table(titles_table(2, title_id=pa.array(["a", "b"])), "a.parquet")
        write(here / "b.csv", ["title_id", *reversed(FEATURES)], [["c", *reversed(GOOD)]])
        assert plan("a.parquet", "b.csv").passthrough == pa.schema([("title_id", pa.string())])

    def test_nullable_in_one_file(self, here):
        """A column is nullable if it is nullable in one file."""
        strict = titles_table(2, title_id=pa.array(["a", "b"]))
        strict = strict.cast(pa.schema([f.with_nullable(f.name != "title_id") for f in strict.schema]))
        parquet.write_table(strict, "a.parquet")
        parquet.write_table(titles_table(2, title_id=pa.array(["a", None])), "b.parquet")
        assert not plan("a.parquet").passthrough.field("title_id").nullable
        assert plan("a.parquet", "b.parquet").passthrough.field("title_id").nullable

    def test_fault_list_is_limited(self, here):
        """A message lists at most 20 faults."""
        for number in range(30):
            write(here / f"in/{number:02}.csv", ["x"], [])
        with pytest.raises(ColumnsError) as failure:
            plan("in")
        assert failure.value.message.count(" lacks ") == 20
        assert failure.value.message.endswith("; …")


class TestRunId:
    """The identity of a run."""

    @pytest.fixture
    def base(self, here):
        write(here / "one/a.csv")
        write(here / "one/b.csv", rows=[GOOD, GOOD])
        return plan("one").run_id

    def test_run_id_is_hash(self, base):
        """The run id has 64 hex digits."""
        assert len(base) == 64
        assert set(base) <= set("0123456789abcdef")

    def test_location_and_age_are_irrelevant(self, base, here):
        """The location and the age of the files do not change the run id."""
        shutil.copytree(here / "one", here / "elsewhere/two")
        os.utime(here / "elsewhere/two/a.csv", (1, 1))
        assert base == plan("elsewhere/two").run_id
        assert base == plan(here / "one").run_id

    @pytest.mark.parametrize("change", ["content", "name", "fewer", "order", "digest", "settings"])
    def test_result_changes_run_id(self, base, here, change):
        """Everything that changes the result changes the run id."""
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

    def test_types_are_irrelevant(self, here):
        """Column names enter the run id, and types do not, so a promotion changes no run id."""
        parquet.write_table(titles_table(1, title=pa.array(["x"])), "a.parquet")
        parquet.write_table(titles_table(1, title=pa.nulls(1)), "b.parquet")
        promoted = plan("a.parquet", "b.parquet")
        bounds = [[[part.source, part.start, part.stop] for part in shard.ranges] for shard in promoted.shards]
        assert compute_run_id(promoted.inputs, "d", {"columns": ["title"], "shards": bounds}) == promoted.run_id

    @given(st.lists(st.text(max_size=3), min_size=2, max_size=2, unique=True))
    @settings(deadline=None, max_examples=30)
    def test_names_are_separated(self, names):
        """Different lists of names have different run ids."""
        source = make_input()
        first, second = ([replace(source, name=name)] for name in names)
        assert compute_run_id(first, "d", {}) != compute_run_id(second, "d", {})
        assert compute_run_id(first + second, "d", {}) != compute_run_id(
            [replace(source, name="".join(names))], "d", {}
        )


def make_input():
    from gamesales.scoring.plan import Input

    return Input("x", None, (1, 1), "0" * 64, 1)


class TestInputs:
    """Inputs that must not change during a run."""

    def test_link_keeps_its_name(self, here):
        """A link keeps its own name. Data stores that keep files by digest have such links."""
        write(here / "objects/5d41402a.csv").rename(here / "objects/5d41402a")
        (here / "titles.csv").symlink_to("objects/5d41402a")
        (source,) = plan("titles.csv").inputs
        assert (source.name, source.rows) == ("titles.csv", 1)

    def test_all_broken_files_are_listed(self, here):
        """One error lists all files that can't be opened."""
        write(here / "in/a.csv")
        (here / "in/b.csv").touch()
        (here / "in/c.parquet").touch()
        with pytest.raises(InputError) as failure:
            plan("in")
        for name in ("in/b.csv", "in/c.parquet"):
            assert f"{name} is empty" in failure.value.message

    def test_size_digest_and_rows(self, here):
        """Size, digest and rows of an input are recorded."""
        import hashlib

        path = write(here / "in/a.csv", rows=[GOOD, ("x",), GOOD])
        (source,) = plan("in").inputs
        assert (source.name, source.size, source.rows) == ("a.csv", path.stat().st_size, 3)
        assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    @pytest.mark.parametrize("change", ["grown", "touched", "replaced"])
    def test_changed_file_is_noticed(self, here, change):
        """A file that changes before it is read is noticed."""
        path = write(here / "a.csv")
        (source,) = plan("a.csv").inputs
        with source.require_unchanged():
            pass
        if change == "grown":
            path.write_text(path.read_text() * 2)
        if change == "touched":
            os.utime(path, ns=(0, source.stamp[1] + 1))
        if change == "replaced":
            os.replace(write(here / "b.csv", rows=[(*GOOD[:-1], "61")]), path)
            os.utime(path, ns=(0, source.stamp[1] + 10**9))
        with (
            pytest.raises(TryAgainError, match=r"^a\.csv was changed while this run read it;"),
            source.require_unchanged(),
        ):
            pytest.fail("the body ran")

    def test_change_while_reading(self, here):
        """A file that changes while it is read is noticed."""
        path = write(here / "a.csv")
        (source,) = plan("a.csv").inputs
        with pytest.raises(TryAgainError, match=r"a\.csv was changed"), source.require_unchanged():
            path.write_text("")

    def test_failure_after_change(self, here):
        """A failure after a change is reported as the change."""
        path = write(here / "a.csv")
        (source,) = plan("a.csv").inputs
        with pytest.raises(TryAgainError, match=r"a\.csv was removed"), source.require_unchanged():
            raise InputError(f"the file ends early: {path.unlink()}")

    def test_failure_without_change(self, here):
        """A failure without a change is reported unchanged."""
        write(here / "a.csv")
        (source,) = plan("a.csv").inputs
        with pytest.raises(InputError, match="damaged"), source.require_unchanged():
            raise InputError("damaged")

    @pytest.mark.parametrize("change", ["removed", "changed"])
    def test_change_before_opening(self, here, change):
        """A file that is removed or changed between the search and the opening is no faulty input."""
        path = write(here / "a.csv")
        with find_inputs(["a.csv"]) as files:
            path.unlink()
            if change == "changed":
                path.write_text("x")
            with pytest.raises(TryAgainError, match=rf"a\.csv was {change} while this run"):
                make_plan(files, CONTRACT, "0" * 64, {})

    def test_file_removed_while_planning(self, here, monkeypatch):
        """A file that is removed between opening and hashing is noticed."""
        from gamesales.scoring import plan as module

        path = write(here / "a.csv")
        check = module._check_columns
        monkeypatch.setattr(module, "_check_columns", lambda *arguments: (check(*arguments), path.unlink()))
        with pytest.raises(TryAgainError, match=r"a\.csv was removed while this run needed it"):
            plan("a.csv")


class TestShards:
    """The bounds of shards."""

    @given(st.lists(st.lists(st.integers(0, MIN_SHARD_ROWS), max_size=9), max_size=9))
    def test_every_row_once(self, segments):
        """The shards have every row of every input once, in order, and only a run without rows has an empty shard."""
        ranges = [part for shard in cut_shards(segments) for part in shard.ranges]
        rows = [(part.source, row) for part in ranges for row in (part.start, part.stop)]
        assert rows == sorted(rows)
        assert [sum(part.stop - part.start for part in ranges if part.source == source) for source in range(9)] == [
            sum(segments[source]) if source < len(segments) else 0 for source in range(9)
        ]
        assert all(shard.rows for shard in cut_shards(segments)) or not ranges

    def test_nearest_to_the_target(self):
        """A shard ends where its rows are closest to the target."""
        chunks = [[75_000] * 13]
        assert [225_000, 225_000, 225_000, 225_000, 75_000] == [shard.rows for shard in cut_shards(chunks)]
        assert [300_000, 300_000] == [shard.rows for shard in cut_shards([[100_000] * 6])]
