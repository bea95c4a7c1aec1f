"""Refits: further networks of a job, trained on parts of its titles or from other seeds.

They calibrate prediction intervals and show in the report whether a version is good or lucky. All of them are planned
before the first one is trained, so that they can be trained at once and in another process; see ``stacked``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import InputError
from gamesales.training.encoding import count_inputs, read_encoding
from gamesales.training.fit import PredictFunction, fit
from gamesales.training.folds import FOLD_KINDS, FoldKind, list_other_rows, make_folds, number_groups
from gamesales.training.keras_objects import seed_everything
from gamesales.training.network import build_network
from gamesales.training.scaling import Scaling, fit_scaler
from gamesales.training.stacked import ScaledTitles, Weights, can_stack, fit_stack
from gamesales.training.train_job import NetworkSpec, TrainingSpec, TrainJob
from gamesales.training.workers import Call, Submit

INTERVALS, CURVE, SEEDS = "intervals", "learning curve", "other seeds"
# The learning curve trains on one eighth, one fourth and one half of the titles.
_DIVISORS = (8, 4, 2)
# A network learns nothing from fewer titles.
_MIN_TITLES = 20
# A stack has at most this many networks, and this many rows unless it is a single network. The weights may depend on
# the other networks of a stack in their last bits, so stacks do not depend on the number of workers.
_STACK_NETWORKS, _STACK_ROWS = 16, 500_000
# Encoded titles are much wider than titles. A stack has 200 MB of them.
_STACK_NUMBERS = 50_000_000
# A worker takes 700 MB of memory, and as long to start as this number of steps.
_MAX_WORKERS, _MIN_WORKER_STEPS = 4, 5_000


@dataclass(frozen=True)
class Refit:
    """A further network that is to be trained, from its scaled titles."""

    titles: ScaledTitles
    scaling: Scaling


# The refits by purpose: INTERVALS, a kind of folds, CURVE or SEEDS.
RefitPlan = Mapping[str, Sequence[Refit]]


def plan_refits(job: TrainJob, contract: Contract, titles: LabeledTitles, fit_titles: LabeledTitles) -> RefitPlan:
    """Plan the refits of a job. A purpose without refits is left out.

    Args:
        job: the network, the training, the intervals and the report.
        contract: names the columns.
        titles: the training titles.
        fit_titles: the training titles that the published network is fitted on.
    """

    def plan_titles(spec: TrainingSpec, titles: LabeledTitles) -> Refit:
        return plan_refit(spec, contract, titles.features, titles.earnings)

    spec, seed = job.training, job.training.seed
    plan: dict[str, Sequence[Refit]] = {}
    has_intervals = job.intervals.choose_method(len(titles)) == "cv"
    if has_intervals:
        folds = make_folds(fit_titles, "plain", job.intervals.folds, seed)
        plan[INTERVALS] = plan_folds(spec, contract, fit_titles, folds)
    if len(titles) <= job.report.most_titles:
        for kind in FOLD_KINDS:
            # Calibration by cross-validation predicts the plain folds.
            if (kind == "grouped" or not has_intervals) and 0 < job.report.folds <= _count_groups(titles, kind):
                plan[kind] = plan_folds(spec, contract, titles, make_folds(titles, kind, job.report.folds, seed))
        parts = draw_learning_curve(job, len(fit_titles))
        plan[CURVE] = [plan_titles(spec, part) for part in map(fit_titles.take, parts)]
        others = [job.with_seed((seed + number) % 2**32).training for number in range(1, job.report.seeds + 1)]
        plan[SEEDS] = [plan_titles(other, fit_titles) for other in others]
    return {purpose: refits for purpose, refits in plan.items() if refits}


def make_report_folds(job: TrainJob, titles: LabeledTitles, plan: RefitPlan) -> dict[FoldKind, list[IntArray]]:
    """Make the folds that the report measures: those for which a plan has networks."""
    counts: dict[FoldKind, int] = {kind: job.report.folds for kind in FOLD_KINDS if kind in plan}
    if INTERVALS in plan:  # calibration by cross-validation predicts the plain folds
        counts = {"plain": job.intervals.folds, **counts}
    return {kind: make_folds(titles, kind, count, job.training.seed) for kind, count in counts.items()}


def plan_folds(spec: TrainingSpec, contract: Contract, titles: LabeledTitles, folds: Sequence[IntArray]) -> list[Refit]:
    """Plan a network for each fold, which is trained on the other folds."""
    parts = list_other_rows(len(titles), folds)
    return [plan_refit(spec, contract, titles.features[rows], titles.earnings[rows]) for rows in parts]


def draw_learning_curve(job: TrainJob, rows: int) -> list[IntArray]:
    """Draw nested parts of the rows, each ascending; none if the job wants no curve or there are too few rows."""
    if not job.report.learning_curve:
        return []
    order, share = np.random.default_rng([job.training.seed, 3]).permutation(rows), job.training.validation_share
    sizes = [rows // divisor for divisor in _DIVISORS]
    return [
        np.sort(order[:size]) for size in sizes if size >= _MIN_TITLES and (not share or 0 < round(size * share) < size)
    ]


def _count_groups(titles: LabeledTitles, kind: FoldKind) -> int:
    return len(titles) if kind == "plain" else int(number_groups(titles.features).max()) + 1


def plan_refit(spec: TrainingSpec, contract: Contract, features: FloatArray, earnings: FloatArray) -> Refit:
    """Plan a network that is trained on some titles in the same way as a published network: scaled by these titles.

    Args:
        spec: how to train.
        contract: names the columns.
        features: (n, k), not scaled.
        earnings: (n,), in the target's unit.
    """
    _, scaling = fit_scaler(contract, features, earnings)
    return Refit(ScaledTitles(scaling.scale_features(features), scaling.scale_target(earnings), spec), scaling)


def count_workers(network: NetworkSpec, plan: RefitPlan, cores: int) -> int:
    """Return the number of worker processes for a plan, and for one more call such as tuning a baseline.

    There are none on one core, or if the networks train in less time than a process takes to start.
    """
    stacks = list(split_into_stacks(network, _list_refits(plan)))
    steps = sum(max(map(_count_steps, stack)) for stack in stacks)
    return 0 if cores == 1 or steps < _MIN_WORKER_STEPS else min(cores, len(stacks) + 1, _MAX_WORKERS)


def _count_steps(titles: ScaledTitles) -> int:
    return titles.training.epochs * -(-len(titles.target) // titles.training.batch_size)


class Refits:
    """The networks of a plan, whose training begins now and may still go on.

    Args:
        network: the layers.
        plan: the titles and the training of each network.
        submit: begins a training; see ``open_workers``.
    """

    def __init__(self, network: NetworkSpec, plan: RefitPlan, submit: Submit) -> None:
        self._network, self._plan = network, plan
        stacks = split_into_stacks(network, _list_refits(plan))
        self._calls: list[Call] = [submit(fit_networks, network, stack) for stack in stacks]
        self._weights: list[Weights | InputError] = []
        self._networks: dict[str, Sequence[PredictFunction | InputError]] = {}

    def __contains__(self, purpose: str) -> bool:
        return purpose in self._plan

    def __len__(self) -> int:
        return len(_list_refits(self._plan))

    def finish(self) -> None:
        """Wait until all networks are trained."""
        self._weights = self._weights or [item for call in self._calls for item in call.result()]

    def get(self, purpose: str) -> list[PredictFunction]:
        """Wait, and return functions that predict with the networks of a purpose.

        Raises:
            InputError: the training of a network of this purpose diverged.
        """
        self.finish()
        if not self._networks:
            networks = iter(_load_networks(self._network, _list_refits(self._plan), self._weights))
            self._networks = {purpose: [next(networks) for _ in refits] for purpose, refits in self._plan.items()}
        return require_trained(self._networks[purpose])


def fit_predictors(network: NetworkSpec, refits: Sequence[Refit]) -> list[PredictFunction | InputError]:
    """Train networks in this process.

    Returns:
        A function that predicts with each network, or the error if its training diverged.
    """
    stacks = split_into_stacks(network, refits)
    return _load_networks(network, refits, [weights for stack in stacks for weights in fit_networks(network, stack)])


def require_trained(networks: Sequence[PredictFunction | InputError]) -> list[PredictFunction]:
    """Return the networks.

    Raises:
        InputError: the training of a network diverged.
    """
    for network in networks:
        if isinstance(network, InputError):
            raise network
    return [network for network in networks if not isinstance(network, InputError)]


def _load_networks(
    network: NetworkSpec, refits: Sequence[Refit], weights: Sequence[Weights | InputError]
) -> list[PredictFunction | InputError]:
    """Return functions that predict with trained weights. All functions share a network of Keras."""
    built = build_network(network, refits[0].titles.features.shape[1])
    return [
        item if isinstance(item, InputError) else _make_predictor(built, item, refit.scaling)
        for refit, item in zip(refits, weights, strict=True)
    ]


def _make_predictor(built: Any, weights: Weights, scaling: Scaling) -> PredictFunction:
    def predict(values: FloatArray) -> FloatArray:
        built.set_weights(weights)
        scaled = built(scaling.scale_features(values).astype(np.float32), training=False)
        return scaling.unscale_target(np.asarray(scaled)[:, 0])

    return predict


def _list_refits(plan: RefitPlan) -> list[Refit]:
    return [refit for refits in plan.values() for refit in refits]


def split_into_stacks(network: NetworkSpec, refits: Sequence[Refit]) -> Iterator[list[ScaledTitles]]:
    """Split trainings into stacks; a training that can't be stacked is alone."""
    stack: list[ScaledTitles] = []
    encoding = read_encoding(network)
    width = count_inputs(encoding) if encoding else 0
    for part in (refit.titles for refit in refits):
        rows = sum(len(other.target) for other in [*stack, part])
        is_full = len(stack) == _STACK_NETWORKS or rows > _STACK_ROWS or rows * width > _STACK_NUMBERS
        if stack and (is_full or not can_stack(network, part.training)):
            yield stack
            stack = []
        stack.append(part)
    if stack:
        yield stack


def fit_networks(network: NetworkSpec, titles: Sequence[ScaledTitles]) -> list[Weights | InputError]:
    """Train the networks of a stack, or one by one if they can't be stacked.

    Returns:
        The weights of each network, or the error if its training diverged.
    """
    if can_stack(network, titles[0].training):
        return fit_stack(network, titles)
    return [_fit_alone(network, part) for part in titles]


def _fit_alone(network: NetworkSpec, titles: ScaledTitles) -> Weights | InputError:
    seed_everything(titles.training.seed)
    built = build_network(network, titles.features.shape[1])
    try:
        fit(built, titles.features, titles.target, titles.training)
    except InputError as error:
        return error
    weights: Weights = built.get_weights()
    return weights
