"""The beginning and the end of a run: what is written before its first and after its last task.

A run is begun, computed (``computation``), summarised, and ended. A laptop does that in one process
(``local_run``), pods in one step each (``argo``), with the same functions in the same order.
"""

from __future__ import annotations

import contextlib
import functools
import json
import platform
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.config.loading import explicit
from trading_runtime.errors import DataError, KilledError, StoppedError, UsageError
from trading_runtime.planning.distributions import installed_version
from trading_runtime.planning.environment import pinned_packages
from trading_runtime.records.events import KillActivated, Mode, RunKilled, RunStopped
from trading_runtime.records.metadata import Code, RunMetadata, read_metadata
from trading_runtime.records.reasons import user_name
from trading_runtime.redaction import redacted
from trading_runtime.results.holdout import record_holdout
from trading_runtime.results.stored_plan import refuse_other_plan
from trading_runtime.runs.metadata import Metadata, Status, now_text, reopen_run
from trading_runtime.runs.progress import timeline
from trading_runtime.runs.run_events import beginning, breakdown, completion, retries
from trading_runtime.storage.files import read_json, storage_errors, write_file
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trading_runtime.control.kill_switch import Switching
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.records.events import ExecutorKind, RunStarted
    from trading_runtime.records.journal import Journal
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.reduction import Reduction
    from trading_runtime.results.store import Store
    from trading_runtime.results.validation import Walked
    from trading_runtime.runs.opening import OpenRun, WorkingRun


def begin_run(  # noqa: PLR0913 - keyword-only facts of one call
    files: RunFiles,
    prepared: PreparedRun,
    run_id: str,
    executor: ExecutorKind,
    *,
    mode: Mode = Mode.RESEARCH,
    image: str | None = None,
    code_archive: str | None = None,
    batch_seconds: float | None = None,
    most_batches: int | None = None,
    workflow: str | None = None,
) -> Metadata:
    """Write the files that a run begins with; the same id with the same plan resumes.

    ``image`` is the pods' image by digest; see ``RunMetadata`` for the others. Raises
    ``UsageError`` when the id belongs to another plan, and ``StorageError`` when nothing can be
    written.
    """
    plan, experiment = prepared.plan, prepared.loaded.experiment
    refuse_other_plan(read_metadata(files), plan.digest, run_id)
    if prepared.held is not None:
        record_holdout(prepared.store, prepared.held)
    # Done first: if the process is killed in between, the run counts as died, not as damaged.
    reopen_run(files)
    content = redacted(explicit(experiment))
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_file(files.experiment, for_records(text))
    write_file(files.plan, plan.to_json())
    common = plan.common
    described = RunMetadata(
        mode=mode,
        executor=executor,
        image=image,
        run_id=run_id,
        experiment_name=experiment.name,
        labels=experiment.labels,
        experiment_file=prepared.loaded.shown,
        dataset=prepared.loaded.dataset_place,
        plan_digest=plan.digest,
        dataset_digest=plan.dataset_digest,
        config_digest=digest(content),
        code=Code(runtime=common.runtime_code, strategy=common.strategy_code),
        engine=common.engine,
        python=common.python,
        versions={
            "trading-runtime": str(installed_version("trading-runtime")),
            "system": common.system,
            "machine": common.machine,
            **{name: str(installed_version(name)) for name in pinned_packages()},
            **{name: str(version) for name, version in common.packages.items()},
        },
        code_archive=code_archive,
        batch_seconds=batch_seconds,
        most_batches=most_batches,
        workflow=workflow,
        host=platform.node(),
        user=user_name(),
        started=now_text(),
        ended=None,
        history=(),
        journal={},
        status=Status.RUNNING,
    )
    return Metadata.begin(files, described)


def summarise_run(  # noqa: PLR0913 - what a summary is made from
    plan: Plan,
    store: Store,
    files: RunFiles,
    metadata: Metadata,
    *,
    allow_incomplete: bool = False,
    verified: Mapping[str, str] = MappingProxyType({}),
    has_trials: bool = True,
    has_report: bool = True,
) -> Reduction:
    """Reduce the run over its tasks, and write its tables, ``result.json`` and report.

    Afterwards the metadata record whether the run is complete. ``verified`` maps task ids to the
    sha256 of manifests that this run has just verified. Without ``has_trials`` the ledger is left
    as it is; without ``has_report`` no pages are written, since those of another run have them.
    Raises ``StorageError`` when nothing can be written.
    """
    from trading_runtime.results.judgement import drawn_points
    from trading_runtime.results.ledger import record_trials
    from trading_runtime.results.reduction import reduce_run

    experiment = read_json(files.experiment)
    reduced = reduce_run(
        *(plan, store, files),
        allow_incomplete=allow_incomplete,
        verified=verified,
        drawn=drawn_points(experiment),
    )
    results = reduced.results if has_trials else reduced.results.clear()
    trials = record_trials(store, plan, results, reduced.result.luck)
    write_file(files.trials, trials.to_json())
    metadata.set(Status.COMPLETE if reduced.result.complete else Status.INCOMPLETE)
    if not has_report:
        return reduced
    walked, no_walk = _walked(plan, store, files, experiment, reduced)
    from trading_runtime.report.content import ReportInputs
    from trading_runtime.report.write import write_report

    explored = _write_explore_page(files, metadata.now.run_id, reduced)
    write_report(
        ReportInputs(
            run_id=metadata.now.run_id,
            experiment=experiment,
            plan=plan,
            result=reduced.result,
            trials=trials,
            results=reduced.results,
            points=reduced.points,
            curve=reduced.curve,
            returns=reduced.returns,
            benchmark=reduced.benchmark,
            explored=explored,
            walked=walked,
            no_walk=no_walk,
            failures=reduced.failures,
            data_types=_data_types(plan),
            identities=_identities(plan, reduced),
            packages={name: str(version) for name, version in plan.common.packages.items()},
            metadata=metadata.now,
            timeline=timeline(files.journals, metadata.now.history),
        ),
        files.folder,
    )
    return reduced


_PAIR = 2


def _write_explore_page(files: RunFiles, run_id: str, reduced: Reduction) -> bool:
    """Write the page with all points, if Plotly is there and the report has not room for all.

    It has room for the map of one pair of parameters.
    """
    from trading_runtime.charts.library import is_installed
    from trading_runtime.report.content import MOST_POINTS
    from trading_runtime.results.frames import varied_parameters

    points = reduced.points
    is_shown = points.height <= MOST_POINTS and len(varied_parameters(points)) <= _PAIR
    if is_shown or not is_installed():
        with storage_errors(files.explore_page):
            files.explore_page.unlink(missing_ok=True)
        return False
    from trading_runtime.charts.pages import explore_page

    write_file(files.explore_page, explore_page(run_id, points, reduced.result))
    return True


def _walked(
    plan: Plan,
    store: Store,
    files: RunFiles,
    experiment: Mapping[str, Any] | None,
    reduced: Reduction,
) -> tuple[Walked | None, str]:
    """Return the walk-forward that the experiment asks for, or why there is none."""
    from trading_runtime.results.nested import walk_nested
    from trading_runtime.results.validation import walk_over

    asked = (experiment or {}).get("validation")
    if asked is None or asked.get("split") is not None:
        return None, ""
    if asked["method"] != "walk-forward":
        command = f"trading-runtime results walk-forward {files.folder.name}"
        return None, f"Its splits form no path through time. {command!r} shows what they chose."
    try:
        if asked.get("nested"):
            return walk_nested(store, files, plan, asked), ""
        if missing := reduced.result.counts.missing:
            return None, f"{missing:,} tasks are missing; it is here when all have run."
        return walk_over(plan, store, files, asked), ""
    except (UsageError, DataError) as error:
        return None, str(error)


def record_beginning(
    run: WorkingRun, plan: Plan, metadata: Metadata, journal: Journal, started: RunStarted
) -> None:
    """Journal that a run begins, and remove the failures of tasks to be recomputed."""
    for event in (*beginning(metadata, plan), started):
        journal.write(event)
    failures = run.stored_failures()
    for event in retries(failures):
        journal.write(event)
    with storage_errors(run.files.failures):
        for path in failures:
            run.remove(path)


def record_end(  # noqa: PLR0913 - what the end of a run is known by
    files: RunFiles,
    metadata: Metadata,
    journal: Journal,
    result: RunResult,
    switched: Switching | None,
    *,
    stop_requested: bool = False,
) -> KilledError | None:
    """Record how a summarised run ended.

    Returns the error to raise when the kill switch ended the run: ``switched`` was seen on, and not
    every task had finished before.
    """
    if switched is not None and not result.complete:
        killed = KilledError(
            f"run {metadata.now.run_id!r} was killed with {result.counts.ok:,} of "
            f"{result.counts.planned:,} tasks finished, which are kept: the kill switch is "
            f"{switched.shown}; {files.folder} has what it had"
        )
        record_error(killed, metadata, journal, switched)
        return killed
    journal.write(completion(result))
    if stop_requested and not result.complete:
        record_error(StoppedError(), metadata, journal)
    return None


def record_error(
    error: BaseException,
    metadata: Metadata,
    journal: Journal,
    switched: Switching | None = None,
) -> None:
    """Record in status and journal that ``error`` ended a run.

    ``switched`` is what turned the kill switch on, if that was seen.
    """
    message = str(error)
    if isinstance(error, KilledError):
        if switched is not None and switched.run_id is None:
            # A switch for one run is journalled there by the process that turned it on.
            journal.write(
                KillActivated(reason=switched.reason, user=switched.user, host=switched.host)
            )
        metadata.set(Status.KILLED, error=message)
        journal.write(RunKilled(message=message))
    elif isinstance(error, (StoppedError, KeyboardInterrupt)):
        metadata.set(Status.STOPPED)
        journal.write(RunStopped(message=message or None))
    else:
        failed = breakdown(error)
        metadata.set(Status.FAILED, error=failed.message)
        journal.write(failed)


@contextlib.contextmanager
def recorded(run: OpenRun, metadata: Metadata, journal: Journal) -> Iterator[None]:
    """Record the error that ends a run, if there is one; seal the run however it ends.

    Nothing is recorded once this process no longer holds the run: the files then belong to another.
    """
    try:
        yield
    except BaseException as error:
        run.check_held()
        record_error(error, metadata, journal)
        raise
    finally:
        run.check_held()
        run.gather()
        metadata.seal(functools.partial(_write_metrics, run.files))


def _write_metrics(files: RunFiles, metadata: RunMetadata) -> None:
    from trading_runtime.metrics.exposition import write_run_metrics  # needed at the end only

    write_run_metrics(files, metadata)


def _identities(plan: Plan, reduced: Reduction) -> dict[str, str]:
    common = plan.common
    return {
        "run digest": reduced.result.run_digest,
        "plan digest": plan.digest,
        "dataset digest": plan.dataset_digest,
        "strategy": common.strategy_path,
        "strategy code digest": common.strategy_code,
        "runtime code digest": common.runtime_code,
        "engine": f"nautilus_trader {common.engine_version}",
        "Python": common.python,
        "platform": f"{common.system} {common.machine}",
    }


def _data_types(plan: Plan) -> list[str]:
    return sorted({series.type for item in plan.partitions for series in item.data})
