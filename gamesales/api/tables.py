"""Propose a contract for a table, and check files against a contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.errors import expect_failures
from gamesales.registry.refs import DEFAULT_MODEL

if TYPE_CHECKING:
    from gamesales.jobs.check_contract import ContractCheck
    from gamesales.jobs.init import InitResult


@expect_failures()
def init(
    file: str | Path,
    target: str,
    *,
    into: str | Path = ".",
    split_by: str | None = None,
    split_date: str | None = None,
    seed: int = 1,
    test_share: float = 0.2,
    name: str = DEFAULT_MODEL,
) -> InitResult:
    """Start from a table: propose its contract, split it, and write the jobs.

    Args:
        file: A CSV file of any dialect, or a Parquet file.
        target: The column to predict.
        into: The folder for the contract, the parts of the table and the jobs. None of these files may exist.
        split_by: Keep the rows of each value of this column in one part.
        split_date: Test on the rows with the newest values of this column.
        seed: The seed of the split.
        test_share: The share of the rows in the test part, above 0 and below 1.
        name: The name of the model in the registry.

    Returns:
        The role of each column with the reason, the rows of each part, and the written files.

    Raises:
        UsageError: An argument is wrong, or a file exists already.
        InputError: The table can't be used, or it has no such target.
        TryAgainError: A file can't be read or written now.
    """
    from gamesales.jobs.init import InitSettings
    from gamesales.jobs.init import init as run

    return run(Path(file), InitSettings(target, Path(into), split_by, split_date, seed, test_share, name))


@expect_failures()
def check_contract(file: str | Path, contract: str | Path = "data/contract.toml") -> ContractCheck:
    """Check how well a file fits a contract.

    Args:
        file: A CSV file of any dialect, or a Parquet file. It may lack the target.
        contract: The contract.

    Returns:
        The rows that fit, and for each column its missing cells, the cells that do not fit, and unseen values.

    Raises:
        JobFileError: The contract is wrong.
        InputError: The file can't be read, or a column has a type that does not fit its kind.
    """
    from gamesales.jobs.check_contract import check_contract as run

    return run(Path(file), Path(contract))
