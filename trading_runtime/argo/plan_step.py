"""The step ``plan``: expand an experiment to a plan in the store, cut into batches for pods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trading_runtime.argo.experiment_file import fetched_experiment
from trading_runtime.argo.image import check_image
from trading_runtime.argo.submission import check_submission
from trading_runtime.errors import UsageError
from trading_runtime.execution.preparation import naming, prepare_loaded
from trading_runtime.execution.run_beginning import begin_run
from trading_runtime.planning.plan import Plan
from trading_runtime.planning.pod_batches import BATCH_SECONDS, MOST_BATCHES, pod_batches
from trading_runtime.runs.events import Executor, RunStarted
from trading_runtime.runs.opening import is_running
from trading_runtime.runs.run_events import beginning, retries
from trading_runtime.runs.run_id import check_run_id
from trading_runtime.runs.sharing import SharedRun
from trading_runtime.safety.kill_switch import KillSwitch

if TYPE_CHECKING:
    from trading_runtime.execution.preparation import Prepared


@dataclass(frozen=True)
class PodSettings:
    """What is asked of the pods of a run; none of it can change a result."""

    image: str | None = None
    allow_mutable_image: bool = False
    code: str | None = None
    """sha256 of the archive with the strategy's code, where the image does not hold it."""
    batch_seconds: float = BATCH_SECONDS
    most_batches: int = MOST_BATCHES


@dataclass(frozen=True)
class Planned:
    """What the next steps need to know of a plan."""

    run_id: str
    results: str
    batches: int
    tasks: int
    pending: int
    """Tasks that are not stored yet."""


def run_plan_step(experiment: str, run_id: str, settings: PodSettings) -> Planned:
    """Check and plan the experiment at a path or an address in S3, and begin the run.

    Raises ``UsageError`` for an image that is not named by digest, a bad experiment, a run id that
    is running or belongs to another plan, and where laptop and image would give other results.
    """
    check_run_id(run_id)
    if settings.image is not None:
        check_image(settings.image, allow_mutable=settings.allow_mutable_image)
    # First, since the experiment of a newer laptop may have keys that an older image refuses.
    check_submission(experiment, settings.image)
    with fetched_experiment(experiment, settings.code) as loaded, naming(experiment):
        prepared = with_pod_batches(
            prepare_loaded(loaded, 1), settings.batch_seconds, settings.most_batches
        )
        _begin(prepared, run_id, settings)
        plan = prepared.plan
        return Planned(
            run_id,
            prepared.store.place,
            len(plan.document["batches"]),
            len(plan.tasks),
            len(plan.uncached),
        )


def with_pod_batches(prepared: Prepared, seconds: float, most: int) -> Prepared:
    """Return the same plan with batches as pods run them."""
    plan = prepared.plan
    batches = pod_batches(plan.document, plan.uncached, seconds, most)
    ranges = [[batch[0], batch[-1] + 1] for batch in batches]
    return replace(prepared, plan=Plan(plan.document | {"batches": ranges}))


def _begin(prepared: Prepared, run_id: str, settings: PodSettings) -> None:
    if is_running(prepared.store, run_id):
        raise UsageError(f"run {run_id!r} is running already; wait for it, or choose another id")
    KillSwitch(prepared.store).refuse_start(run_id)
    # Without a lock, which a pod that is killed would leave behind: Argo has a mutex per run id.
    run = SharedRun(prepared.store, run_id)
    files, plan = run.files, prepared.plan
    run.read(files.metadata)
    metadata = begin_run(
        files,
        prepared,
        run_id,
        Executor.ARGO,
        image=settings.image,
        code_archive=settings.code,
        batch_seconds=settings.batch_seconds,
        most_batches=settings.most_batches,
    )
    failures = list(run.failures().values())
    for path in failures:
        run.read(path)
    with run.open_journal("plan") as journal:
        for event in (
            *beginning(metadata, plan),
            RunStarted(tasks=len(plan.tasks), pending=len(plan.uncached)),
            *retries(files),
        ):
            journal.write(event)
        run.publish_journals(now=True)
    for path in [files.stop, files.missing, *failures]:
        run.remove(path)
    prepared.store.clear_staging()
    run.publish(files.experiment, files.plan, files.metadata)
