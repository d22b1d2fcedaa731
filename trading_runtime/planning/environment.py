"""What is installed and runs here: the part of a task's identity that no experiment file says."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.config.strategy_code import files_digest, python_files
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PACKAGE = Path(__file__).resolve().parent.parent
RUNTIME_CODE = (
    "canonical.py",
    "config/strategy_code.py",
    "datasets/observed_days.py",
    "datasets/slices.py",
    "engine",
    "errors.py",
    "execution/workers/processes.py",
    "execution/task.py",
    "execution/workers/worker.py",
    "message_kinds.py",
    "planning/identity.py",
    "results/artifacts.py",
    "results/calendar.py",
    "results/exact.py",
    "results/statistics.py",
    "units.py",
)
"""What feeds the engine and extracts the result: all that can change the bytes of a result."""

_DESCRIPTION = ".dist-info"
_HEAD_BYTES = 1 << 14
_SEPARATORS = re.compile(r"[-_.]+")
_VERSION = re.compile(r"^Version:(.*)$", re.MULTILINE | re.IGNORECASE)
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?==")


def environment(requirements: Sequence[str]) -> dict[str, Any]:
    """Return versions of engine, Python, platform and packages, as they are installed.

    ``requirements`` names further packages (``strategy.requirements``). Raises ``UsageError`` when
    one of these, or the engine, is not installed.
    """
    packages = {name: installed_version(name) for name in pinned_packages()}
    for name in requirements:
        version = installed_version(name)
        if version is None:
            raise UsageError(
                f"strategy.requirements: {name!r} is not installed; install it, or remove the name"
            )
        packages[name] = version
    return {
        "engine": {"nautilus_trader": engine_version()},
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": packages,
    }


def refuse_other_environment(common: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` when a plan with these ``common`` inputs was made with other versions.

    Its task ids would stand for results that this process cannot compute.
    """
    then = dict(common) | {"runtime": common["code"]["runtime"]}
    now = {
        **environment([]),
        "packages": {name: installed_version(name) for name in common["packages"]},
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
    version = installed_version("nautilus_trader")
    if version is None:
        raise UsageError("nautilus_trader is not installed; run 'make environment'")
    return version


@functools.cache
def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, or ``None``."""
    # ``metadata`` looks through all folders for each name, and reads a file's headers and its long
    # description as an e-mail: together the most of a start.
    folder = _distributions().get(_SEPARATORS.sub("_", name).lower())
    with contextlib.suppress(OSError):
        if folder is not None:
            with Path(folder, "METADATA").open("rb") as file:
                head = file.read(_HEAD_BYTES).partition(b"\n\n")[0]
            if (found := _VERSION.search(head.decode(errors="replace"))) is not None:
                return found[1].strip()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _distributions() -> dict[str, str]:
    """Return the folder that describes each installed distribution, by its name with ``_``."""
    found: dict[str, str] = {}
    for place in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(place or "."):  # noqa: PTH208 - of hundreds of names
                if entry.endswith(_DESCRIPTION):
                    name = entry.partition("-")[0].lower()
                    # The first folder on the path is the one that is imported from.
                    found.setdefault(_SEPARATORS.sub("_", name), f"{place}/{entry}")
    return found


@functools.cache
def pinned_packages() -> tuple[str, ...]:
    """Return the names that ``requirements.txt`` pins, sorted.

    Raises ``UsageError`` when the file is not beside or in the package.
    """
    for path in (PACKAGE.parent / "requirements.txt", PACKAGE / "requirements.txt"):
        if path.is_file():
            found = (_PIN.match(line) for line in path.read_text(encoding="utf-8").splitlines())
            return tuple(sorted({match[1].lower() for match in found if match}))
    raise UsageError(
        f"{PACKAGE.parent / 'requirements.txt'}: not found; the versions that it pins are part of "
        "every result's identity"
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
