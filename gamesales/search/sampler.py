"""What Optuna does for a search: it proposes what to try next, and tells what mattered.

Its study is made anew from the trials so far whenever it is asked, with a seed that depends on their number: so the
next proposal is the same in a process that has just started as in one that did all the trials before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.search.space import Candidate, Space, Values, parts
from gamesales.search.trials import Trial, derived_seed

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as Asked

# Of fewer trials nobody can tell what mattered.
FEWEST_FOR_IMPORTANCE = 10
# So many trials choose at random, before there is enough to learn from.
_AT_RANDOM = 10
# A space has been tried out when so many proposals in a row were tried before.
_PROPOSALS = 20
_TINY = float(np.finfo(np.float64).tiny)


def propose(space: Space, trials: Sequence[Trial], seed: int, tolerance: float) -> Candidate | None:
    """Choose a candidate that was not tried yet, by a tree-structured Parzen estimator; None if none seems to be left.

    Args:
        space: what to choose from.
        trials: all so far, in order.
        seed: the search's.
        tolerance: see ``Trial.price_after``.
    """
    tried = {trial.candidate for trial in trials}
    for attempt in range(_PROPOSALS):
        chosen = _choose(space, trials, derived_seed(seed, len(trials), attempt), tolerance)
        if chosen not in tried:
            return chosen
    return None


def importances(space: Space, trials: Sequence[Trial], seed: int) -> dict[str, float]:
    """Tell what mattered: for each part that was searched, its share of what explains the error's logarithm, by fANOVA.

    Every trial that reached a fold counts, a pruned one with the error that it had; ``units`` is the layers' mean.

    Returns: shares that sum to 1, the largest first; empty where there are too few trials, or all have one error.
    """
    searched = {name: values for name, values in space.named(0).items() if values.distribution()}
    if space.units.distribution():
        searched["units"] = _spanned(space.units)
    shown = [trial for trial in trials if trial.errors and space.holds(trial.candidate)]
    placed = [{name: _place(values, _part(trial, name)) for name, values in searched.items()} for trial in shown]
    axes = {name: _axis(values) for name, values in searched.items() if len({one[name] for one in placed}) > 1}
    if len(shown) < FEWEST_FOR_IMPORTANCE or not axes or len({trial.error for trial in shown}) == 1:
        return {}
    optuna = load_optuna()
    study = optuna.create_study()
    for trial, places in zip(shown, placed, strict=True):
        study.add_trial(_frozen({name: places[name] for name in axes}, axes, math.log(max(trial.error, _TINY))))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def load_optuna() -> Any:
    """Import Optuna, which is then quiet."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # or it tells of every study on stderr
    return optuna


def _choose(space: Space, trials: Sequence[Trial], seed: int, tolerance: float) -> Candidate:
    """Ask Optuna for a candidate, after telling it of all trials that the space holds."""
    optuna = load_optuna()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=_AT_RANDOM, seed=seed))
    study.add_trials([_told(space, trial, tolerance) for trial in trials if space.holds(trial.candidate)])
    asked = study.ask()
    return space.choose(lambda name, values: _pick(asked, name, values))


def _pick(asked: Asked, name: str, values: Values[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match values.distribution():
        case CategoricalDistribution() as one:
            return asked.suggest_categorical(name, one.choices)
        case IntDistribution() as one:
            return asked.suggest_int(name, one.low, one.high, log=one.log)
        case FloatDistribution() as one:
            return asked.suggest_float(name, one.low, one.high, log=one.log)
        case _:
            return values.choices[0]


def _told(space: Space, trial: Trial, tolerance: float) -> FrozenTrial:
    """Write a trial as Optuna knows it; one that failed is to it one that was pruned before its first fold."""
    has = parts(trial.candidate)
    named = space.named(len(trial.candidate.units))
    axes = {name: one for name, values in named.items() if (one := values.distribution())}
    prices = {fold: trial.price_after(fold, tolerance) for fold in range(1, len(trial.errors) + 1)}
    value = trial.price_after(len(trial.errors), tolerance) if trial.state == "complete" else None
    return _frozen({name: has[name] for name in axes}, axes, value, prices)


def _frozen(
    placed: Mapping[str, Any],
    axes: Mapping[str, BaseDistribution],
    value: float | None,
    prices: Mapping[int, float] | None = None,
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
        value=value,
        params=dict(placed),
        distributions=dict(axes),
        intermediate_values=dict(prices or {}),
    )


def _spanned(values: Values[Any]) -> Values[Any]:
    """Return the range that all choices lie in, and their means."""
    return Values(low=min(values.ends), high=max(values.ends), log=values.log)


def _part(trial: Trial, name: str) -> Any:
    return float(np.mean(trial.candidate.units)) if name == "units" else parts(trial.candidate)[name]


def _axis(values: Values[Any]) -> BaseDistribution:
    """Return the axis along which fANOVA looks: a logarithm where the search is on a log scale."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not values.is_range:
        return CategoricalDistribution(values.choices)
    low, high = (_place(values, end) for end in values.ends)
    return FloatDistribution(low, high)


def _place(values: Values[Any], value: Any) -> Any:
    if not values.is_range:
        return value
    return math.log(value) if values.log else float(value)
