"""What the engine only logs: errors of callbacks, and warnings that affect a result.

The engine writes its warnings and errors to a file that only this process knows: its name is
removed once the first engine exists, so that nothing is left when the process is killed later. A
task reads its own lines at its end. Logging is set up once per process, by its first engine.

Errors also go to standard error, whatever level is asked for. If the system allows it, the thread
that writes them gets its own file descriptors, with standard error on the null device: the output
of a failed task is in its record once, not on the terminal many times.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nautilus_trader.common import (
    FileWriterConfig,
    LoggerConfig,
    LogLevel,
    init_logging,
    logging_sync_to_disk,
)
from nautilus_trader.core import UUID4
from nautilus_trader.model import TraderId

from trading_runtime.message_kinds import kind_of
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_FILE = "engine"
_CALLBACK_ERROR = re.compile(
    r"Python (?P<what>[^\n]*?) failed(?P<of>[^\n:]*):\s*(?P<error>.*)", re.DOTALL
)
_REPORTED_ELSEWHERE = re.compile(
    r"Submit\w+ for \S+ DENIED: |\S+ <--\[EVT\] Order(Denied|Rejected)\(|Failed to calculate xrate"
    r"|LIQUIDATION triggered for "
)
"""Denied and rejected orders, and liquidations, are counted from the orders themselves. This
runtime asks for rates whenever it samples the account, and a missing rate that matters fails the
task."""


@dataclass
class EngineMessages:
    """What the engine logged during one task."""

    callback_error: str | None = None
    """The strategy's first error that only the log shows."""
    counts: Counter[str] = field(default_factory=Counter)
    """The engine's own warnings and errors, counted by kind."""


class EngineLog:
    """The file with the engine's warnings and errors."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def clear(self) -> None:
        """Forget what was logged so far."""
        if self._descriptor is not None:
            logging_sync_to_disk()
            os.ftruncate(self._descriptor, 0)

    def messages(self) -> EngineMessages:
        """Return what was logged since it was cleared."""
        if self._descriptor is None:
            return EngineMessages()
        logging_sync_to_disk()
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        with os.fdopen(os.dup(self._descriptor), encoding="utf-8", errors="replace") as lines:
            found = read_messages(lines)
        os.ftruncate(self._descriptor, 0)
        return found


_opened: dict[int, EngineLog] = {}
_folders: dict[int, Scratch] = {}
_guards: list[Any] = []
"""Keeps logging alive."""


def logger_config(level: str | None) -> LoggerConfig:
    """Return how an engine logs: warnings to the file, ``level`` and above to standard output."""
    folder = _folders.get(os.getpid())
    if folder is None:
        folder = _folders[os.getpid()] = Scratch()
        if level is None:
            thread = threading.Thread(target=_start_without_stderr, args=(folder.path,))
            thread.start()
            thread.join()
    return LoggerConfig(
        stdout_level=LogLevel.OFF if level is None else LogLevel.from_str(level),
        fileout_level=LogLevel.WARNING,
        file_config=FileWriterConfig(str(folder.path), _FILE, file_format="json"),
        is_colored=level is not None and sys.stdout.isatty(),
    )


def engine_log() -> EngineLog:
    """Return the log of this process, once an engine was made with ``logger_config``."""
    log = _opened.get(os.getpid())
    if log is None:
        folder = _folders[os.getpid()]
        files = list(folder.path.iterdir())
        # None when the first engine of this process was not made here.
        descriptor = os.open(files[0], os.O_RDWR | os.O_CLOEXEC) if files else None
        folder.remove()
        log = _opened[os.getpid()] = EngineLog(descriptor)
    return log


def _start_without_stderr(folder: Path) -> None:
    try:
        os.unshare(os.CLONE_FILES)
    except (AttributeError, OSError):
        return
    # From here on this thread, and the one that it starts, see none of the process's files.
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    # Refused when the first engine of this process was not made here.
    with contextlib.suppress(Exception):
        _guards.append(
            init_logging(
                TraderId("TRADER-001"),
                UUID4(),
                LogLevel.OFF,
                level_file=LogLevel.WARNING,
                directory=str(folder),
                file_name=_FILE,
                file_format="json",
                is_colored=False,
                print_config=False,
            )
        )


def read_messages(lines: Iterable[str]) -> EngineMessages:
    """Return the content of lines of the engine's log, each a JSON document."""
    found = EngineMessages()
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        _add(entry, found)
    return found


def callback_error(message: str) -> str | None:
    """Return what failed and how, when a message reports an error in Python."""
    found = _CALLBACK_ERROR.search(message)
    if found is None:
        return None
    what = found["what"].partition(" python-component")[0] + found["of"]
    return f"{what}: {' '.join(found['error'].split())}"


def _add(entry: Mapping[str, str], found: EngineMessages) -> None:
    message = entry["message"]
    if entry["level"] == "ERROR" and message.startswith("Python "):
        found.callback_error = found.callback_error or callback_error(message)
    # The strategy's own log messages come from a component with its name.
    elif entry["component"].startswith("nautilus_") and not _REPORTED_ELSEWHERE.match(message):
        found.counts[kind_of(message)] += 1
