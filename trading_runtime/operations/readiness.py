"""Whether an experiment or a session can run here and now: each requirement, checked and named."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.config.adapters import AdapterData, AdapterExecution
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.errors import Kind, StorageError, TradingRuntimeError
from trading_runtime.redaction import redact
from trading_runtime.results.store import open_store
from trading_runtime.runs.metadata import now_text
from trading_runtime.storage.files import read_bytes, storage_errors
from trading_runtime.storage.s3 import S3Folder, is_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trading_runtime.config.deployment import Deployment
    from trading_runtime.config.loading import LoadedExperiment


_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
_TIMEX_BYTES = 256
"""More than the kernel's ``struct timex`` has; all zero, it queries and sets nothing."""
_UNSYNCHRONISED = 5


def free_disk(place: Path) -> int:
    """Return the free bytes at ``place``, or where it would be made."""
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def available_memory() -> int | None:
    """Return the memory available to processes, on the machine or in the container, in bytes."""
    amounts = [amount for amount in (_of_machine(), _of_container()) if amount is not None]
    return min(amounts, default=None)


def clock_is_synchronised() -> bool | None:
    """Return whether the kernel's clock is synchronised; ``None`` where that is unknown."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _UNSYNCHRONISED)


def _of_machine() -> int | None:
    try:
        lines = _MEMORY.read_text().splitlines()
        [kilobytes] = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        return int(kilobytes) * 1024
    except (OSError, ValueError, IndexError):
        return None


def _of_container() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text()
        return None if limit == "max" else int(limit) - int(used)
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class StorageTrial:
    """The result of a trial."""

    seconds: float
    skew_seconds: float
    """The storage's clock minus this machine's."""


def try_storage(place: str, name: str) -> StorageTrial:
    """Write an object ``name`` in ``place``, read it back and remove it.

    Raises ``StorageError`` when that cannot be done or other bytes come back, ``TransientError``
    when the storage cannot be reached.
    """
    content = uuid.uuid4().bytes
    started = time.perf_counter()
    before = time.time()
    found, written = (_in_s3 if is_s3(place) else _on_disk)(place, name, content)
    after = time.time()
    if found != content:
        raise StorageError(f"{place}: what was written came back changed")
    # The storage's time is between the two, unless its clock differs.
    skew = min(0.0, written - before) + max(0.0, written - after)
    return StorageTrial(time.perf_counter() - started, skew)


def _on_disk(place: str, name: str, content: bytes) -> tuple[bytes, float]:
    path = Path(place) / name
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(content)
            return read_bytes(path), path.stat().st_mtime
        finally:
            path.unlink(missing_ok=True)


def _in_s3(place: str, name: str, content: bytes) -> tuple[bytes, float]:
    objects = S3Folder(place)
    objects.write(name, content)
    try:
        return objects.read(name), objects.written(name)
    finally:
        objects.remove(name)


_MEGABYTE = 1_000_000
STATE_FILE = "operations/readiness.json"


class CheckState(StrEnum):
    """The result of one check."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One thing that was checked."""

    name: str
    state: CheckState
    message: str
    kind: Kind = Kind.OK
    """The kind of the failure, if it failed, which sets the exit code."""


@dataclass(frozen=True)
class Readiness:
    """All checks."""

    experiment: str
    time: str
    checks: tuple[Check, ...]

    @property
    def is_ready(self) -> bool:
        """Whether nothing failed."""
        return self.kind is Kind.OK

    @property
    def kind(self) -> Kind:
        """The kind of the first failure, ``ok`` without one."""
        failed = (check.kind for check in self.checks if check.state is CheckState.FAILED)
        return next(failed, Kind.OK)

    def content(self) -> dict[str, Any]:
        """Return it as JSON content."""
        return {
            "experiment": self.experiment,
            "time": self.time,
            "ready": self.is_ready,
            "checks": [asdict(check) for check in self.checks],
        }


def check_readiness(loaded: LoadedExperiment, deployment: Deployment | None = None) -> Readiness:
    """Check everything that the experiment needs; nothing is run, and no failure is raised.

    With ``deployment``, check what a session of it needs; ``loaded`` is equivalent to it.
    """
    checks: list[Check] = []
    data = None if deployment is None else deployment.data
    for name, look in (
        ("variables", _variables),
        ("keys", functools.partial(_keys, deployment)),
        ("data", functools.partial(_arrives, data) if isinstance(data, AdapterData) else _data),
        ("engine", _engine),
        ("plan", _plan if deployment is None else _session),
        ("disk", _disk),
        ("memory", _memory),
        ("storage", _storage),
        ("kill_switch", _kill_switch),
    ):
        checks += _checked(name, look, loaded)
    return Readiness(loaded.experiment.name, now_text(), tuple(checks))


def _checked(
    name: str, look: Callable[[LoadedExperiment], Iterable[Check]], loaded: LoadedExperiment
) -> list[Check]:
    try:
        return list(look(loaded))
    except TradingRuntimeError as error:
        return [Check(name, CheckState.FAILED, redact(str(error)), error.kind)]
    except Exception as error:  # noqa: BLE001 - what cannot be checked is not ready
        message = redact(f"{type(error).__name__}: {error}")
        return [Check(name, CheckState.FAILED, message, Kind.INTERNAL)]


def _variables(loaded: LoadedExperiment) -> Iterable[Check]:
    settings = loaded.experiment.operations
    # Only whether there is a value is checked; none of them is kept, shown or compared.
    missing = [name for name in settings.required_variables if not os.environ.get(name)]
    absent = [name for name in settings.optional_variables if not os.environ.get(name)]
    if missing:
        yield Check("variables", CheckState.FAILED, f"not set: {', '.join(missing)}", Kind.USAGE)
    elif absent:
        yield Check("variables", CheckState.WARNING, f"not set, optional: {', '.join(absent)}")
    else:
        count = len(settings.required_variables) + len(settings.optional_variables)
        yield Check("variables", CheckState.PASSED, f"all {count} named are set")


def _data(loaded: LoadedExperiment) -> Iterable[Check]:
    from trading_runtime.datasets.manifest import load_manifest
    from trading_runtime.datasets.verify import verify

    place = loaded.dataset_place
    if is_s3(place):
        manifest = load_manifest(place)
        sizes = S3Folder(place).sizes("data/")
        stated = {file.path: file.bytes for file in manifest.instrument_files}
        stated |= {file.path: file.bytes for file in manifest.files}
        wrong = [path for path, size in stated.items() if sizes.get(path) != size]
        found = f"all {len(stated)} files of the manifest are there, with their sizes"
        # Their bytes are verified when a partition is fetched, each time.
    else:
        verification = verify(Path(place))
        wrong = list(verification.damages)
        found = f"all {verification.files} files have the sha256 of the manifest"
    if wrong:
        message = f"{len(wrong)} files missing or changed, the first: {wrong[0]}"
        yield Check("data", CheckState.FAILED, message, Kind.DATA)
    else:
        yield Check("data", CheckState.PASSED, found)


def _engine(_: LoadedExperiment) -> Iterable[Check]:
    from trading_runtime.planning.environment import environment

    try:
        import trading_runtime.engine.simulation.task  # noqa: F401
    except ImportError as error:
        yield Check("engine", CheckState.FAILED, f"cannot be imported: {error}", Kind.USAGE)
        return
    version = environment()["engine"]["nautilus_trader"]
    yield Check("engine", CheckState.PASSED, f"nautilus_trader {version} can be imported")


def _plan(loaded: LoadedExperiment) -> Iterable[Check]:
    from trading_runtime.execution.preparation import prepare_run

    plan = prepare_run(loaded.path).plan
    message = f"{len(plan.tasks)} tasks, {len(plan.uncached)} of them to compute"
    yield Check("plan", CheckState.PASSED, message)


def _session(loaded: LoadedExperiment) -> Iterable[Check]:
    from trading_runtime.sessions.preparation import prepare_session

    mode = prepare_session(loaded.path).deployment.mode
    yield Check("plan", CheckState.PASSED, f"a {mode} session of it can be prepared")


def _keys(deployment: Deployment | None, _: LoadedExperiment) -> Iterable[Check]:
    from trading_runtime.sessions.starting import missing_keys

    if deployment is None or not isinstance(deployment.execution, AdapterExecution):
        return
    if missing := missing_keys(deployment.execution):
        yield Check("keys", CheckState.FAILED, f"not set: {', '.join(missing)}", Kind.USAGE)
    else:
        yield Check("keys", CheckState.PASSED, "those that are known to be needed are set")


def _arrives(data: AdapterData, _: LoadedExperiment) -> Iterable[Check]:
    yield Check("data", CheckState.PASSED, f"comes from {data.adapter}, which is not asked here")


def _disk(loaded: LoadedExperiment) -> Iterable[Check]:
    least = loaded.experiment.operations.min_free_disk_mb
    places = {"scratch": Path(tempfile.gettempdir())}
    if not is_s3(loaded.results_place):
        places["results"] = Path(loaded.results_place)
    for name, place in places.items():
        free = free_disk(place) // _MEGABYTE
        state = CheckState.PASSED if free >= least else CheckState.FAILED
        message = f"{free:,} MB are free for {name}, {least:,} MB are asked for"
        yield Check(f"disk_{name}", state, message, Kind.STORAGE if free < least else Kind.OK)


def _memory(loaded: LoadedExperiment) -> Iterable[Check]:
    least = loaded.experiment.operations.min_free_memory_mb
    found = available_memory()
    if found is None:
        yield Check("memory", CheckState.UNKNOWN, "this system does not tell")
        return
    free = found // _MEGABYTE
    state = CheckState.PASSED if free >= least else CheckState.FAILED
    message = f"{free:,} MB are available, {least:,} MB are asked for"
    yield Check("memory", state, message, Kind.CRASH if free < least else Kind.OK)


def _storage(loaded: LoadedExperiment) -> Iterable[Check]:
    trial = try_storage(loaded.results_place, f"operations/trial-{uuid.uuid4().hex[:12]}")
    yield Check("storage", CheckState.PASSED, f"written, read and removed in {trial.seconds:.3f} s")
    most = loaded.experiment.operations.max_clock_skew_seconds
    skew = f"{trial.skew_seconds:+.1f} s from the clock of the place of the results"
    if abs(trial.skew_seconds) > most:
        message = f"{skew}, at most {most} s are accepted"
        yield Check("clock", CheckState.FAILED, message, Kind.TRANSIENT)
    elif clock_is_synchronised() is False:
        yield Check("clock", CheckState.WARNING, f"{skew}; the kernel says that no service sets it")
    else:
        yield Check("clock", CheckState.PASSED, skew)


def _kill_switch(loaded: LoadedExperiment) -> Iterable[Check]:
    active = KillSwitch(open_store(loaded.results_place)).active()
    of_all = [item for item in active if item.run_id is None]
    if of_all:
        yield Check("kill_switch", CheckState.FAILED, of_all[0].shown, Kind.KILLED)
    elif active:
        message = "; ".join(item.shown for item in active)
        yield Check("kill_switch", CheckState.WARNING, message)
    else:
        yield Check("kill_switch", CheckState.PASSED, "off")
