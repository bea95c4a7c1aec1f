"""The files of ``[data]``: which titles to learn from, and which are held back."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gamesales.data.contract import Contract
from gamesales.errors import JobFileError
from gamesales.jobs.titles import Titles, read_titles


class DataFiles(BaseModel):
    """Where the titles are; relative paths start at the current folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Path
    test: Path
    contract: Path = Path("data/contract.toml")


def read_data(files: DataFiles) -> tuple[Contract, Titles, Titles]:
    """Read the contract, the titles to learn from and those held back.

    Raises: JobFileError: they are the same file.
    """
    contract = Contract.from_toml(files.contract)
    past, held_back = read_titles(files.train, contract), read_titles(files.test, contract)
    if past.sha256 == held_back.sha256:
        raise JobFileError(
            f"data.test is the same file as data.train ({files.test}); expected titles that training never sees",
            hint="Hold some titles back: a fifth of them, say",
        )
    return contract, past, held_back
