"""Checks of an experiment as a whole, and of its parameters: values, draws and constraints."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.config import setting_checks
from trading_runtime.config.constraint_syntax import (
    ConstraintSyntaxError,
    mentioned_parameters,
    parse_constraint,
)
from trading_runtime.config.experiment import (
    CombinatorialPurged,
    DrawnValues,
    RandomSampling,
    RangeValues,
    SearchSettings,
    WalkForward,
)
from trading_runtime.config.messages import ConfigFinding, check_values, nearest, show
from trading_runtime.config.ranges import range_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.messages import Key


def check_parameters(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Each parameter has values, each once."""
    for name, values in experiment.parameters.items():
        keys = ("parameters", name)
        if not (name.isidentifier() and name.isascii()):
            yield ConfigFinding(
                keys, "is not a name: accepted are letters, digits and '_'", of_key=True
            )
        if isinstance(values, RangeValues):
            yield from _range(keys, values)
        elif isinstance(values, DrawnValues):
            yield from _draws(keys, values)
        else:
            yield from _list(keys, values)


def check_sampling(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Random draws need random sampling."""
    search = experiment.search
    if isinstance(experiment.sampling if search is None else search.sampling, RandomSampling):
        return
    for name, values in experiment.parameters.items():
        if isinstance(values, DrawnValues):
            yield ConfigFinding(
                ("parameters", name),
                "draws need 'sampling: {method: random, n: ..., seed: ...}'; a grid takes a list "
                "or a range {start, stop, step}",
            )


_UNUSED = {
    "grid": ("points", "generation", "seed", "patience", "eta"),
    "random": ("generation", "patience", "eta"),
    "successive-halving": ("generation", "patience"),
}
"""Keys of ``search`` that a method leaves aside."""


def check_search(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A search states how many points it asks for, and nothing that it would leave aside."""
    search = experiment.search
    if search is None:
        return
    if "sampling" in experiment.model_fields_set:
        yield ConfigFinding(
            ("search",),
            "'sampling' says which points are tried as well; keep one of the two",
            of_key=True,
        )
    if search.method != "grid" and search.points is None:
        yield ConfigFinding(
            ("search", "points"), f"missing: how many points {search.method} asks for in all"
        )
    if search.method != "grid" and not experiment.parameters:
        yield ConfigFinding(("search",), "there are no 'parameters' to search over", of_key=True)
    for key in _UNUSED.get(search.method, ("eta",)):
        if getattr(search, key) != SearchSettings.model_fields[key].default:
            yield ConfigFinding(
                ("search", key), f"{search.method} does not use it; leave it out", of_key=True
            )


def check_front(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A search along a front has several objectives."""
    search = experiment.search
    if search is not None and search.method == "nsga-ii" and not experiment.further_objectives:
        yield ConfigFinding(
            ("search", "method"),
            "nsga-ii trades objectives off; name one or more in 'further_objectives', or use tpe",
        )


def check_validation(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Some folds remain to train on, and a search inside the splits is one that needs it."""
    asked = experiment.validation
    if isinstance(asked, CombinatorialPurged) and asked.n_test_folds >= asked.n_folds:
        yield ConfigFinding(
            ("validation", "n_test_folds"),
            f"is {asked.n_test_folds}: fewer than n_folds ({asked.n_folds}) leave some to train on",
        )
    searched = experiment.search is not None and experiment.search.is_adaptive
    if asked is not None and (asked.nested or asked.split is not None) and not searched:
        yield ConfigFinding(
            ("validation", "nested" if asked.nested else "split"),
            "is about a search that follows results (tpe, cma-es, nsga-ii, successive-halving); "
            "points of a grid and random ones are chosen on the training windows alone without it",
            of_key=True,
        )


def check_promotion(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A gate on what was tested out of sample needs tests that follow each other in time."""
    gates = experiment.promotion
    if (
        gates is not None
        and gates.min_out_of_sample_return is not None
        and not isinstance(experiment.validation, WalkForward)
    ):
        yield ConfigFinding(
            ("promotion", "min_out_of_sample_return"),
            "needs 'validation: {method: walk-forward, ...}', whose tests it is about",
            of_key=True,
        )


def check_twice(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A config key is either fixed or varied."""
    for name in experiment.parameters:
        if name in experiment.strategy.config:
            yield ConfigFinding(
                ("parameters", name),
                f"{name!r} is also in strategy.config; keep it in one of the two",
                of_key=True,
            )


def check_constraints(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Constraints can be read and refer to parameters."""
    for index, text in enumerate(experiment.constraints):
        keys = ("constraints", index)
        try:
            tree = parse_constraint(text)
        except ConstraintSyntaxError as error:
            yield ConfigFinding(keys, f"{show(text)}: {error}")
            continue
        names = dict.fromkeys(item.name for item in mentioned_parameters(tree))
        if not names:
            yield ConfigFinding(keys, f"{show(text)} speaks of no parameter")
        for name in names:
            if name not in experiment.parameters:
                known = ", ".join(experiment.parameters) or "none"
                hint = nearest(name, experiment.parameters) or f"; parameters are: {known}"
                yield ConfigFinding(keys, f"{show(text)}: there is no parameter {name!r}{hint}")


def _range(keys: tuple[Key, ...], values: RangeValues) -> Iterator[ConfigFinding]:
    problem = range_problem(values.start, values.stop, values.step, values.scale)
    if problem:
        yield ConfigFinding((*keys, problem[0]), problem[1])
    for key in ("start", "stop"):
        if abs(getattr(values, key)) > _LARGEST:
            yield ConfigFinding((*keys, key), f"must be at most {_LARGEST}")


def _draws(keys: tuple[Key, ...], values: DrawnValues) -> Iterator[ConfigFinding]:
    if values.step <= 0:
        yield ConfigFinding((*keys, "step"), f"must be above 0; found {values.step}")
    if values.high < values.low:
        yield ConfigFinding((*keys, "high"), f"{values.high} is below low {values.low}")
    if values.scale == "log" and values.low <= 0:
        yield ConfigFinding((*keys, "low"), f"must be above 0 on a log scale; found {values.low}")
    for key in ("low", "high"):
        if abs(getattr(values, key)) > _LARGEST:
            yield ConfigFinding((*keys, key), f"must be at most {_LARGEST}")


def _list(keys: tuple[Key, ...], values: Sequence[Any]) -> Iterator[ConfigFinding]:
    if not values:
        yield ConfigFinding(keys, "must not be empty; give at least one value")
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if isinstance(value, dict):
            yield ConfigFinding((*keys, index), f"must be a value or a list; found {show(value)}")
        same = seen.setdefault(_identity(value), index)
        if same != index:
            yield ConfigFinding((*keys, index), f"{show(value)} is there twice; keep one")
    yield from check_values(keys, values)


def _identity(value: Any) -> str:
    """Return one text for equal values: 1 and 1.0 are one value, 1 and true are two."""
    if isinstance(value, list):
        return f"[{','.join(_identity(item) for item in value)}]"
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(Decimal(value).normalize())
    return repr(value)


# Each with the sections that it reads: valid sections are checked even if another cannot be read.
_CHECKS = (
    (frozenset({"dataset"}), setting_checks.check_dataset),
    (frozenset({"results"}), setting_checks.check_results),
    (frozenset({"dataset", "results"}), setting_checks.check_two_folders),
    (frozenset({"strategy"}), setting_checks.check_strategy),
    (frozenset({"strategy", "partitions"}), setting_checks.check_builtin_warmup),
    (frozenset({"partitions"}), setting_checks.check_partitions),
    (frozenset({"venue", "venues"}), setting_checks.check_account),
    (frozenset({"venue", "venues"}), setting_checks.check_fees),
    (frozenset({"venue", "venues", "dataset"}), setting_checks.check_venue_and_data),
    (frozenset({"venue", "venues", "statistics"}), setting_checks.check_currency),
    (frozenset({"venue", "venues", "partitions"}), setting_checks.check_venues),
    (frozenset({"risk", "dataset"}), setting_checks.check_risk),
    (frozenset({"risk", "strategy"}), setting_checks.check_builtin_risk),
    (frozenset({"queue", "strategy"}), setting_checks.check_queue),
    (frozenset({"equity"}), setting_checks.check_equity),
    (frozenset({"objective", "further_objectives"}), setting_checks.check_objective),
    (frozenset({"parameters"}), check_parameters),
    (frozenset({"parameters", "sampling", "search"}), check_sampling),
    (frozenset({"parameters", "sampling", "search"}), check_search),
    (frozenset({"search", "further_objectives"}), check_front),
    (frozenset({"validation"}), check_validation),
    (frozenset({"validation", "promotion"}), check_promotion),
    (frozenset({"parameters", "strategy"}), check_twice),
    (frozenset({"parameters", "constraints"}), check_constraints),
)


def find_conflicts(
    experiment: Experiment, folder: Path, without: frozenset[str]
) -> Iterator[ConfigFinding]:
    """Run every check that reads none of the sections ``without``; paths start at ``folder``."""
    for sections, check in _CHECKS:
        if not sections & without:
            yield from check(experiment, folder)


_LARGEST = Decimal(2**63 - 1)
