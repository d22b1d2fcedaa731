"""The step ``plan``: expand an experiment to a plan in the store, cut into batches for pods.

An experiment is submitted with the versions and code that the laptop planned with. The step refuses
others: the plan shown before submitting is only valid when the pods compute the same tasks.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.config.code_archive import unpacked_code
from trading_runtime.config.loading import (
    MAX_BYTES,
    LoadedExperiment,
    load_experiment,
    results_place_of,
)
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.errors import DataError, UsageError
from trading_runtime.execution.lifecycle import begin_run, record_beginning
from trading_runtime.execution.preparation import naming, prepare_loaded
from trading_runtime.planning.distributions import installed_version
from trading_runtime.planning.environment import engine_version, runtime_digest
from trading_runtime.planning.pod_batches import BATCH_SECONDS, MOST_BATCHES, pod_batches
from trading_runtime.records.events import ExecutorKind, RunStarted
from trading_runtime.records.run_files import generation_id
from trading_runtime.runs.heartbeat import Heartbeat
from trading_runtime.runs.opening import SharedRun, check_run_id, is_held
from trading_runtime.search.generations import read_generation, refuse_other_search
from trading_runtime.search.halving import rungs_of
from trading_runtime.search.running import search_of
from trading_runtime.storage.folders import open_folder
from trading_runtime.storage.s3 import is_s3
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.config.experiment import SearchSettings
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.records.plan import Plan
    from trading_runtime.runs.metadata import Metadata


_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/-]*"
_BY_DIGEST = re.compile(rf"{_NAME}@sha256:[0-9a-f]{{64}}")
_ANY = re.compile(rf"{_NAME}(@sha256:[0-9a-f]{{64}})?")
_MOST_SHOWN = 200
_MOST_GENERATIONS = 100
_OTHER_PODS = 7
"""Nodes of a round besides its batches."""


def check_image(image: str, *, allow_mutable: bool = False) -> str:
    """Return ``image`` when it is named by digest, or a tag is allowed.

    Raises ``UsageError`` otherwise: the image behind a tag can change between two pods of one run.
    """
    if (_ANY if allow_mutable else _BY_DIGEST).fullmatch(image):
        return image
    raise UsageError(
        f"image {image[:_MOST_SHOWN]!r}: names no digest, so it could be another one tomorrow; "
        "give it as name@sha256:<64 hexadecimal digits>, or allow-mutable-image to take it so"
    )


FILE_NAME = "submission.json"
_SHOWN = 12
_MOST_PACKAGES = 3


def submission_of(plan: Plan) -> dict[str, Any]:
    """Return what a submission states about the laptop that planned ``plan``."""
    common = plan.common
    return {
        "engine": common.engine_version,
        "runtime": common.runtime_code,
        "strategy": common.strategy_code,
        "packages": dict(common.packages),
        "plan_digest": plan.digest,
    }


def check_submission(experiment: str, image: str | None) -> None:
    """Compare this process with the laptop that submitted the experiment, if there was one.

    Raises ``UsageError`` when they differ in the engine, in the digest of the runtime's code, or in
    the packages that tasks import.
    """
    place, _, name = experiment.rpartition("/")
    try:
        content = json.loads(open_folder(place or ".").read(FILE_NAME))
        if content["experiment"] != name:
            return  # it is about another file in the folder
        theirs = (str(content["engine"]), str(content["runtime"]))
        packages = {str(name): version for name, version in content["packages"].items()}
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{place}/{FILE_NAME}: cannot be read: {error}") from error
    ours = (engine_version(), runtime_digest())
    if theirs != ours:
        raise UsageError(
            f"laptop and image differ: the laptop has nautilus_trader {theirs[0]} and runtime code "
            f"{theirs[1][:_SHOWN]}, the image {image or 'here'} has nautilus_trader {ours[0]} and "
            f"runtime code {ours[1][:_SHOWN]}; build the image from the laptop's commit, or check "
            "out the image's"
        )
    others = [
        f"{name} {version}, the image {image or 'here'} {installed_version(name) or 'without it'}"
        for name, version in packages.items()
        if installed_version(name) != version
    ]
    if others:
        raise UsageError(
            f"laptop and image differ: the laptop has {'; '.join(others[:_MOST_PACKAGES])}; "
            "install the image's versions, or build an image with the laptop's (packages.txt)"
        )


@contextlib.contextmanager
def fetched_experiment(experiment: str, code: str | None) -> Iterator[LoadedExperiment]:
    """Load the experiment at a path or an address in S3, with the code archive of digest ``code``.

    Relative paths in a file from S3 start at its own address. Raises ``UsageError`` for an invalid
    file, and ``DataError`` for an archive that is missing or not what it should be.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(Scratch()).path
        path, address = Path(experiment), None
        if is_s3(experiment):
            address = experiment
            path = _fetched(experiment, folder)
        code_folder = folder if address else None
        if code:
            results = results_place_of(path, address or str(path.absolute()))
            code_folder = stack.enter_context(unpacked_code(open_folder(results), code))
        try:
            loaded = load_experiment(path, address, code_folder)
        except UsageError as error:
            if str(folder) not in str(error):
                raise
            raise UsageError(
                f"{str(error).replace(f'{folder}/', '')}\n{address}: code beside a file in S3 is "
                "not fetched; send it with 'trading-runtime submit', or name a module of the image"
            ) from error
        yield loaded


def _fetched(address: str, folder: Path) -> Path:
    place, _, name = address.rpartition("/")
    objects = open_folder(place)
    size = objects.sizes(name).get(name)
    if size is None:
        raise UsageError(
            f"{address}: there is no such object; give the address of an experiment file "
            "(.json or .yaml)"
        )
    if size > MAX_BYTES:
        raise UsageError(f"{address}: has {size:,} bytes; at most {MAX_BYTES:,} are accepted")
    path = folder / Path(name).name
    path.write_bytes(objects.read(name))
    return path


@dataclass(frozen=True)
class PodSettings:
    """The requirements for the pods of a run; none of them can change a result."""

    image: str | None = None
    allow_mutable_image: bool = False
    code: str | None = None
    """sha256 of the archive with the strategy's code, where the image does not contain it."""
    batch_seconds: float = BATCH_SECONDS
    most_batches: int = MOST_BATCHES
    workflow: str | None = None
    """Namespace and name of the workflow, ``backtests/backtest-x7k2p``."""


@dataclass(frozen=True)
class Planned:
    """What the next steps need from a plan."""

    run_id: str
    results: str
    batch_tasks: tuple[int, ...]
    """How many tasks each batch has to compute."""
    tasks: int
    pending: int
    """Tasks that are not stored yet."""
    rounds: int = 0
    """Rounds of a search at most, each with a step ``ask``; such a plan has no batches."""

    @property
    def batches(self) -> int:
        """The number of batches."""
        return len(self.batch_tasks)


def run_plan_step(experiment: str, run_id: str, settings: PodSettings) -> Planned:
    """Check and plan the experiment at a path or an address in S3, and begin the run.

    A search begins its runs itself (see ``ask_step``); of it only the first generation is planned.

    Raises ``UsageError`` for an image that is not named by digest, a bad experiment, a run id that
    is running or belongs to another plan, and where laptop and image would give different results.
    """
    check_run_id(run_id)
    if settings.image is not None:
        check_image(settings.image, allow_mutable=settings.allow_mutable_image)
    # First, since the experiment of a newer laptop may have keys that an older image rejects.
    check_submission(experiment, settings.image)
    with fetched_experiment(experiment, settings.code) as loaded, naming(experiment):
        prepared = with_pod_batches(
            prepare_loaded(loaded, 1), settings.batch_seconds, settings.most_batches
        )
        plan, search = prepared.plan, loaded.experiment.search
        if search is not None and search.is_adaptive:
            rounds = _begin_search(prepared, run_id)
            return Planned(
                run_id, prepared.store.place, (), len(plan.tasks), len(plan.uncached), rounds
            )
        begin_in_pods(prepared, run_id, settings)
        return Planned(
            run_id,
            prepared.store.place,
            batch_tasks(plan),
            len(plan.tasks),
            len(plan.uncached),
        )


def with_pod_batches(prepared: PreparedRun, seconds: float, most: int) -> PreparedRun:
    """Return the same plan with batches as pods run them.

    A search has fewer for each generation, so that a workflow does not become too large. Raises
    ``UsageError`` for a search of too many generations.
    """
    search, plan = prepared.loaded.experiment.search, prepared.plan
    if search is not None and search.is_adaptive:
        most = min(most, MOST_BATCHES // generations_of_search(search) - _OTHER_PODS)
    batches = pod_batches(plan, plan.uncached, seconds, most)
    ranges = tuple((batch[0], batch[-1] + 1) for batch in batches)
    return replace(prepared, plan=replace(plan, batches=ranges))


def batch_tasks(plan: Plan) -> tuple[int, ...]:
    """Return how many tasks each batch of a plan has to compute."""
    return tuple(
        sum(not task.cached for task in plan.tasks[first:last]) for first, last in plan.batches
    )


def most_rounds(search: SearchSettings) -> int:
    """Return the rounds of a search in a workflow at most.

    Every second one is for a generation that found fewer points than it should, or lost pods; the
    last one plans the run itself. Raises as ``generations_of_search`` does.
    """
    return 2 * generations_of_search(search) + 1


def generations_of_search(search: SearchSettings) -> int:
    """Return how many generations a search has when each finds all its points.

    Of ``successive-halving``, the rungs with as many windows as they could use. Raises
    ``UsageError`` when there are too many.
    """
    points = search.points or 0
    if search.method == "successive-halving":
        return len(rungs_of(points, points, search.eta))
    generations = -(-points // search.generation)
    if generations > _MOST_GENERATIONS:
        raise UsageError(
            f"search.generation: {search.generation:,} of {points:,} points makes {generations:,} "
            f"generations, and a cluster takes {_MOST_GENERATIONS}; ask for "
            f"{-(-points // _MOST_GENERATIONS):,} points or more at once"
        )
    return generations


def _begin_search(prepared: PreparedRun, run_id: str) -> int:
    """Check that the run id is free for this search, and return its rounds."""
    store, inputs = prepared.store, search_of(prepared, run_id).inputs
    check_run_id(generation_id(run_id, generations_of_search(inputs.search)))
    KillSwitch(store).refuse_start(run_id)
    number = 0
    while (stored := read_generation(store, run_id, number)) is not None:
        refuse_other_search(stored, inputs, run_id)
        generation = SharedRun(store, generation_id(run_id, number))
        generation.remove(generation.files.stop)
        number += 1
    return most_rounds(inputs.search)


def begin_in_pods(prepared: PreparedRun, run_id: str, settings: PodSettings) -> None:
    """Begin a run whose batches pods compute: its plan, metadata and first events are stored.

    Raises ``UsageError`` when it is running, ``KilledError`` when the kill switch is on.
    """
    if is_held(prepared.store, run_id):
        raise UsageError(f"run {run_id!r} is running already; wait for it, or choose another id")
    KillSwitch(prepared.store).refuse_start(run_id)
    # Without a lock, which a killed pod would leave behind: Argo has a mutex per run id.
    run = SharedRun(prepared.store, run_id)
    files = run.files
    run.read(files.metadata)
    metadata = begin_run(
        files,
        prepared,
        run_id,
        ExecutorKind.ARGO,
        image=settings.image,
        code_archive=settings.code,
        batch_seconds=settings.batch_seconds,
        most_batches=settings.most_batches,
        workflow=settings.workflow,
    )
    with Heartbeat(prepared.store.objects, run_id):
        _publish_beginning(run, prepared, metadata)


def _publish_beginning(run: SharedRun, prepared: PreparedRun, metadata: Metadata) -> None:
    files, plan = run.files, prepared.plan
    if metadata.earlier is not None:
        # Before any of its files changes: until then it has ended as its metadata say.
        run.publish(files.metadata)
    with run.open_journal("plan") as journal:
        started = RunStarted(tasks=len(plan.tasks), pending=len(plan.uncached))
        record_beginning(run, plan, metadata, journal, started)
        run.publish_when_due(now=True)
    for path in (files.stop, files.missing):
        run.remove(path)
    prepared.store.clear_staging()
    run.publish(files.experiment, files.plan, files.metadata)
