"""Each block of README, tutorial and guides runs as it stands on its page, or says why it can't.

``support.doc_blocks`` describes the comments that say how a block is tested. The blocks of a page run in one shell,
in order, in a copy of the project. Most pages start with a promoted version that a test can compute by hand.
"""

import fcntl
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv

from gamesales.jobs.loading import open_registry
from gamesales.jobs.score import load_score_job
from gamesales.search.tune_job import load_tune_job
from gamesales.training.evaluation import profile_column, profile_columns
from gamesales.training.train_job import load_job
from support.doc_blocks import JOB_MARKS, MARKS, PAGES, ROOT, Block, find_indented, mask, matches, read_blocks
from support.doc_sessions import make_checkout, make_environment, make_steps, merge_keys, run_steps, write_toml
from support.servers import own_s3
from support.versions import DATA, FEATURES, INTERVAL, NEW_RECORD, publish_simple, simple_earnings

BLOCKS = [block for page in PAGES for block in read_blocks(page)]
# Pages that train.
TRAINING = ("README.md", "tutorial.md", "your-own-table.md")
# Pages that start where the README ends: version 1 is the champion, version 2 was rolled back.
AFTER_README = (
    "backtest.md",
    "bad-night.md",
    "explain.md",
    "export.md",
    "promote.md",
    "retrain.md",
    "several-models.md",
)
# Pages that start with seven versions, of which the fourth is the champion.
SEVEN_VERSIONS = ("history.md", "read-the-report.md", "signatures.md")
SLOW = {*TRAINING, *AFTER_README}
BUCKETS = ("bucket",)
# Programs of pages that not every machine has.
PROGRAMS = ("awk", "crontab", "openssl")
LOADERS = {"score.toml": load_score_job, "train.toml": load_job, "tune.toml": load_tune_job}


# Versions of the pages were trained on a CPU with AVX-512. Others train slightly other weights.
CPU = Path("/proc/cpuinfo")
HAS_AVX_512 = CPU.exists() and "avx512f" in CPU.read_text(encoding="utf-8")


def run_page(page, folder):
    """Run the blocks of a page; fail with all that differs."""
    steps = make_steps(read_blocks(page))
    script = "\n".join(step.script for step in steps)
    if missing := [name for name in PROGRAMS if name in script and shutil.which(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    stored = "s3://" in script
    with own_s3(*BUCKETS) if stored else nullcontext({}) as settings:
        faults = run_steps(
            steps,
            folder,
            make_environment(folder.parent) | settings,
            mask_numbers=page.name in SLOW and not HAS_AVX_512,
        )
    assert not faults, "\n\n".join(faults)


@pytest.fixture(scope="session")
def readme_once(tmp_path_factory, worker_id):
    """The folder in which the README was run, once for all test processes. It is read only."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "readme"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            run_page(ROOT / "README.md", make_checkout(folder / "gamesales"))
            (folder / "done").touch()
    return folder / "gamesales"


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project with a promoted version."""
    folder = make_checkout(tmp_path / "gamesales")
    publish_first(folder)
    return folder


def publish_first(folder):
    """Publish and promote a simple version with the distributions of the shipped training titles."""
    registry = open_registry(folder / "registry", "game-earnings")
    table = csv.read_csv(DATA / "sales_data_training.csv").select(FEATURES)
    values = np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float64)
    record = {
        "training_profile": profile_columns(FEATURES, values),
        "prediction_profile": profile_column("predicted_earnings", simple_earnings(values)),
        "interval": INTERVAL,
    }
    publish_simple(registry, record=record)
    registry.set_alias("champion", 1, "a lower error on the holdout", lambda *_: {"findings": [], "forced": False})


def publish_seven(folder):
    """Publish the versions 2 to 7, and promote version 4."""
    registry = open_registry(folder / "registry", "game-earnings")
    for bias in range(1, 7):
        publish_simple(registry, bias=float(bias), record=NEW_RECORD)
    registry.set_alias("champion", 4, "a lower error on the holdout", lambda *_: {"findings": [], "forced": False})


needs_gnu = pytest.mark.skipif(sys.platform != "linux", reason="pages use sed, date and touch of Linux")


@needs_gnu
@pytest.mark.slow
def test_readme_runs(readme_once):
    """What the README shows is what its commands print."""
    assert (readme_once / "registry").exists()


@needs_gnu
@pytest.mark.slow
def test_tutorial_runs(tmp_path):
    """What the tutorial shows is what its commands print."""
    run_page(ROOT / "docs/tutorial.md", make_checkout(tmp_path / "gamesales"))


@needs_gnu
@pytest.mark.slow
def test_own_table_runs(tmp_path):
    """The guide leads from a table to a champion and its predictions."""
    run_page(ROOT / "docs/guides/your-own-table.md", make_checkout(tmp_path / "gamesales"))


@needs_gnu
@pytest.mark.slow
@pytest.mark.parametrize("name", AFTER_README)
def test_guide_after_the_readme(readme_once, tmp_path, name):
    """A guide with figures of trained versions starts where the README ends."""
    folder = tmp_path / "gamesales"
    shutil.copytree(readme_once, folder, symlinks=True)
    run_page(ROOT / "docs/guides" / name, folder)


@needs_gnu
@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in SLOW], ids=lambda page: page.name)
def test_guide(checkout, page):
    """What a guide shows is what its commands print."""
    if page.name in SEVEN_VERSIONS:
        publish_seven(checkout)
    run_page(page, checkout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_tested(page):
    """Each block is a fence that runs, that another test checks, or that says why it can't run."""
    blocks = read_blocks(page)
    assert [] == find_indented(page), "use a fence with a language"
    assert [] == [block.label for block in blocks if block.outcome == "unknown"]
    assert set() == {mark for block in blocks for mark in block.marks} - set(MARKS)
    assert [] == [block.label for block in blocks if block.marks.get("not run", "a reason") == ""]
    for name in {block.marks["checked by"] for block in blocks if "checked by" in block.marks}:
        assert (ROOT / name).exists()


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.marks.keys() & set(JOB_MARKS)], ids=lambda block: block.label
)
def test_job_keys_are_valid(block, tmp_path):
    """A job with the keys of the block is a job."""
    for name, job in merge_keys(block):
        path = tmp_path / Path(name).name
        path.write_text(write_toml(job), encoding="utf-8")
        assert LOADERS[path.name](path)


class TestComparison:
    """The output on a page is compared with the output of a run."""

    @pytest.mark.parametrize(
        ("shown", "printed", "equal"),
        [
            ("scored in 0.01 s", "scored in 12 s\n", True),
            ("scored by version 1", "scored by version 2\n", False),
            ("a\n…\nd", "a\nb\nc\nd\n", True),
            ("a\n…\nd", "a\nd\n", True),
            ("a\nd", "a\nb\nd\n", False),
            ("digest 3158a4adf249", "digest 0058a4adf24f", True),
            ("12345678 rows", "87654321 rows", False),
            ("warning: … (cents?)", "warning: 30 of 30 (cents?)", True),
            ("", "nothing expected", False),
            ("", "", True),
            ("on 2026-11-30 00:40  root", "on 2027-01-01 10:40  root", True),
        ],
    )
    def test_output(self, shown, printed, equal):
        """Durations, digests and times may differ, and what an ellipsis stands for."""
        assert equal is matches(shown, printed)

    def test_numbers_may_be_masked(self):
        """With masked numbers, only the words count."""
        assert matches("MAE   $925   0.87%", "MAE  $1,664  1.65%", numbers=True)
        assert not matches("MAE   $925", "RMSE  $925", numbers=True)

    def test_exit_code_is_shown(self):
        """A command fails only if its comment says so."""
        block = Block(ROOT / "page.md", 1, "console", "$ a \\\n  b    # exit code 5\nrefused\n$ c\n", {})
        assert [5, 0] == [command.exit_code for command in block.commands()]
        assert ["refused", ""] == [command.output for command in block.commands()]

    def test_columns_keep_their_widths(self):
        """Blanks count, except in a line with a duration, a time or a digest."""
        assert "a   b" == mask("a   b  ")
        assert "a <duration>" == mask("a   12 s")
