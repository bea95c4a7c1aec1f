"""What is wrong with a TOML file, in plain words: expected, received, the line, and a guess for a misspelt key."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.contract import Contract, read_toml
from gamesales.data.job_file import format_job_file
from gamesales.data.validation import find_line
from gamesales.errors import JobFileError
from gamesales.jobs.score import load_score_job
from gamesales.training.train_job import load_job
from support.versions import ROOT

JOB = """name = "a"
[data]
train = "a.csv"
test = "b.csv"
[network]
layers = [
  { layer = "Dense", unit = 1 },
]
[training]
epochs = "ten"  # more
learningrate = 3
[intervals]
coverage = 90
method = "slit"
"""


def refuse(load, path, text):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JobFileError) as refused:
        load(path)
    return refused.value.message.removeprefix(str(path)), refused.value.hint


def find_number(text, part):
    """Return the number of the line that begins with a text."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(part))


def test_faults_of_a_job(tmp_path):
    """Every fault is named with what was expected, what was received, a guess and the line."""
    message, hint = refuse(load_job, tmp_path / "job.toml", JOB)
    assert [
        ' is not a training job: training.epochs: expected a whole number, received "ten" (line 10)',
        "training.learningrate: unknown key (line 11)",
        "intervals.method: expected 'auto', 'cv', 'split' or 'none', received \"slit\" (did you mean split?) (line 14)",
        "intervals.coverage: expected less than 1, received 90 (line 13)",
    ] == message.split("; ")
    assert hint == "See docs/guides/train.md"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("unique_ids = false", "unqiue_ids = false", "unqiue_ids: unknown key (did you mean unique_ids?)"),
        (
            "threshold = 0.25",
            "page = true",
            "drift.page: unknown key of the table drift; move it above the first table",
        ),
        ("threshold = 0.25", "treshold = 1.5", "drift.treshold: unknown key (did you mean threshold?)"),
        ("unique_ids = false", "unique_ids = 3.5", "unique_ids: expected true or false, received 3.5"),
        ('timezone = "UTC"', "timezone = 3", "timezone: expected a text in quotes, received 3"),
        ('output = "predictions/"', "", "output: missing"),
    ],
)
def test_faults_of_a_scoring_job(tmp_path, old, new, expected):
    """A scoring job is explained in the same words."""
    text = (ROOT / "jobs/score.toml").read_text(encoding="utf-8")
    message, _ = refuse(load_score_job, tmp_path / "job.toml", text.replace(old, new))
    place = f" (line {find_number(text, old)})" if new else ""
    assert message == f" is not a scoring job: {expected}{place}"


def test_faults_of_a_contract(tmp_path):
    """The column of a contract is found by its line, though it has no name of its own."""
    text = (ROOT / "data/contract.toml").read_text(encoding="utf-8")
    message, _ = refuse(Contract.from_toml, tmp_path / "contract.toml", text.replace('kind = "price"', 'kid = "price"'))
    line = find_number(text, 'kind = "price"')
    assert f"features.8.kid: unknown key (did you mean kind?) (line {line})" in message


@pytest.mark.parametrize(
    ("line", "reason", "hint"),
    [
        ("name = course", "invalid value at column 8", 'A text has quotes: name = "course"'),
        ("grouped = True", "invalid value at column 11", "Write it in lower case: grouped = true"),
        (
            'name: "a"',
            "expected '=' after a key in a key/value pair at column 5",
            'equals sign between them: name = "a"',
        ),
        ("[data", "expected ']' at the end of a table declaration at column 6", "A line is [table] or key = value; "),
        ("a = 1", "cannot overwrite a value at column 6", "A key or a table may appear once"),
    ],
)
def test_syntax_errors(tmp_path, line, reason, hint):
    """An error of the syntax shows the line, and how to repair it."""
    message, repair = refuse(read_toml, tmp_path / "job.toml", f"a = 2\n{line}\nb = 3\n")
    assert message == f", line 2, can't be read as TOML: {reason}, in {line!r}"
    assert hint in repair


def test_open_bracket(tmp_path):
    """A file that ends within a list or a text says so."""
    message, hint = refuse(read_toml, tmp_path / "job.toml", "a = [1,\n")
    assert message == " can't be read as TOML: invalid value (at end of document)"
    assert hint == "Is a quote or a bracket open?"


names = st.text("abcdef_", min_size=1, max_size=5)
values = st.integers() | st.text("ab c", max_size=5) | st.lists(st.integers(), max_size=2)
tables = st.dictionaries(names, values, min_size=1, max_size=4)


@given(st.dictionaries(names, values | tables, min_size=1, max_size=6))
def test_lines_of_keys(job):
    """The line of each key of a file is found, whatever else the file has."""
    text = format_job_file(job)
    lines = text.splitlines()
    for key, value in tomllib.loads(text).items():
        if isinstance(value, dict):
            assert lines[find_line(text, (key, "missing")) - 1] == f"[{key}]"
        for location in [(key, name) for name in value] if isinstance(value, dict) else [(key,)]:
            assert lines[find_line(text, location) - 1].startswith(f"{location[-1]} = ")
    assert find_line(text, ("another",)) is None
