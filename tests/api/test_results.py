"""Functions on published results: the same jobs as the commands."""

import pytest

from gamesales import backtest, read_predictions, score, simulate, vacuum
from gamesales.errors import InputNotFoundError, RegistryError, UsageError
from support.documents import make_document


@pytest.fixture
def nights(simple_registry, tmp_path, monkeypatch):
    """The working folder with the predictions of a date, and the actual earnings in ``titles.csv``."""
    monkeypatch.chdir(tmp_path)
    simulate("titles.csv", 50, ids=True)
    score("titles.csv", "out", day="2026-11-01")
    return tmp_path


def test_backtest(nights, cli):
    """A backtest is the document of the command, and records its evidence once."""
    words = ("backtest", "--predictions", "out", "--actuals", "titles.csv", "--dry-run", "--json")
    result = backtest("out", "titles.csv", dry_run=True)
    assert make_document(result) == cli(*words).document
    assert "BacktestResult(50 of 50 predictions on 1 date have actual earnings)" == repr(result)
    assert "<table>" in result._repr_html_()
    recorded = [backtest(nights / "out", nights / "titles.csv", reason="a test", page="page.html") for _ in range(2)]
    assert ["recorded", "recorded before"] == [result.versions[0].evidence for result in recorded]
    assert (nights / "page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"predictions": "none"}, InputNotFoundError),
        ({"actuals": "none.csv"}, InputNotFoundError),
        ({"name": "other"}, RegistryError),
        ({"max_rejects": "many"}, UsageError),
    ],
)
def test_backtest_wrong_arguments(nights, arguments, error):
    """A wrong argument is an error of the tree."""
    with pytest.raises(error):
        backtest(**{"predictions": "out", "actuals": "titles.csv", **arguments})


def test_vacuum(nights, cli):
    """A vacuum of a Delta table is the document of the command."""
    score("titles.csv", "table", day="2026-11-01", output_format="delta")
    assert 50 == len(read_predictions("table", "2026-11-01", version=read_version("table")))
    assert make_document(vacuum("table", dry_run=True)) == cli("vacuum", "table", "--dry-run", "--json").document
    assert 40 == vacuum(nights / "table", days=40).retention_days
    with pytest.raises(InputNotFoundError):
        vacuum("none")
    with pytest.raises(UsageError):
        vacuum("table", days=1)


def read_version(table):
    """The newest version of a Delta table."""
    from deltalake import DeltaTable

    return DeltaTable(table).version()
