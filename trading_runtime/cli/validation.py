"""The commands ``results seams`` and ``results walk-forward``: what a run's windows hide."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import EXPERIMENT, JSON, WORKERS, find_run, results_option
from trading_runtime.cli.run import Signals
from trading_runtime.cli.terminal import say
from trading_runtime.errors import StoppedError, UsageError
from trading_runtime.records.forms import to_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.trials import TrialCount
    from trading_runtime.results.nested import Nested
    from trading_runtime.search.continuous import Seams, Source, Validated
    from trading_runtime.search.robustness import Robustness

_RESULTS = results_option("folder")
_SHOWN = ("net_profit", "return", "sharpe", "max_drawdown", "trades", "fees")


@click.command()
@click.argument("run")
@click.option(
    "--point", "points", type=int, multiple=True, help="Points to look at; the best if not given."
)
@WORKERS
@_RESULTS
@EXPERIMENT
@JSON
def seams(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    points: tuple[int, ...],
    workers: int | None,
    experiment: Path | None,
    as_json: bool,
) -> int:
    """Run points of RUN over its whole time in one task, and compare with the sum of its windows.

    A task starts flat: what a position or an average would have carried over a seam is lost. The
    tasks are stored like any others, in a separate run.
    """
    from trading_runtime.search.continuous import Source, measure_seams

    store, run_id = find_run(run, folder)
    source = Source.of(store, run_id, experiment)
    asked = [source.checked(point) for point in dict.fromkeys(points)] or [source.best()]
    found = _computed(measure_seams, source, asked, workers=workers, as_json=as_json)
    if as_json:
        say(json.dumps(seams_document(found), ensure_ascii=False))
    else:
        say("\n".join(_seam_lines(found, len(source.windows.bounds))))
    return 0


@click.command("walk-forward")
@click.argument("run")
@click.option("--train-size", type=click.IntRange(1), help="Windows to choose a point on.")
@click.option("--test-size", type=click.IntRange(1), help="Windows to test it on, right behind.")
@click.option(
    "--purged-size", type=click.IntRange(0), default=0, help="Windows left out between the two."
)
@click.option("--expand-train", is_flag=True, help="Train on all windows from the first one.")
@click.option("--reduce-test", is_flag=True, help="Keep a last test that is shorter.")
@click.option(
    "--nested",
    is_flag=True,
    help="Run an adaptive search anew in each split, on its training windows alone.",
)
@WORKERS
@_RESULTS
@EXPERIMENT
@JSON
def walk_forward(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    train_size: int | None,
    test_size: int | None,
    purged_size: int,
    expand_train: bool,
    reduce_test: bool,
    nested: bool,
    workers: int | None,
    experiment: Path | None,
    as_json: bool,
) -> int:
    """Choose points of RUN on some windows, test them on those that follow, and run the path.

    Choosing only reads stored results. The chosen path is then run as continuous tasks, stored like
    any others. Without sizes, the experiment's 'validation' applies.

    The points of an adaptive search were proposed by their results on all windows. With --nested,
    or 'nested: true' in the experiment, the search is run anew in each split, and its tests are of
    rows that it has not seen.
    """
    from trading_runtime.search.continuous import Source, experiment_of_run, validate
    from trading_runtime.search.nested import validate_nested

    store, run_id = find_run(run, folder)
    loaded = experiment_of_run(store, run_id, experiment)
    if train_size is None and test_size is None:
        asked = loaded.experiment.validation
        if asked is None:
            raise UsageError("give --train-size and --test-size, in windows of the run")
        settings = asked.model_dump(exclude={"split"})
        settings["nested"] = nested or asked.nested
    elif train_size is None or test_size is None:
        raise UsageError("give both --train-size and --test-size, in windows of the run")
    else:
        settings = {
            "method": "walk-forward",
            "train_size": train_size,
            "test_size": test_size,
            "purged_size": purged_size,
            "expand_train": expand_train,
            "reduce_test": reduce_test,
            "nested": nested,
        }
    if settings["nested"]:
        source, compute = Source.without_results(store, run_id, loaded), validate_nested
    else:
        source, compute = Source.of(store, run_id, experiment), validate
    found = _computed(compute, source, settings, workers=workers, as_json=as_json)
    if as_json:
        say(json.dumps(validated_document(source, found), ensure_ascii=False))
    else:
        say("\n".join(validated_lines(source, found)))
    return 0


@click.command()
@click.argument("run")
@click.option("--point", type=int, help="The point to look at; the best if not given.")
@WORKERS
@_RESULTS
@EXPERIMENT
@JSON
def robustness(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    point: int | None,
    workers: int | None,
    experiment: Path | None,
    as_json: bool,
) -> int:
    """Tell whether the result of a point of RUN holds when small things change.

    Its neighbours and its trades are read from stored results. Its twins (higher fees, latency,
    other seeds, other windows; see 'robustness' in the experiment) are run, stored like any other
    tasks, and count as no trials.
    """
    from trading_runtime.search.continuous import Source
    from trading_runtime.search.robustness import check_robustness

    store, run_id = find_run(run, folder)
    source = Source.of(store, run_id, experiment)
    chosen = source.best() if point is None else source.checked(point)
    found = _computed(check_robustness, source, chosen, workers=workers, as_json=as_json)
    if as_json:
        document = found._asdict() | {"findings": [each._asdict() for each in found.findings]}
        say(json.dumps(document, ensure_ascii=False))
    else:
        say("\n".join(_robustness_lines(source, found)))
    return 0


def _computed[T](
    compute: Callable[..., T], source: Source, asked: Any, *, workers: int | None, as_json: bool
) -> T:
    """Return what ``compute`` finds; a signal ends the command with an exit code of its own."""
    with Signals() as stopping:
        try:
            return compute(
                source, asked, workers=workers, should_stop=stopping, show_progress=not as_json
            )
        except (StoppedError, KeyboardInterrupt) as error:
            raise click.exceptions.Exit(stopping.report(error)) from error


def _robustness_lines(source: Source, found: Robustness) -> Iterator[str]:
    values = source.plan.points[found.point].parameters.items()
    parameters = ", ".join(f"{name} {value}" for name, value in values) or "no parameters"
    metric = source.plan.objective.metric
    yield f"point {found.point} ({parameters}): {metric} {_number(found.objective)}"
    width = max(len(each.name) for each in found.findings)
    for each in found.findings:
        verdict = {True: "holds", False: "fragile", None: "-"}[each.holds]
        yield f"{each.name:<{width}}  {verdict:<7}  {each.text}"
    fragile = sum(each.holds is False for each in found.findings)
    judged = sum(each.holds is not None for each in found.findings)
    yield (
        f"{judged - fragile} of {judged} checks hold; {len(found.run_ids):,} runs of twins, "
        f"{found.computed:,} tasks computed"
    )


def seams_document(found: Seams) -> dict[str, Any]:
    """Return the effect of seams as JSON."""
    return {
        "run": found.run_id,
        "computed": found.computed,
        "points": [
            {
                "point": each.point,
                "parameters": dict(each.parameters),
                "windows": _statistics(each.summed),
                "continuous": _statistics(each.continuous),
            }
            for each in found.points
        ],
    }


def validated_document(source: Source, found: Validated) -> dict[str, Any]:
    """Return a validation as JSON."""
    return {
        "run": found.run_id,
        "computed": found.computed,
        "objective": to_document(source.plan.objective),
        "splits": [
            {
                "train": _span(source, choice.split.train),
                "test": _span(source, choice.split.test),
                "point": choice.point,
                "parameters": None
                if choice.point is None
                else dict(found.points[choice.point].parameters),
                "trained": choice.trained,
                "tested": choice.tested,
                "left_out": choice.left_out,
                "failed": choice.failed,
                **searched,
            }
            for choice, searched in zip(found.choices, _searched(found), strict=True)
        ],
        "stability": found.stability._asdict(),
        "seen_by_search": found.seen_by_search,
        **_inside(source, found),
        "windows": None if found.tested is None else _statistics(found.tested),
        "paths": [_statistics(each) for each in found.paths],
        "continuous": None if found.continuous is None else _statistics(found.continuous),
        "continuous_failure": found.failure or None,
    }


def _inside(source: Source, found: Validated) -> dict[str, Any]:
    """Return what is said of all searches inside splits."""
    if found.nested is None:
        return {}
    return {
        "tried": found.nested.tried,
        "trials": _trials(source).trials,
        "computed_inside": found.computed_inside,
    }


def _trials(source: Source) -> TrialCount:
    """Return the trials on the run's data by now, those inside its splits included."""
    from trading_runtime.results.ledger import trials_by_now

    return trials_by_now(source.store, source.plan, len(source.plan.points), source.luck)


def _searched(found: Validated) -> list[dict[str, Any]]:
    """Return what is said of the search inside each split."""
    if found.nested is None:
        return [{} for _ in found.choices]
    return [
        {
            "run": each.run_id,
            "run_point": None if each.best is None else each.best.index,
            "tried": each.tried,
            "failed": each.failed,
        }
        for each in found.nested.searches
    ]


def validated_lines(source: Source, found: Validated) -> Iterator[str]:
    """Yield a line for each split, and their overall result."""
    from trading_runtime.report.formatting import counted
    from trading_runtime.results.judgement import verdict
    from trading_runtime.results.validation import SEEN_BY_THE_SEARCH

    metric, facts = source.plan.objective.metric, found.stability
    for number, choice in enumerate(found.choices):
        test = " and ".join(_stretches(source, choice.split.test))
        if choice.point is None:
            failed = f" ({choice.left_out:,} failed)" if choice.left_out else ""
            yield (
                f"split {number}: test {test}: no point has a {metric} on its windows to train "
                f"on{failed}"
            )
            continue
        values = found.points[choice.point].parameters.items()
        parameters = ", ".join(f"{name} {value}" for name, value in values)
        yield (
            f"split {number}: test {test}: point {choice.point} ({parameters or 'no parameters'}), "
            f"{metric} {_number(choice.trained)} trained, "
            f"{'failed when it was' if choice.failed else _number(choice.tested)} tested"
        )
    yield (
        f"stability: {counted(facts.points, 'different point')} in "
        f"{counted(facts.splits, 'split')}, {counted(facts.changes, 'change')}; point "
        f"{facts.commonest} in "
        f"{(facts.commonest_share or 0) * 100:.0f} % of them"
    )
    if found.nested is not None:
        yield from _search_lines(found.nested, found.computed_inside)
        spent = _trials(source)
        yield from (f"luck: {text}" for text in verdict(source.luck, spent))
    if found.tested is not None:
        yield from _comparison("tests", found.tested, found.continuous)
    else:
        yield from _path_lines(found.paths)
    if found.run_id is not None:
        yield f"continuous tasks: run {found.run_id}, {found.computed:,} computed"
    if found.failure:
        yield f"continuous tasks: one failed, so nothing is known of all: {found.failure}"
    yield from _failed_lines(source, found)
    asked = source.loaded.experiment.validation
    if found.nested is not None and asked is not None and asked.nested:
        again = f"trading-runtime run {source.loaded.shown} --run-id {source.run_id}"
        yield f"report: '{again}' adds this to it, and computes nothing"
    if found.seen_by_search:
        yield f"note: {SEEN_BY_THE_SEARCH}"


def _failed_lines(source: Source, found: Validated) -> Iterator[str]:
    """Yield what failed points keep the tests from saying."""
    from trading_runtime.report.formatting import counted

    if found.nested is None and found.left_out:
        points = counted(len(source.plan.points), "point")
        yield (
            f"note: up to {found.left_out:,} of {points} failed on windows that a split trains on, "
            f"and could not be chosen there; 'trading-runtime runs show {source.run_id}' says why"
        )
    failed = sum(choice.failed for choice in found.choices)
    if failed:
        yield (
            f"note: in {counted(failed, 'split')} the chosen point failed on its test, so nothing "
            "is known of all tests together, and no continuous tasks were run"
        )


def _path_lines(paths: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the range of each statistic over several paths."""
    from statistics import median

    from trading_runtime.report.formatting import statistic

    yield (
        f"tests: {len(paths):,} paths, since each window is tested in {len(paths):,} splits; a "
        "path has every window once"
    )
    rows: list[tuple[str, ...]] = [("", "lowest", "median", "highest")]
    for name in _SHOWN:
        known = [Decimal(str(each[name])) for each in paths if each[name] is not None]
        whole = len(known) == len(paths)
        values = (min(known), median(known), max(known)) if whole else (None, None, None)
        rows.append((name, *(statistic(name, value) for value in values)))
    yield from _aligned(rows)


def _search_lines(nested: Nested, computed: int) -> Iterator[str]:
    """Yield a line for the search inside each split, and one about all of them."""
    from trading_runtime.report.formatting import counted

    for number, each in enumerate(nested.searches):
        failed = f", {each.failed:,} of them failed" if each.failed else ""
        yield f"search {number}: run {each.run_id}, {counted(each.tried, 'point')} tried{failed}"
    splits = counted(len(nested.searches), "split")
    yield (
        f"searches: {counted(nested.tried, 'point')} tried in {splits}, each on its training "
        f"windows alone; {counted(computed, 'task')} computed, tests included"
    )


def _seam_lines(found: Seams, windows: int) -> Iterator[str]:
    for each in found.points:
        parameters = ", ".join(f"{name} {value}" for name, value in each.parameters.items())
        yield f"point {each.point} ({parameters or 'no parameters'}), {windows:,} windows"
        yield from _comparison("windows", each.summed, each.continuous)
    yield f"continuous tasks: run {found.run_id}, {found.computed:,} computed"


def _comparison(
    head: str, summed: Mapping[str, Any], continuous: Mapping[str, Any] | None
) -> Iterator[str]:
    from trading_runtime.report.formatting import statistic

    rows: list[tuple[str, ...]] = [
        ("", head, *(() if continuous is None else ("continuous", "difference")))
    ]
    for name in _SHOWN:
        cells = [name, statistic(name, summed[name])]
        if continuous is not None:
            cells.append(statistic(name, continuous[name]))
            known = summed[name] is not None and continuous[name] is not None
            difference = float(continuous[name]) - float(summed[name]) if known else None
            cells.append(_number(difference))
        rows.append(tuple(cells))
    yield from _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        yield "  ".join(cells).rstrip().replace("\N{MINUS SIGN}", "-")


def _statistics(row: Mapping[str, Any]) -> dict[str, Any]:
    from trading_runtime.config.statistic_names import POINT_STATISTICS

    return {name: row[name] for name in POINT_STATISTICS}


def _span(source: Source, windows: Sequence[int]) -> list[str]:
    from trading_runtime.units import format_instant

    bounds = source.windows.bounds
    return [format_instant(bounds[windows[0]][0]), format_instant(bounds[windows[-1]][1])]


def _stretches(source: Source, windows: Sequence[int]) -> list[str]:
    """Return start and end of each stretch of successive windows."""
    ends = [
        place + 1
        for place, (window, after) in enumerate(itertools.pairwise(windows))
        if after != window + 1
    ]
    parts = itertools.pairwise([0, *ends, len(windows)])
    return [" to ".join(_span(source, windows[first:last])) for first, last in parts]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"
