"""The texts of the files that ``gamesales init`` writes: the contract and the jobs, with comments for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from gamesales.data.contract import Column, Contract
from gamesales.data.dialect import DEFAULT_DIALECT, TableFormat
from gamesales.jobs.proposal import LEFT_OUT, ColumnDecision
from gamesales.training.encoding import needs_encoding

# Larger batches of larger tables train in less time.
LARGE_TABLE, LARGE_BATCH_SIZE = 20_000, 256
# Without categories, gaps and logarithms, earnings are a smooth function with little noise, and a network is better
# the longer it trains. This many steps are those of the job that the project ships.
PLAIN_STEPS, PLAIN_EPOCHS, PLAIN_BATCH_SIZE = 15_000, 300, 16
SEARCH_MINUTES = 10


@dataclass(frozen=True)
class DefaultNetwork:
    """The hidden layers of a network and their training. docs/decisions/ has what they were measured on."""

    units: tuple[int, ...] = (64, 64)
    activation: str = "gelu"
    dropout: float = 0.2
    learning_rate: float = 0.006
    epochs: int = 30
    batch_size: int = 64

    @classmethod
    def choose(cls, contract: Contract, rows: int) -> DefaultNetwork:
        """Choose the network for a contract and a number of training rows."""
        is_large = rows > LARGE_TABLE
        if needs_encoding(contract) or contract.target.scale != "minmax":
            return cls(batch_size=LARGE_BATCH_SIZE) if is_large else cls()
        batch_size = LARGE_BATCH_SIZE if is_large else PLAIN_BATCH_SIZE
        epochs = min(max(PLAIN_STEPS * batch_size // max(rows, 1), cls.epochs), PLAIN_EPOCHS)
        return cls((24, 24), "silu", 0.0, 0.02, epochs, batch_size)


_BY_INIT = "proposed by `gamesales init`; change what is wrong"


def format_contract(contract: Contract, decisions: Sequence[ColumnDecision], source: str) -> str:
    """Write a contract in TOML, with the content of each column as a comment."""
    by_name = {decision.name: decision for decision in decisions}
    lines = [
        f"# The contract of {_to_comment(source)}, {_BY_INIT}.",
        "# Training copies this file into every version, and scoring uses the copy.",
        "# `gamesales contract check FILE` says how well a file fits. All keys are in docs/reference/contract.md.",
        "",
        "# Columns that identify a row, and texts that stand for a missing cell. An empty cell is always missing.",
        f"identity = {_format(list(contract.identity))}",
        f"missing_values = {_format(list(contract.missing_values))}",
        "",
        "[target]",
        *_format_column(contract.target, by_name[contract.target.name]),
    ]
    if not contract.target.unit:
        lines.append('# unit = "units"           # what is predicted; printed with each prediction')
    if contract.target.scale == "minmax":
        lines.append('# scale = "log"            # for values that span several orders of magnitude')
    for column in contract.features:
        lines += ["", "[[features]]", *_format_column(column, by_name[column.name])]
    left_out = [decision for decision in decisions if decision.use == LEFT_OUT]
    if left_out:
        lines += ["", "# Columns that are no features. Scoring copies them to its results."]
        lines += [f"# {_to_comment(decision.name)}: {_to_comment(decision.why)}" for decision in left_out]
    return "\n".join(lines) + "\n"


def _format_column(column: Column, decision: ColumnDecision) -> list[str]:
    gaps = f"; missing cells: {decision.missing:,}" if decision.missing else ""
    document = {key: value for key, value in column.as_json().items() if value != "" or key == "name"}
    comment = f"# {_to_comment(decision.values)}{gaps}; {_to_comment(decision.why)}"
    return [comment, *(f"{key} = {_format(value)}" for key, value in document.items())]


def format_train_job(model: str, table_format: TableFormat, suffix: str, network: DefaultNetwork) -> str:
    """Write a training job in TOML."""
    hidden = f'activation = "{network.activation}" }},'
    layers = [f'  {{ layer = "Dense", units = {units}, {hidden}' for units in network.units]
    dropout = [f'  {{ layer = "Dropout", rate = {network.dropout} }},'] if network.dropout else []
    rate = f"initial_learning_rate = {network.learning_rate}, decay_epochs = {network.epochs}"
    return _join(
        f"# The job of `gamesales train`, {_BY_INIT}. All keys are in docs/guides/train.md.",
        f"name = {_format(model)}",
        "",
        *_format_data(suffix),
        *_format_table_format(table_format),
        "",
        "# Keras layers with their arguments. Categories, dates and missing cells are encoded before the first layer.",
        "[network]",
        "layers = [",
        *(line for layer in layers for line in (layer, *dropout)),
        '  { layer = "Dense", units = 1, activation = "linear" },',
        "]",
        "",
        "[training]",
        'loss = "mean_squared_error"',
        'optimizer = { name = "Adam" }',
        f'schedule = {{ name = "CosineDecay", {rate} }}',
        f"epochs = {network.epochs}",
        f"batch_size = {network.batch_size}",
        "seed = 1",
    )


def format_tune_job(model: str, table_format: TableFormat, suffix: str, network: DefaultNetwork) -> str:
    """Write a search job in TOML. Its first trial is the default network."""
    epochs, batch_size = network.epochs, network.batch_size
    return _join(
        f"# The job of `gamesales tune`, {_BY_INIT}. All keys are in docs/guides/tune.md.",
        f"name = {_format(model)}",
        "",
        *_format_data(suffix),
        *_format_table_format(table_format),
        "",
        "[search]",
        f"minutes = {SEARCH_MINUTES}",
        'choose = "best"                # or "smallest": the smallest network that is about as accurate',
        "seed = 1",
        "",
        "# The search space: a value, a list, or a range, optionally on a log scale.",
        "[space]",
        "layers = { low = 1, high = 3 }",
        "units = { low = 16, high = 256, log = true }",
        'activation = ["gelu", "silu", "relu"]',
        f"batch_size = [{batch_size}, {2 * batch_size}]",
        "learning_rate = { low = 0.0005, high = 0.02, log = true }",
        'schedule = ["CosineDecay"]',
        f"epochs = [{epochs // 2}, {epochs}, {2 * epochs}]",
        "l2 = [0.0, 1e-6, 1e-5, 1e-4]",
        "dropout = { low = 0.0, high = 0.5 }",
        "",
        "# The first trial.",
        "[start]",
        f"units = {_format(list(network.units))}",
        f'activation = "{network.activation}"',
        f"batch_size = {batch_size}",
        f"learning_rate = {network.learning_rate}",
        'schedule = "CosineDecay"',
        f"epochs = {epochs}",
        f"dropout = {network.dropout}",
    )


def format_score_job(model: str, table_format: TableFormat, suffix: str) -> str:
    """Write a scoring job in TOML. It scores the test part until people name their own files."""
    inputs = f'inputs = ["data/test{suffix}"]'
    return _join(
        f"# The job of `gamesales score`, {_BY_INIT}. All keys are in docs/guides/score.md.",
        f"name = {_format(model)}",
        'model = "@champion"             # the promoted version',
        f"{inputs:31} # files, folders or globs; or on the command line: gamesales score FILE",
        'output = "predictions/"         # a folder for each date; a path that ends in .csv or .parquet is one file',
        *_format_table_format(table_format),
    )


def _format_data(suffix: str) -> list[str]:
    return [
        "[data]",
        f'train = "data/training{suffix}"',
        f'test = "data/test{suffix}"    # never used for training; promotion relies on the errors on these rows',
        'contract = "data/contract.toml"',
    ]


def _format_table_format(table_format: TableFormat) -> list[str]:
    """Write the tables [csv] and [columns], if a file needs them."""
    lines = []
    defaults = asdict(DEFAULT_DIALECT)
    different = {key: value for key, value in asdict(table_format.csv).items() if value != defaults[key]}
    if different:
        lines += ["", "# How CSV files are written.", "[csv]"]
        lines += [f"{key} = {_format(value)}" for key, value in different.items()]
    if table_format.columns:
        lines += ["", "# Columns with blanks around their name in the files.", "[columns]"]
        lines += [f"{_format(name)} = {_format(original)}" for name, original in table_format.columns.items()]
    return lines


def _format(value: object) -> str:
    """Write a value in TOML. A string of JSON is a string of TOML, but for the character DEL."""
    if isinstance(value, list):
        return f"[{', '.join(map(_format, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _to_comment(text: str) -> str:
    """Replace characters that a comment can't have, and characters that hide the content of a line."""
    return "".join(character if character.isprintable() else " " for character in text)


def _join(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def list_files(suffix: str) -> Iterable[str]:
    """Return the paths of the files that ``init`` writes, the parts of the table first."""
    parts = (f"data/training{suffix}", f"data/test{suffix}")
    return (*parts, "data/contract.toml", "jobs/train.toml", "jobs/tune.toml", "jobs/score.toml")
