"""Each example of docs/guides/engines.md runs as it is, in its engine. ``make engines`` installs the engines."""

import os
import re
import shutil
import subprocess

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales import Registry
from support.versions import NEW_RECORD, ROOT, publish_promoted, publish_simple, titles_table

PAGE = (ROOT / "docs/guides/engines.md").read_text(encoding="utf-8")
PYTHON = ROOT / "tests/.servers/engines/bin/python"
EXAMPLES = {
    section.partition("\n")[0]: "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    for section in PAGE.split("\n## ")[1:]
    if "```python" in section
}
SETUP = EXAMPLES.pop("The function")
# Small, and on loopback.
RAY_OPTIONS = "num_cpus=2, object_store_memory=200_000_000, include_dashboard=False, _node_ip_address='127.0.0.1'"
RAY = f"import ray; ray.init({RAY_OPTIONS})\n"
SETTINGS = {
    "PYTHONPATH": str(ROOT),
    "PYSPARK_PYTHON": str(PYTHON),
    "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
    "SPARK_LOCAL_IP": "127.0.0.1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DO_NOT_TRACK": "1",
}
ROWS = 5_000


@pytest.fixture
def titles(tmp_path):
    """Titles in two files, every hundredth without a price, beside a registry with intervals."""
    registry = publish_promoted(tmp_path)
    number = publish_simple(registry, bias=5.0, record=NEW_RECORD)
    registry.set_alias("champion", number, "for a test", lambda state, version: {"findings": [], "forced": False})
    titles = titles_table(ROWS, title_id=[f"t{row:05}" for row in range(ROWS)])
    place = titles.schema.get_field_index("unit_price")
    prices = [None if row % 100 == 7 else price for row, price in enumerate(titles["unit_price"].to_pylist())]
    titles = titles.set_column(place, "unit_price", pa.array(prices))
    (tmp_path / "titles").mkdir()
    for number, start in enumerate((0, 3_000)):
        parquet.write_table(titles.slice(start, 3_000), tmp_path / f"titles/part-{number}.parquet")
    return titles


@pytest.mark.slow
@pytest.mark.parametrize("engine", EXAMPLES)
def test_engine_scores_each_row(tmp_path, titles, engine):
    """An engine gives each row the values of the predictor in this process, and a reason to each rejected row."""
    if not PYTHON.exists() or (engine == "Spark" and shutil.which("java") is None):
        pytest.skip("make engines installs it; Spark needs Java")
    (tmp_path / "example.py").write_text(f"{RAY if engine == 'Ray Data' else ''}{SETUP}\n{EXAMPLES[engine]}")
    command = [PYTHON, "example.py"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=os.environ | SETTINGS, capture_output=True, text=True, timeout=900, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    (output,) = tmp_path.glob("scored*")
    expected = Registry(tmp_path / "registry").load("@champion").score(titles)
    assert expected["reject_reason"].null_count == ROWS - ROWS / 100
    scored = parquet.read_table(output, schema=expected.schema).sort_by("title_id")
    assert expected.combine_chunks() == scored.combine_chunks()


def test_page_has_the_engines():
    """The page has an example for each engine that it names."""
    assert ["Spark", "Ray Data", "DuckDB", "Polars", "Daft"] == list(EXAMPLES)
