"""Asking for points: what a search tries next, based only on what it has tried.

Generations are fixed, each has a fresh sampler, and results are identified by the point's number.
So workers, the order of arrival and resumed runs change nothing. Points use the exact values of the
parameters. The first generation of every method is drawn at random.

Across processors an adaptive sampler is not a pure function (last digits of its arithmetic differ),
so the points asked for are stored, and ``verify --search`` checks whether asking again gives the
same.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import itertools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import Field

from trading_runtime.config.experiment import (
    DrawnValues,
    Objective,
    RangeValues,
    SearchSettings,
    Values,
)
from trading_runtime.config.fields import Model
from trading_runtime.errors import UsageError
from trading_runtime.planning.identity import decode_values, encode_values
from trading_runtime.planning.points import Axis, allowed_draws, axis_of, read_constraints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from trading_runtime.config.experiment import Experiment

type Indices = tuple[int, ...]
"""A point: the index of each parameter's value among all its values."""

_TRIES = 20
"""Draws for each point of a generation, of which some were asked before or are not allowed."""
_FEWEST_OF_CMA_ES = 4
_FEWEST_PARENTS = 2
_PACKAGES = {"tpe": "optuna", "nsga-ii": "optuna", "cma-es": "cmaes"}
"""What proposes the points of a method after its first generation."""
_INSTALL = "install it with 'pip install \"trading-runtime[search]\"'"


class Asked(NamedTuple):
    """A point that is asked for."""

    indices: Indices
    inner: tuple[float, ...] = ()
    """Where the sampler itself has the point, when its indices do not identify it."""


class Evaluated(NamedTuple):
    """A point that was asked for, and its result; ``None`` when it failed."""

    asked: Asked
    value: float | None
    others: tuple[float, ...] = ()
    """Its values of further objectives, when the method trades them off."""

    @property
    def values(self) -> tuple[float, ...] | None:
        """Its values of all objectives; ``None`` when it failed."""
        return None if self.value is None else (self.value, *self.others)


class SearchInputs(Model):
    """Everything in an experiment that decides what is asked for; the rest are results."""

    parameters: dict[str, Values]
    constraints: list[str]
    objective: Objective
    further_objectives: list[Objective] = Field(default_factory=list)
    search: SearchSettings

    @property
    def objectives(self) -> list[Objective]:
        """What the method looks at: the objective, and those that it trades off against it."""
        further = self.further_objectives if self.search.method == "nsga-ii" else []
        return [self.objective, *further]

    @classmethod
    def of(cls, experiment: Experiment) -> Self:
        """Return the inputs of an experiment; raises ``UsageError`` when it has no search."""
        if experiment.search is None:
            raise UsageError("search: the experiment has none")
        return cls(
            parameters=experiment.parameters,
            constraints=experiment.constraints,
            objective=experiment.objective,
            further_objectives=experiment.further_objectives,
            search=experiment.search,
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the object that ``to_document`` was called on; raises ``ValueError``."""
        return cls.model_validate(decode_values(dict(document)))

    def to_document(self) -> dict[str, Any]:
        """Return the inputs as JSON that distinguishes decimals from texts."""
        document: dict[str, Any] = encode_values(self.model_dump())
        return document


@dataclass(frozen=True)
class Space:
    """The parameters of an experiment, and which of their combinations are allowed."""

    axes: Mapping[str, Axis]
    ordered: Mapping[str, bool]
    """Whether a parameter's values are ordered: rising numbers."""
    allows: Callable[[Mapping[str, Any]], bool]

    @classmethod
    def of(cls, inputs: SearchInputs) -> Self:
        """Return the space that parameters and constraints span."""
        constraints = read_constraints(inputs.constraints)
        return cls(
            {name: axis_of(values) for name, values in inputs.parameters.items()},
            {name: _rises(values) for name, values in inputs.parameters.items()},
            lambda point: all(constraint.allows(point) for constraint in constraints),
        )

    @property
    def size(self) -> int:
        """How many combinations there are, including those that are not allowed."""
        return math.prod(axis.size for axis in self.axes.values())

    def point(self, indices: Indices) -> dict[str, Any]:
        """Return the parameters of a point."""
        return {
            name: axis.value(index)
            for (name, axis), index in zip(self.axes.items(), indices, strict=True)
        }


def _rises(values: list[Any] | RangeValues | DrawnValues) -> bool:
    if isinstance(values, RangeValues | DrawnValues):
        return True
    numbers = [value for value in values if not isinstance(value, bool | str)]
    try:
        return len(numbers) == len(values) and numbers == sorted(numbers)
    except TypeError:
        return False


def ask(
    space: Space, inputs: SearchInputs, generation: int, evaluated: Sequence[Evaluated]
) -> list[Asked]:
    """Return the new points of a generation; fewer when no more are found.

    What a sampler does not find, for it proposes what was asked before or is not allowed, is drawn
    at random. ``evaluated`` has all points of earlier generations, in the order in which they were
    asked for. Raises ``UsageError`` when the method cannot search this space, or its package is
    missing.
    """
    settings = inputs.search
    size = min(settings.generation, (settings.points or 0) - len(evaluated))
    if settings.method == "successive-halving":
        size = settings.points or 0
    seen = {each.asked.indices for each in evaluated}
    draws = _random(space, settings)
    if generation and settings.method != "random":
        sampler = {"tpe": _tpe, "cma-es": _cma_es, "nsga-ii": _nsga_ii}[settings.method]
        proposed = sampler(space, inputs, generation, evaluated)
        if settings.method == "cma-es":
            draws = (_where_it_is(space, each.indices) for each in draws)
        draws = itertools.chain(itertools.islice(proposed, _TRIES * size), draws)
    found: list[Asked] = []
    for asked in draws:
        if asked.indices not in seen and space.allows(space.point(asked.indices)):
            seen.add(asked.indices)
            found.append(asked)
        if len(found) == size or len(seen) == space.size:
            break
    return found


def check_search_plan(space: Space, settings: SearchSettings) -> None:
    """Raise ``UsageError`` when the method cannot search this space, or its package is missing."""
    needed = _PACKAGES.get(settings.method)
    if needed is not None and importlib.util.find_spec(needed) is None:
        raise _missing(needed)
    if settings.method == "cma-es":
        unordered = [name for name, rises in space.ordered.items() if not rises]
        if unordered:
            raise UsageError(
                f"search.method: cma-es moves along numbers that rise, and {unordered[0]!r} has "
                "values of another kind; use tpe, or fix that parameter"
            )
        if sum(axis.size > 1 for axis in space.axes.values()) < 2:  # noqa: PLR2004
            raise UsageError(
                "search.method: cma-es needs two parameters of more than one value; use tpe"
            )
        if settings.generation < _FEWEST_OF_CMA_ES:
            raise UsageError(f"search.generation: cma-es needs {_FEWEST_OF_CMA_ES} points or more")


def import_sampler(settings: SearchSettings) -> None:
    """Import what asks for the second generation, which is not needed before."""
    if (name := _PACKAGES.get(settings.method)) is not None:
        _package(name)


def _random(space: Space, settings: SearchSettings) -> Iterator[Asked]:
    """Yield the draws of ``sampling: {method: random}``; of an exhausted space, no more."""
    return map(Asked, allowed_draws(space.axes, space.allows, settings.seed))


def _tpe(
    space: Space, inputs: SearchInputs, generation: int, evaluated: Sequence[Evaluated]
) -> Iterator[Asked]:
    """Yield what a Tree-structured Parzen Estimator proposes, given all earlier results.

    It treats points of this generation as running, and so as bad ones, so that it does not ask for
    the same again. Source: Bergstra, Bardenet, Bengio and Kegl, "Algorithms for Hyper-Parameter
    Optimization", NeurIPS 2011; by Optuna.
    """
    optuna = _package("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is marked as experimental is pinned
        sampler = optuna.samplers.TPESampler(
            seed=seed_of(inputs.search.seed, generation),
            n_startup_trials=1,
            multivariate=True,
            constant_liar=True,
        )
        yield from _proposed(sampler, space, inputs, evaluated, {})


def _nsga_ii(
    space: Space, inputs: SearchInputs, generation: int, evaluated: Sequence[Evaluated]
) -> Iterator[Asked]:
    """Yield crosses and mutations of the best points so far in all objectives.

    Parents are as many of all earlier points as a generation has: those that none beats, then those
    that only these beat, and so on; of the last of such ranks, those furthest from the others.
    Source: Deb, Pratap, Agarwal and Meyarivan, "A Fast and Elitist Multiobjective Genetic
    Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002; by Optuna.
    """
    optuna = _package("optuna")
    parents = min(inputs.search.generation, sum(each.value is not None for each in evaluated))
    if parents < _FEWEST_PARENTS:
        return
    sampler = optuna.samplers.NSGAIISampler(
        population_size=parents, seed=seed_of(inputs.search.seed, generation)
    )
    # Optuna itself counts generations by the points that did not fail, of which there may be fewer
    # than a population: here all earlier points are one, from which the parents are taken.
    of_parents = {sampler._get_generation_key(): 0}  # noqa: SLF001 - it has no public name
    yield from _proposed(sampler, space, inputs, evaluated, of_parents)


def _proposed(
    sampler: Any,
    space: Space,
    inputs: SearchInputs,
    evaluated: Sequence[Evaluated],
    attributes: Mapping[str, Any],
) -> Iterator[Asked]:
    """Yield what a sampler of Optuna proposes after earlier results, without end."""
    optuna = _package("optuna")
    distributions = {
        name: (
            optuna.distributions.IntDistribution(0, axis.size - 1)
            if space.ordered[name]
            else optuna.distributions.CategoricalDistribution(tuple(range(axis.size)))
        )
        for name, axis in space.axes.items()
    }
    states = optuna.trial.TrialState
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=[each.direction for each in inputs.objectives], sampler=sampler
    )
    for each in evaluated:
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(space.axes, each.asked.indices, strict=True)),
                distributions=distributions,
                values=each.values,
                state=states.FAIL if each.values is None else states.COMPLETE,
                system_attrs=dict(attributes),
            )
        )
    while True:
        trial = study.ask(distributions)
        yield Asked(tuple(int(trial.params[name]) for name in space.axes))


def _cma_es(
    space: Space, inputs: SearchInputs, generation: int, evaluated: Sequence[Evaluated]
) -> Iterator[Asked]:
    """Yield what the covariance matrix adaptation proposes, its state rebuilt from earlier results.

    Each parameter goes from 0 to 1 in the steps of its values. The search starts around the best
    point of the first generation. A point that failed is as bad as the worst of its generation.
    Source: Hamano, Saito, Nomura and Shirakawa, "CMA-ES with Margin", GECCO 2022; by cmaes.
    """
    cmaes = _package("cmaes")
    import numpy as np

    settings = inputs.search
    varied = [place for place, axis in enumerate(space.axes.values()) if axis.size > 1]
    last = [axis.size - 1 for axis in space.axes.values()]
    sign = -1.0 if inputs.objective.direction == "maximize" else 1.0
    costs = [None if each.value is None else sign * each.value for each in evaluated]
    first = settings.generation
    best = min(
        range(min(first, len(evaluated))),
        key=lambda number: (math.inf if (cost := costs[number]) is None else cost, number),
    )
    steps = np.array([1 / last[place] for place in varied])
    optimiser = cmaes.CMAwM(
        mean=np.array([evaluated[best].asked.indices[place] / last[place] for place in varied]),
        sigma=0.25,
        bounds=np.array([[0.0, 1.0]] * len(varied)),
        steps=steps,
        seed=seed_of(settings.seed, "cma-es"),
        population_size=settings.generation,
    )
    for start in range(first, len(evaluated), settings.generation):
        some = range(start, min(start + settings.generation, len(evaluated)))
        known = [cost for number in some if (cost := costs[number]) is not None]
        worst = max(known, default=0.0)
        if len(some) == settings.generation:
            optimiser.tell(
                [
                    (
                        np.array(evaluated[number].asked.inner),
                        worst if (cost := costs[number]) is None else cost,
                    )
                    for number in some
                ]
            )
    # Each generation has its own generator: how often it was asked before does not matter.
    optimiser.reseed_rng(seed_of(settings.seed, generation))
    while True:
        drawn, inner = optimiser.ask()
        indices = [0] * len(last)
        for place, value in zip(varied, drawn.tolist(), strict=True):
            indices[place] = min(max(round(value * last[place]), 0), last[place])
        yield Asked(tuple(indices), tuple(inner.tolist()))


def _where_it_is(space: Space, indices: Indices) -> Asked:
    """Return a point as ``_cma_es`` would have asked for it, had its draw been exact."""
    sizes = [axis.size for axis in space.axes.values()]
    return Asked(
        indices,
        tuple(at / (size - 1) for at, size in zip(indices, sizes, strict=True) if size > 1),
    )


def seed_of(*parts: object) -> int:
    """Return a seed of 32 bits for each combination of ``parts``."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(name) from error


def _missing(name: str) -> UsageError:
    return UsageError(f"search.method: it needs the package {name!r}; {_INSTALL}")
