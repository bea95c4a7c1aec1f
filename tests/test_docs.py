"""The documentation says what the code does: commands, schemas, links and job files."""

import importlib.util
import json
import re
import tomllib

import jsonschema
import pytest

from gamesales.search.tune_job import load_tune_job
from gamesales.training.train_job import load_job
from support.versions import DATA, HOLDOUT, ROOT, publish_simple

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data/README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def load_script():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs/make_reference.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


reference = load_script().reference()


def test_the_reference_is_what_the_code_says():
    """``make docs`` writes it again."""
    folder = ROOT / "docs/reference"
    assert reference == {name: (folder / name).read_text(encoding="utf-8") for name in reference}
    assert {path.name for path in folder.glob("*.json")} <= set(reference)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_pages_show_exist(page):
    commands = reference["commands.md"]
    groups = {group for group, _ in re.findall(r"## gamesales (\w+) (\w+)", commands)}
    for line in re.findall(r"gamesales ((?:\w+)(?: [^#`\n]*)?)", page.read_text(encoding="utf-8")):
        name, *rest = line.split()
        if name in groups and rest:
            name = f"{name} {rest.pop(0)}"
            assert f"## gamesales {name}\n" in commands
        section = re.search(rf"## gamesales {name}\n(.*?)(?=\n## |\Z)", commands, re.DOTALL)
        if section:
            shown = [word for word in rest if re.fullmatch(r"--[a-z-]+", word)]
            common = ("--help", "--wide", "--traceback")
            assert [option for option in shown if f"`{option}" not in section[1] and option not in common] == []


def test_every_command_of_the_readme_exists():
    shown = set(re.findall(r"\$ gamesales (\w+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert shown
    assert shown <= set(re.findall(r"## gamesales (\w+)", reference["commands.md"]))


def test_the_job_file_in_the_docs_is_a_job_file(tmp_path):
    """Each part of it is valid: what a reader copies works."""
    page = (ROOT / "docs/guides/train.md").read_text(encoding="utf-8")
    (tmp_path / "train.toml").write_text(re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1], encoding="utf-8")
    assert load_job(tmp_path / "train.toml").name == "game-earnings"


def test_the_search_job_in_the_docs_is_a_job_file(tmp_path):
    page = (ROOT / "docs/guides/tune.md").read_text(encoding="utf-8")
    (tmp_path / "tune.toml").write_text(re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1], encoding="utf-8")
    shown, shipped = load_tune_job(tmp_path / "tune.toml"), load_tune_job(ROOT / "jobs/tune.toml")
    assert (shipped.space, shipped.start, shipped.data) == (shown.space, shown.start, shown.data)


def test_the_contract_in_the_docs_is_the_shipped_ones_beginning():
    page = (ROOT / "docs/reference/contract.md").read_text(encoding="utf-8")
    shown = tomllib.loads(re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1])
    shipped = tomllib.loads((DATA / "contract.toml").read_text(encoding="utf-8"))
    assert shown["features"][0] == shipped["features"][0]
    assert shown["target"].items() <= shipped["target"].items()


class TestDocuments:
    """What ``--json`` prints fits the schema that the docs give for it.

    The documents of ``train``, ``crossvalidate`` and ``tune`` are validated by the tests of these jobs.
    """

    @pytest.fixture
    def check(self, cli):
        def run(command, *arguments, schema=None):
            ran = cli(*command.split(), *arguments, "--json")
            jsonschema.validate(
                ran.document, json.loads(reference[f"{schema or command.replace(' ', '-')}.schema.json"])
            )
            return ran

        return run

    def test_of_the_registry(self, check, simple_registry):
        publish_simple(simple_registry, bias=5.0)
        check("versions")
        check("show", "1")
        check("history")
        check("verify")
        check("evaluate", "2", "--data", HOLDOUT)
        check("promote", "2", "--reason", "better")
        check("rollback")
        check("alias set", "challenger", "2")
        check("alias list")
        check("compare", "1", "2", "--all")
        check("alias delete", "challenger")
        check("retire", "2", "--reason", "worse")
        check("gc", "--dry-run")
        check("gc", "--keep-newest", "0", "--keep-days", "0")
        check("show", "2")
        check("versions", "--retired")
        check("history")
        publish_simple(simple_registry, bias=500_000.0)
        assert check("promote", "3", schema="error").code == 5

    def test_of_scoring(self, check, simple_registry):
        assert check("score", DATA / "new_titles.csv", "--output", "out.csv").document["rows_scored"] == 36
        assert check("score", DATA / "new_titles.csv", "--output", "out.csv", "--dry-run").document["already_done"]
        span = ("--from", "2026-11-01", "--to", "2026-11-03")
        assert len(check("score", DATA / "new_titles.csv", "--output", "out", *span).document["runs"]) == 3
        values = [f"{name}=1" for name in ["is_action", "is_exclusive_to_us", "is_portable", "is_role_playing"]]
        values += [f"{name}=0" for name in ["is_sequel", "is_sports", "suitable_for_kids"]]
        check("predict", "critic_rating=4", "unit_price=49.99", *values)

    def test_of_a_backtest(self, check, simple_registry):
        check("simulate", "--rows", "50", "--ids", "--output", "titles.csv")
        check("score", "titles.csv", "--output", "out", "--date", "2026-11-01")
        assert 50 == check("backtest", "--predictions", "out", "--actuals", "titles.csv").document["matched"]

    def test_of_making_and_scaling_files(self, check):
        check("simulate", "--rows", "20", "--output", "titles.csv")
        contract = ("--contract", DATA / "contract.toml")
        check("preprocess", "titles.csv", "titles.csv", *contract)

    def test_of_a_table(self, check):
        check("simulate", "--rows", "60", "--ids", "--output", "titles.csv")
        check("init", "titles.csv", "--target", "total_earnings")
        check("contract check", "titles.csv")

    @pytest.mark.parametrize("arguments", [["show", "7"], ["score", "none.csv"], ["nonsense"], ["promote", "@x"]])
    def test_of_failures(self, check, arguments):
        assert check(*arguments, schema="error").code > 0
