"""Whether this installation is sound: Python, packages against their pins, the engine, tools."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime import __version__
from trading_runtime.execution.workers.fence import WITH_MOVES, WITH_SIGNALS, landlock_version
from trading_runtime.planning.distributions import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterator

PINS = Path(__file__).resolve().parent.parent / "requirements.txt"
PYTHON = (3, 13)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)
_TOOLS = {
    "argo": "'trading-runtime submit' needs it",
    "kubectl": "runs on a cluster need it",
    "docker": "building images of your own needs it",
}


class State(StrEnum):
    """The status of one part of an installation."""

    OK = "ok"
    NOTE = "note"
    """Not needed for everything, or not as pinned."""
    FAILED = "failed"


@dataclass(frozen=True)
class Part:
    """One part of an installation, and what was found."""

    name: str
    state: State
    message: str


def examine() -> Iterator[Part]:
    """Yield the finding for each part, the most basic first."""
    yield Part("trading-runtime", State.OK, f"{__version__} in {PINS.parent}")
    yield _python()
    yield _packages()
    yield _engine()
    yield _isolation()
    for name, purpose in _TOOLS.items():
        path = shutil.which(name)
        if path is None:
            yield Part(name, State.NOTE, f"not on the PATH; only {purpose}")
        else:
            yield Part(name, State.OK, path)


def _python() -> Part:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] != PYTHON:
        return Part("python", State.FAILED, f"{text}; install Python {PYTHON[0]}.{PYTHON[1]}")
    return Part("python", State.OK, text)


def _packages() -> Part:
    """Compare what is installed with the versions that this release was tested with."""
    pins = _PIN.findall(PINS.read_text(encoding="utf-8"))
    missing, other = [], []
    for name, pinned in pins:
        installed = installed_version(name)
        if installed is None:
            missing.append(name)
        elif installed != pinned:
            other.append(f"{name} {installed}, pinned {pinned}")
    if missing:
        message = f"not installed: {', '.join(missing)}; run 'pip install trading-runtime' again"
        return Part("packages", State.FAILED, message)
    if other:
        message = f"other versions than tested: {'; '.join(other)}"
        return Part("packages", State.NOTE, message)
    return Part("packages", State.OK, f"all {len(pins)} at their pinned versions")


def _engine() -> Part:
    try:
        importlib.import_module("nautilus_trader.backtest")
    except Exception as error:  # noqa: BLE001 - a native module may raise anything
        message = f"cannot be imported: {type(error).__name__}: {error}"
        return Part("engine", State.FAILED, message)
    return Part("engine", State.OK, f"nautilus_trader {metadata.version('nautilus_trader')}")


def _isolation() -> Part:
    """Return what keeps a strategy from other processes, such as a shell with credentials."""
    version = landlock_version()
    if version < WITH_MOVES:
        message = "no Landlock: a strategy may look into the processes of its user, and end them"
    elif os.geteuid() == 0:
        message = f"Landlock {version}, but a strategy of root may look into all processes"
    elif version < WITH_SIGNALS:
        message = f"Landlock {version}: a strategy may end the processes of its user, not look in"
    else:
        message = f"Landlock {version}: a strategy sees into no other process, and ends none"
        return Part("isolation", State.OK, message)
    return Part("isolation", State.NOTE, f"{message}; run code of others in pods")
