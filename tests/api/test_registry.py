"""The methods of a registry: the same jobs as the commands, with typed results."""

from datetime import UTC, date, datetime, timedelta
from operator import methodcaller
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import parquet

from gamesales import Registry, score
from gamesales.errors import (
    ColumnsError,
    GateRefusedError,
    IntegrityError,
    NotApprovedError,
    NothingPromotedError,
    RegistryError,
    UnknownVersionError,
    UsageError,
)
from support.documents import make_document
from support.signing import write_keys, write_policy
from support.versions import FEATURES, HOLDOUT, publish_simple, title_values, titles_table


@pytest.fixture
def registry(simple_registry, tmp_path, monkeypatch):
    """A registry with the champion, version 1, and two more versions."""
    monkeypatch.chdir(tmp_path)
    publish_simple(simple_registry, bias=50.0)
    publish_simple(simple_registry, bias=500_000.0, evaluated=False)
    return Registry("registry")


def test_attributes(registry):
    """A registry has its path and its model, and shows both."""
    assert ("registry", "game-earnings") == (registry.path, registry.name)
    assert "Registry('registry', name='game-earnings')" == repr(registry)
    assert "Registry('s3://bucket/a', name='other')" == repr(Registry("s3://bucket/a", "other"))


CALLS = {
    "versions": methodcaller("versions"),
    "versions --where mae<5000 --sort mae --reverse": methodcaller(
        "versions", where="mae<5000", sort="mae", reverse=True
    ),
    "versions --where mae<5000 --where r2>0.5 --limit 1": methodcaller(
        "versions", where=["mae<5000", "r2>0.5"], limit=1
    ),
    "versions --alias champion --since 2020-01-01": methodcaller("versions", alias="champion", since=date(2020, 1, 1)),
    "versions --as-of 2020-01-01 --retired": methodcaller("versions", as_of="2020-01-01", retired=True),
    "versions --by nobody": methodcaller("versions", by="nobody"),
    "show 2": methodcaller("show", 2),
    "show @champion": methodcaller("show", "champion"),
    "history": methodcaller("history"),
    "history --alias champion --kind alias --limit 1": methodcaller("history", alias="champion", kind="alias", limit=1),
    "history --version 2 --until 2099-01-01": methodcaller("history", version=2, until=date(2099, 1, 1)),
    "compare 1 2": methodcaller("compare", 1, "game-earnings/2"),
    "compare 1 2 --all": methodcaller("compare", "@champion", 2, everything=True),
    "verify": methodcaller("verify"),
    "verify 2": methodcaller("verify", 2),
    "alias list": methodcaller("list_aliases"),
    "policy show": methodcaller("show_policy"),
    "gc --keep-newest 0 --keep-days 0 --dry-run": methodcaller("gc", keep_newest=0, keep_days=0, dry_run=True),
    "promote 2 --reason better --dry-run": methodcaller("promote", 2, reason="better", dry_run=True),
}


@pytest.mark.parametrize("words", CALLS)
def test_like_command(registry, cli, words):
    """A method returns the document of its command."""
    assert make_document(CALLS[words](registry)) == cli(*words.split(), "--json").document


def test_promote_and_roll_back(registry):
    """A promotion moves the champion, and a rollback moves it back."""
    promoted = registry.promote(2, reason="better")
    assert ("champion", 2, 1, True) == (promoted.alias, promoted.version, promoted.previous_version, promoted.changed)
    assert 2 == registry.load("@champion").version
    assert 1 == registry.rollback(dry_run=True).version
    assert 1 == registry.rollback(reason="worse").version
    assert ["alias.set"] * 3 == [event.kind for event in registry.history(alias="champion")]
    assert ["worse", "better"] == [event.reason for event in registry.history(alias="champion")[:2]]


def test_refused_promotion(registry):
    """A promotion that the gate refuses raises its evidence, and force needs a reason."""
    with pytest.raises(GateRefusedError) as refusal:
        registry.promote(3)
    assert refusal.value.hint
    with pytest.raises(UsageError, match="--force needs a reason"):
        registry.promote(3, force=True)
    assert registry.promote(3, force=True, reason="a test").forced


def test_evaluate(registry):
    """An evaluation is recorded once, and is the evidence for a promotion."""
    evaluation = registry.evaluate(3, HOLDOUT, reason="a test")
    assert (400, True) == (evaluation.rows, evaluation.recorded)
    assert not registry.evaluate(3, str(HOLDOUT)).recorded
    assert repr(evaluation).startswith("EvaluationResult(version 3 of game-earnings: MAE $")


def test_aliases(registry):
    """An alias is set, listed and deleted."""
    assert 2 == registry.set_alias("challenger", 2, reason="on trial").version
    assert {"champion": 1, "challenger": 2} == {row.alias: row.version for row in registry.list_aliases()}
    assert 2 == registry.delete_alias("challenger").previous_version
    with pytest.raises(NothingPromotedError):
        registry.delete_alias("challenger")
    with pytest.raises(UsageError, match="only gamesales promote may set it"):
        registry.set_alias("champion", 2)


def test_retire_and_collect(registry):
    """A retired version leaves the list, and garbage collection removes its files."""
    assert registry.retire("2", "worse").changed
    assert [3, 1] == [row.version for row in registry.versions()]
    assert 1 == len(registry.gc().bundles)
    assert registry.show(2).manifest is None
    with pytest.raises(UsageError, match="needs a reason"):
        registry.retire(3, "")
    with pytest.raises(UsageError, match="expected 0 or more versions"):
        registry.gc(keep_newest=-1)


def test_copy(registry):
    """A version is copied to another registry, without its alias."""
    copied = registry.copy("@champion", "other", reason="a test")
    assert (1, True) == (copied.version, copied.changed)
    assert "copied" not in repr(Registry("other").versions())
    with pytest.raises(NothingPromotedError):
        Registry("other").load("@champion")


def test_signatures(registry, tmp_path):
    """A policy is signed and set, and then a promotion needs a signature."""
    keys = write_keys(tmp_path / "keys")
    policy = write_policy(keys, 1, "alice", "bob")
    registry.sign_policy(policy, keys / "alice.pem")
    assert 1 == registry.set_policy(str(policy), reason="two people").approvals == registry.show_policy().approvals
    with pytest.raises(NotApprovedError):
        registry.promote(2)
    assert "promotion" == registry.sign(2, keys / "bob.pem", reason="looks good").purpose
    assert 2 == registry.promote(2, require_signature=keys / "bob.pub").version
    assert "use" == registry.sign(2, keys / "bob.pem", use=True).purpose
    assert 2 == registry.load(2, require_signature=str(keys / "bob.pub")).version
    with pytest.raises(NotApprovedError):
        registry.load(2, require_signature=keys / "carol.pub")


@pytest.mark.parametrize("convert", [lambda value: value, str, bool])
def test_predict(registry, cli, convert):
    """The prediction of a title is the document of the command, for numbers, text and booleans."""
    values = dict(zip(FEATURES, title_values(1)[0].tolist(), strict=True))
    title = {name: convert(value) if name.startswith("is_") else value for name, value in values.items()}
    document = cli("predict", *(f"{name}={value}" for name, value in values.items()), "--json").document
    assert document == make_document(registry.predict(title))
    assert 2 == registry.predict(title, 2).model_version


def test_predict_misspelled(registry):
    """A misspelled feature is an error that names the nearest feature."""
    with pytest.raises(ColumnsError, match=r"unknown: unitprice \(did you mean unit_price\?\)"):
        registry.predict({**dict.fromkeys(FEATURES, 1), "unitprice": 3})


@pytest.mark.parametrize("titles", [None, [{"unit_price": 1}]])
def test_predict_takes_one_title(registry, titles):
    """A list of titles is refused, with the call that takes it."""
    with pytest.raises(TypeError, match=r"single title as a mapping.*load\('@champion'\)\.predict\(titles\)"):
        registry.predict(titles)


def test_page_of_a_version(trained_registry, tmp_path):
    """The page of a version stays in its bundle, or is copied."""
    registry = Registry(tmp_path / "registry")
    page = Path(registry.report(1).page)
    assert (tmp_path / "registry") in page.parents
    copied = registry.report("game-earnings/1", tmp_path / "page.html")
    assert page.read_bytes() == Path(copied.page).read_bytes()


def test_site(registry, tmp_path):
    """The site of a registry has the runs of the outputs that it is asked for."""
    parquet.write_table(titles_table(5), "titles.parquet")
    score("titles.parquet", "out", day="2026-11-23")
    result = registry.report_site(tmp_path / "site", "out")
    assert (["game-earnings"], 3, 1) == (result.models, result.versions, result.runs)
    assert Path(result.page).exists()
    with pytest.raises(UsageError):
        registry.report_site("out")


def test_explained_prediction(trained_registry, tmp_path):
    """The effects of an explained prediction add up to it."""
    explanation = Registry(tmp_path / "registry").predict(dict.fromkeys(FEATURES, 1), 1, explain=True).explanation
    total = explanation.mean + sum(effect.effect for effect in explanation.effects)
    assert explanation.prediction == pytest.approx(total)


def test_export(registry):
    """An export takes a format and a path, and an unknown format is an error."""
    with pytest.raises(UsageError, match="no format 'pickle'; expected one of keras, "):
        registry.export(1, "pickle", "out")


def test_several_models(simple_registry, tmp_path, cli):
    """A registry with a name serves another model, and a reference may name any model."""
    from gamesales.jobs.loading import open_registry

    publish_simple(open_registry(tmp_path / "registry", "sports-earnings"))
    sports = Registry("registry", "sports-earnings")
    assert "sports-earnings" == sports.load(1).model == Registry("registry").load("sports-earnings/1").model
    assert "sports-earnings" == sports.versions().model
    assert "game-earnings" == sports.show("game-earnings@champion").model


def test_times(registry):
    """A time is a date, a moment or text. A date is whole, and a moment without an offset is in UTC."""
    now = datetime.now(UTC)
    assert 3 == len(registry.versions(since=now.date(), until=now.date()))
    assert 0 == len(registry.versions(until=now - timedelta(hours=1)))
    assert 3 == len(registry.versions(since=now - timedelta(hours=1)))
    assert 0 == len(registry.versions(since=(now + timedelta(hours=1)).replace(tzinfo=None)))
    with pytest.raises(UsageError, match="expected --since before --until"):
        registry.history(since="2026-11-24", until="2026-11-23")
    with pytest.raises(UsageError, match="--as-of expects a date"):
        registry.versions(as_of="yesterday")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda registry: registry.versions(limit=0), "expected a limit of 1 or more, received 0"),
        (lambda registry: registry.history(limit=-1), "expected a limit of 1 or more, received -1"),
        (lambda registry: registry.versions(where="mae~3"), "--where expects a metric"),
        (lambda registry: registry.versions(sort="beauty"), "expected one of version, registered, mae"),
        (lambda registry: registry.history(kind="magic"), "expected an event kind"),
        (lambda registry: registry.history(version="1"), "version expects a number, received '1'"),
        (lambda registry: registry.show(0), "'0' names no version"),
        (lambda registry: registry.load("latest"), "'latest' names no version"),
        (lambda registry: Registry("").versions(), "expected the path or URL of a registry"),
    ],
)
def test_wrong_arguments(registry, call, message):
    """A wrong argument is a UsageError."""
    with pytest.raises(UsageError, match=message):
        call(registry)


def test_no_registry(tmp_path):
    """A registry that does not exist is an error with a hint, and is not created."""
    registry = Registry(tmp_path / "none")
    for call in (registry.versions, registry.history, registry.list_aliases, registry.gc, registry.show_policy):
        with pytest.raises(UnknownVersionError) as failure:
            call()
        assert failure.value.hint
    assert not (tmp_path / "none").exists()


def test_changed_event(registry):
    """A changed event is an IntegrityError."""
    event = sorted(Path("registry/game-earnings/log").iterdir())[1]
    event.chmod(0o644)
    event.write_bytes(event.read_bytes().replace(b"for a test", b"for a joke"))
    with pytest.raises(IntegrityError):
        registry.verify()


def test_path_through_a_file(registry):
    """A failure of the machine is an error of the tree."""
    Path("file").touch()
    with pytest.raises(RegistryError, match="file is a file; expected a folder of the registry"):
        Registry("file/registry").versions()


# --- Lists and displays.


def test_lists_are_sequences(registry):
    """A list has the length, the items and the iterator of its rows."""
    versions = registry.versions()
    assert (3, 3, [2, 1]) == (len(versions), versions[0].version, [row.version for row in versions[1:]])
    assert [3, 2, 1] == [row.version for row in versions]
    assert [1, 2, 3] == [row.version for row in reversed(versions)]
    assert not registry.versions(by="nobody")


def test_lists_are_data_frames(registry):
    """A data frame takes a list as it is."""
    frame = pd.DataFrame(registry.versions())
    assert [3, 2, 1] == frame["version"].tolist()
    assert {"sequence", "kind", "reason"} <= set(pd.DataFrame(registry.history()).columns)


def test_short_displays(registry):
    """Results show what they are in a line."""
    publish_event = registry.promote(2, reason="better")
    assert "Promotion(game-earnings@champion: version 2, was 1)" == repr(publish_event)
    assert "Promotion(game-earnings@champion: version 1, was 2, dry run)" == repr(registry.rollback(dry_run=True))
    assert "VersionList(3 versions of game-earnings in registry/)" == repr(registry.versions())
    assert "EventList(2 events of game-earnings in registry/)" == repr(registry.history(limit=2))
    assert "AliasList(champion: 2; game-earnings in registry/)" == repr(registry.list_aliases())
    assert repr(registry.show(2)).startswith("VersionDetails(version 2 of game-earnings (champion), registered 20")
    expected = "VersionComparison(version 1 of game-earnings and version 2 of game-earnings: metrics on 1 common file)"
    assert expected == repr(registry.compare(1, 2))
    assert "Predictor(version 2 of game-earnings)" == repr(registry.load(2))


def test_html_displays(registry):
    """Tables have HTML for notebooks, with all texts escaped."""
    registry.promote(2, reason="<b>better</b> & cheaper")
    compared = registry.compare(1, 2, everything=True)
    results = registry.versions(), registry.history(), registry.list_aliases(), registry.show(2), compared
    for result in results:
        assert "<table>" in result._repr_html_()
        assert "<b>" not in result._repr_html_()
    assert "&lt;b&gt;better&lt;/b&gt; &amp; cheaper" in registry.history()._repr_html_()
    assert '<td style="text-align: right">$1,000</td>' in registry.versions()._repr_html_()
    assert "the same metrics on test.csv, 400 rows" in registry.compare(1, 2)._repr_html_()
