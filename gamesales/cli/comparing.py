"""compare: two versions side by side."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, RegistryOption
from gamesales.cli.output import metric_cells, moment, one_line, show_json, table
from gamesales.jobs import comparison
from gamesales.jobs.loading import open_registry
from gamesales.jobs.measurements import Figures, Interval
from gamesales.registry.refs import parse_ref

_NAMES = {"scaled_mse": "scaled MSE", "mae_usd": "MAE", "rmse_usd": "RMSE", "r2": "R2", "mape_percent": "MAPE"}


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A version, as in show.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    everything: Annotated[bool, typer.Option("--all", help="What is the same, too.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Tell in what two versions differ: data, figures on the same titles, network, contract, software, files."""
    refs = parse_ref(first, name), parse_ref(second, name)
    one, two = ((open_registry(registry, ref.model), ref) for ref in refs)
    compared = comparison.compare(one, two, everything=everything)
    if as_json:
        show_json(compared)
        return
    names = _names(compared)
    print(f"{names[0]} and {names[1]}" + ("" if _of_two_models(compared) else f" of {compared.first.model}"))
    for side, who in zip((compared.first, compared.second), names, strict=True):
        print(one_line(_side(side, who)))
    print(f"training data  {_verdict(compared.same_training_data)}")
    print(f"holdout        {_verdict(compared.same_holdout)}")
    for part in [*_figures(compared, names), *_sections(compared, names)]:
        print(f"\n{part}")


def _of_two_models(compared: comparison.Comparison) -> bool:
    return compared.first.model != compared.second.model


def _names(compared: comparison.Comparison) -> list[str]:
    return [
        f"version {side.version}" + (f" of {side.model}" if _of_two_models(compared) else "")
        for side in (compared.first, compared.second)
    ]


def _side(side: comparison.Side, who: str) -> str:
    marks = [*side.aliases, *(["retired"] if side.retired else [])]
    because = f": {side.reason}" if side.reason else ""
    named = f" ({', '.join(marks)})" if marks else ""
    return f"{who}{named}, registered {moment(side.registered)} UTC by {side.actor}{because}"


def _verdict(same: bool | None) -> str:
    return "not known of both" if same is None else "the same" if same else "different"


def _figures(compared: comparison.Comparison, names: list[str]) -> list[str]:
    """Tell the figures on each file that both were evaluated on, or that there is none."""
    if not compared.figures:
        sides = zip((compared.first, compared.second), names, strict=True)
        on = "; ".join(f"{who} on {_files(side)}" for side, who in sides)
        return [one_line(f"Their figures are on different data and can't be compared: {on}.")]
    return [_figures_on(each, names) for each in compared.figures]


def _files(side: comparison.Side) -> str:
    return ", ".join(f"{path} (sha256 {digest[:12]})" for digest, path in side.evaluated_on.items()) or "none"


def _figures_on(figures: Figures, names: list[str]) -> str:
    on = one_line(f"on {figures.data}, {figures.rows:,} rows, sha256 {figures.data_sha256[:12]}")
    if not figures.entries:
        return f"The same figures {on}."
    rows = [
        [
            _NAMES[entry.name],
            _figure(entry.name, entry.first, entry.first_interval),
            _figure(entry.name, entry.second, entry.second_interval),
            _figure(entry.name, entry.difference, None),
        ]
        for entry in figures.entries
    ]
    return f"Figures {on}:\n" + table(["", *names, "difference"], rows)


def _figure(name: str, value: float | None, interval: Interval | None) -> str:
    told = _written(name, value)
    return f"{told} ({_written(name, interval[0])} to {_written(name, interval[1])})" if interval else told


def _written(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    minus = "-" if value < 0 else ""  # before the currency: -$15
    return minus + metric_cells({name: abs(value)})[list(_NAMES).index(name)]


def _sections(compared: comparison.Comparison, names: list[str]) -> list[str]:
    shown = [
        table([section.name, *names], [[e.name, _cell(e, e.first), _cell(e, e.second)] for e in section.entries])
        for section in compared.sections
        if section.entries
    ]
    return shown or ["Nothing else differs; what is the same: --all"]


def _cell(entry: comparison.Entry, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)[:12] if entry.name.endswith("sha256") else str(value)


COMMANDS = (compare,)
