"""The part of a search that Optuna does: it proposes candidates, and it measures the importance of hyperparameters.

An Optuna study is made anew for each proposal from the trials so far, with a seed that depends on their number. So a
process that has just started makes the same proposal as a process that ran all the trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.search.trials import Trial, mix_seed
from gamesales.search.tune_job import Candidate, Space, Values, list_hyperparameters

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as OptunaTrial

# Fewer trials do not show which hyperparameters matter.
MIN_TRIALS_FOR_IMPORTANCE = 10
# The first proposals are random.
_RANDOM_TRIALS = 10
# The space is exhausted if this many proposals in a row were tried before.
_MAX_PROPOSALS = 20
_TINY = float(np.finfo(np.float64).tiny)


def propose(
    space: Space, trials: Sequence[Trial], running: Sequence[Candidate], seed: int, tolerance: float
) -> Candidate | None:
    """Propose a candidate that was not tried yet, by a tree-structured Parzen estimator.

    Args:
        space: the values to choose from.
        trials: the first trials, in order.
        running: the candidates of the next trials, whose errors are not used.
        seed: the seed of the search.
        tolerance: see ``Trial.penalized_error``.

    Returns:
        The candidate, or None if the space seems to be exhausted.
    """
    tried = {*(trial.candidate for trial in trials), *running}
    number = len(trials) + len(running)
    for attempt in range(_MAX_PROPOSALS):
        candidate = _sample(space, trials, mix_seed(seed, number, attempt), tolerance)
        if candidate not in tried:
            return candidate
    return None


def rank_hyperparameters(space: Space, trials: Sequence[Trial], seed: int) -> dict[str, float]:
    """Measure by fANOVA the importance of each hyperparameter: its share of the variance of the error's logarithm.

    Every trial with a fold counts, a pruned trial with its error so far. ``units`` is the mean over the layers.

    Returns:
        Shares that sum to 1, the largest first. Empty if there are too few trials or all have the same error.
    """
    searched = {name: values for name, values in space.list_values(0).items() if values.make_distribution()}
    if space.units.make_distribution():
        searched["units"] = _span(space.units)
    shown = [trial for trial in trials if trial.errors and space.contains(trial.candidate)]
    positions = [
        {name: _to_axis(values, _read_hyperparameter(trial, name)) for name, values in searched.items()}
        for trial in shown
    ]
    axes = {
        name: _make_axis(values)
        for name, values in searched.items()
        if len({position[name] for position in positions}) > 1
    }
    if len(shown) < MIN_TRIALS_FOR_IMPORTANCE or not axes or len({trial.error for trial in shown}) == 1:
        return {}
    optuna = load_optuna()
    study = optuna.create_study()
    for trial, position in zip(shown, positions, strict=True):
        log_error = math.log(max(trial.error, _TINY))
        study.add_trial(_make_optuna_trial({name: position[name] for name in axes}, axes, log_error))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def load_optuna() -> Any:
    """Import Optuna without its messages."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it reports every new study on stderr
    return optuna


def _sample(space: Space, trials: Sequence[Trial], seed: int, tolerance: float) -> Candidate:
    """Ask Optuna for a candidate, given the trials within the space."""
    optuna = load_optuna()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=_RANDOM_TRIALS, seed=seed))
    study.add_trials([_to_optuna(space, trial, tolerance) for trial in trials if space.contains(trial.candidate)])
    optuna_trial = study.ask()
    return space.make_candidate(lambda name, values: _suggest(optuna_trial, name, values))


def _suggest(optuna_trial: OptunaTrial, name: str, values: Values[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match values.make_distribution():
        case CategoricalDistribution() as distribution:
            return optuna_trial.suggest_categorical(name, distribution.choices)
        case IntDistribution() as distribution:
            return optuna_trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
        case FloatDistribution() as distribution:
            return optuna_trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        case _:
            return values.choices[0]


def _to_optuna(space: Space, trial: Trial, tolerance: float) -> FrozenTrial:
    """Convert a trial to Optuna's form. A failed trial becomes a trial that was pruned before its first fold."""
    chosen = list_hyperparameters(trial.candidate)
    values_by_name = space.list_values(len(trial.candidate.units))
    axes = {
        name: distribution for name, values in values_by_name.items() if (distribution := values.make_distribution())
    }
    errors = {fold: trial.penalized_error(fold, tolerance) for fold in range(1, len(trial.errors) + 1)}
    value = trial.penalized_error(len(trial.errors), tolerance) if trial.state == "complete" else None
    return _make_optuna_trial({name: chosen[name] for name in axes}, axes, value, errors)


def _make_optuna_trial(
    position: Mapping[str, Any],
    axes: Mapping[str, BaseDistribution],
    value: float | None,
    intermediate_values: Mapping[int, float] | None = None,
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
        value=value,
        params=dict(position),
        distributions=dict(axes),
        intermediate_values=dict(intermediate_values or {}),
    )


def _span(values: Values[Any]) -> Values[Any]:
    """Return the range that contains all choices and their means."""
    return Values(low=min(values.ends), high=max(values.ends), log=values.log)


def _read_hyperparameter(trial: Trial, name: str) -> Any:
    return float(np.mean(trial.candidate.units)) if name == "units" else list_hyperparameters(trial.candidate)[name]


def _make_axis(values: Values[Any]) -> BaseDistribution:
    """Return the axis of a hyperparameter for fANOVA, logarithmic if the search is on a log scale."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not values.is_range:
        return CategoricalDistribution(values.choices)
    low, high = (_to_axis(values, end) for end in values.ends)
    return FloatDistribution(low, high)


def _to_axis(values: Values[Any], value: Any) -> Any:
    if not values.is_range:
        return value
    return math.log(value) if values.log else float(value)
