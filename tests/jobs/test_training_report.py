"""What the page of a version links to, and the commands that it names."""

from pathlib import Path

from gamesales.jobs import training_report


def test_links_to_other_files(simple_registry):
    """The page links to the other pages of its bundle, the champion's page beside it, and the manifest."""
    links = training_report._list_links(simple_registry, 1, ["tune.html"])
    assert list(links) == [
        "the search that found this network",
        "report of the champion, version 1",
        "all numbers of this page",
    ]
    bundle = Path(simple_registry.location) / simple_registry.find_version(1).folder
    _, champion, manifest = links.values()
    assert (bundle / champion).resolve() == (bundle / "report.html").resolve()
    assert (bundle / manifest).is_file()
    assert ["all numbers of this page"] == list(training_report._list_links(simple_registry, None, []))


def test_commands_name_the_registry(simple_registry):
    """The commands work as they stand. Only a version with a champion can be compared."""
    commands = training_report._list_commands(simple_registry, 1, 2)
    registry = f"--registry {simple_registry.location.rstrip('/')}"
    assert [*commands.values()] == [f"gamesales {words} {registry}" for words in ("show 2", "compare 1 2", "promote 2")]
    assert "Compare it with the champion" not in training_report._list_commands(simple_registry, None, 2)
