"""What is installed and runs here: the part of a task's identity outside the experiment file."""

from __future__ import annotations

import functools
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.config.strategy_code import files_digest, python_files
from trading_runtime.errors import UsageError
from trading_runtime.planning.distributions import (
    distributions_of_imports,
    installed_version,
    normal_name,
    with_dependencies,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.inputs import CommonInputs

PACKAGE = Path(__file__).resolve().parent.parent
RUNTIME_CODE = (
    "canonical.py",
    "collector.py",
    "config/import_closure.py",
    "config/strategy_code.py",
    "currency_codes.py",
    "datasets/daily_closes.py",
    "datasets/idle_bars.py",
    "datasets/observed_days.py",
    "datasets/slices.py",
    "engine",
    "errors.py",
    "execution/workers/processes.py",
    "execution/task.py",
    "execution/workers/worker.py",
    "message_kinds.py",
    "planning/identity.py",
    "records/forms.py",
    "records/inputs.py",
    "records/instruments.py",
    "records/task_manifest.py",
    "results/artifacts.py",
    "results/calendar.py",
    "results/exact.py",
    "results/statistics.py",
    "units.py",
)
"""What feeds the engine and extracts the result: everything that can change a result's bytes."""

ENGINE = "nautilus_trader"
WORKER_PACKAGES = ("numpy", "pyarrow")
"""What every task's process imports besides the engine: neither imports any further package."""

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?==")


def environment(requirements: Sequence[str] = (), imported: Sequence[str] = ()) -> dict[str, Any]:
    """Return the installed versions of engine, Python, platform and packages.

    The packages are those that a task's process imports: the worker's own, those that the names in
    ``imported`` come from, and ``requirements`` (``strategy.requirements``), with what these need.

    Raises ``UsageError`` when one of the requirements, or the engine, is not installed.
    """
    for name in requirements:
        if installed_version(name) is None:
            raise UsageError(
                f"strategy.requirements: {name!r} is not installed; install it, or remove the name"
            )
    packages = with_dependencies({*requirements, *distributions_of_imports(imported)})
    packages |= set(WORKER_PACKAGES)
    packages.discard(normal_name(ENGINE))
    return {
        "engine": {ENGINE: engine_version()},
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": {name: installed_version(name) for name in sorted(packages)},
    }


def refuse_other_environment(common: CommonInputs) -> None:
    """Raise ``UsageError`` when a plan with these ``common`` inputs was made with other versions.

    Its task ids would identify results that this process cannot compute.
    """
    then = {**common.content, "runtime": common.runtime_code}
    now = {
        **environment(),
        "packages": {name: installed_version(name) for name in common.packages},
        "runtime": runtime_digest(),
    }
    for name, value in now.items():
        if then.get(name) != value:
            raise UsageError(
                f"the plan was made with another {name} ({_differing(then.get(name), value)}); "
                "plan again here, or use the versions of the plan"
            )


def _differing(then: Any, now: Any) -> str:
    if isinstance(then, dict):
        names = [name for name in now if then.get(name) != now[name]]
        return ", ".join(f"{name} {then.get(name)}, here {now[name]}" for name in names[:3])
    return f"{then}, here {now}"


def engine_version() -> str:
    """Return the installed version of nautilus_trader; raises ``UsageError`` when there is none."""
    version = installed_version(ENGINE)
    if version is None:
        raise UsageError("nautilus_trader is not installed; run 'make environment'")
    return version


@functools.cache
def pinned_packages() -> tuple[str, ...]:
    """Return the names that ``requirements.txt`` pins, sorted.

    Raises ``UsageError`` when the file is neither beside nor in the package.
    """
    for path in (PACKAGE.parent / "requirements.txt", PACKAGE / "requirements.txt"):
        if path.is_file():
            found = (_PIN.match(line) for line in path.read_text(encoding="utf-8").splitlines())
            return tuple(sorted({match[1].lower() for match in found if match}))
    raise UsageError(
        f"{PACKAGE.parent / 'requirements.txt'}: not found; runs note the versions that it pins"
    )


@functools.cache
def runtime_digest() -> str:
    """Return the sha256 over the runtime's own code that can change a result."""
    files: dict[str, Path] = {}
    for name in RUNTIME_CODE:
        path = PACKAGE / name
        for file in python_files(path) if path.is_dir() else [path]:
            files[file.relative_to(PACKAGE).as_posix()] = file
    return files_digest(files.items())
