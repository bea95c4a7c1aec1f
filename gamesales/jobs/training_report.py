"""The report of a version that was just trained: its warnings, and its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gamesales.data.job_file import format_job_file
from gamesales.diagnostics.diagnose import TrainedModel
from gamesales.registry.bundle import MANIFEST, REPORT_FILE, list_warnings
from gamesales.report.version_page import VersionPage, render_version_page
from gamesales.stats.amounts import format_amount
from gamesales.training import parity
from gamesales.training.fit import LossHistory
from gamesales.training.intervals import describe_coverage

if TYPE_CHECKING:
    from gamesales.registry.registry import ModelRegistry

# The texts of links to other pages of a bundle.
_PAGES = {"tune.html": "the search that found this network"}
# The report shows this many digits of a file's SHA-256.
_DIGEST_DIGITS = 12


def list_all_warnings(manifest: Mapping[str, Any]) -> list[str]:
    """List the warnings of the report, and why the gate would refuse the version."""
    refusal = manifest["gate"]["refusal"]
    return [*([f"The gate would refuse this version: {refusal}."] if refusal else []), *list_warnings(manifest)]


def render_report(
    model: TrainedModel,
    manifest: Mapping[str, Any],
    history: LossHistory,
    facts: Mapping[str, str],
    registry: ModelRegistry,
    version: int,
    pages: Iterable[str] = (),
) -> bytes:
    """Render the page of a version that is not yet registered, in UTF-8.

    Args:
        model: the trained model.
        manifest: its manifest.
        history: the losses of each epoch.
        facts: additional facts by label.
        registry: the registry of the model.
        version: the number that the version will have.
        pages: the names of other pages in its bundle.
    """
    titles = model.test_titles
    page = VersionPage(
        model=model.job.name,
        version=version,
        trained_at=manifest["trained_at"],
        facts={**_list_facts(model, manifest, history), **facts},
        layers=[str(layer) for layer in model.job.network.layers],
        metrics={"this version": manifest["metrics"], **manifest["baselines"]},
        loss=history.loss,
        validation_loss=history.validation_loss,
        actual=titles.earnings,
        predicted=model.test_predictions,
        warnings=list_all_warnings(manifest),
        gate=manifest["gate"],
        evaluation=manifest["evaluation"],
        band=model.intervals.interval if model.intervals else None,
        rows=titles.rows,
        features=titles.features,
        columns=model.contract.features,
        job=format_job_file(model.job.model_dump(mode="json", exclude_none=True)),
        links=_list_links(registry, manifest["gate"]["champion"], pages),
        commands=_list_commands(registry, manifest["gate"]["champion"], version),
    )
    return render_version_page(page).encode("utf-8")


def _list_links(registry: ModelRegistry, champion: int | None, pages: Iterable[str]) -> dict[str, str]:
    """List the other pages of the bundle, the manifest, and the champion's report in the folder beside it."""
    links = {_PAGES.get(name, name): name for name in pages}
    if champion is not None:
        folder = registry.read_state().read_version(champion).folder
        links[f"report of the champion, version {champion}"] = f"../{folder.rpartition('/')[2]}/{REPORT_FILE}"
    return {**links, "all numbers of this page": MANIFEST}


def _list_commands(registry: ModelRegistry, champion: int | None, version: int) -> dict[str, str]:
    compare = {} if champion is None else {"Compare it with the champion": f"compare {champion} {version}"}
    commands = {"See its state now": f"show {version}", **compare, "Promote it": f"promote {version}"}
    return {text: registry.format_command(command) for text, command in commands.items()}


def _list_facts(model: TrainedModel, manifest: Mapping[str, Any], history: LossHistory) -> dict[str, str]:
    training, data = model.job.training, manifest["data"]
    titles = {
        label: f"{data[role]['path']}, {data[role]['rows']:,} rows, sha256 {data[role]['sha256'][:_DIGEST_DIGITS]}"
        for label, role in (("Training titles", "train"), ("Test titles", "test"))
    }
    difference = format_amount(manifest["parity"]["largest_difference"], 4)
    return {
        **titles,
        "Optimizer": f"{training.optimizer.name}, batches of {training.batch_size}, {len(history)} epochs",
        "Seed": str(training.seed),
        **({"Weights": f"the same as version {same}"} if (same := manifest["same_weights_as"]) else {}),
        "Gradient boosting": f"{model.baselines.boosting}, chosen by cross-validation",
        "Scoring graph": f"within {difference} of Keras on {parity.ROWS:,} rows",
        **({"Prediction intervals": describe_coverage(manifest["interval"])} if "interval" in manifest else {}),
        "Software": ", ".join(f"{name} {release}" for name, release in manifest["software"].items()),
        "Git commit": manifest["git_commit"] or "not in a git checkout",
    }
