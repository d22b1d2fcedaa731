"""Logs of processes: rotated while they are written, followed, and taken to where results go."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.errors import TradingRuntimeError
from trading_runtime.redaction import redact
from trading_runtime.storage.files import open_regular, read_bytes
from trading_runtime.storage.s3 import is_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trading_runtime.deployments.state import DeploymentState

LOG = "output.log"
MOST_BYTES = 10_000_000
KEPT = 5
"""Earlier parts of a log, ``output.log.1`` the latest."""
_NAMES = (*(f"{LOG}.{number}" for number in range(KEPT, 0, -1)), LOG)
"""The parts of a log, the oldest first."""
_LAST_BYTES = 4_096
_PAUSE_SECONDS = 0.2
_UPLOAD_SECONDS = 30.0


def log_folder(results: str, run_id: str, copies: Path) -> Path:
    """Return where the log of a run is written: in its folder, or a copy while that is in S3."""
    return copies / run_id if is_s3(results) else Path(results) / "runs" / run_id / "logs"


def rotate(log: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Rotate a log when it is long, and keep its latest parts; return whether it was.

    The process keeps writing to the same file, which is copied and emptied: a line that is
    written in between is lost.
    """
    try:
        if log.stat().st_size <= most_bytes:
            return False
        for number in range(KEPT - 1, 0, -1):
            older = log.with_name(f"{LOG}.{number}")
            if older.exists():
                older.replace(log.with_name(f"{LOG}.{number + 1}"))
        shutil.copyfile(log, log.with_name(f"{LOG}.1"))
        with log.open("r+b") as file:
            file.truncate(0)
    except OSError:
        return False  # the disk is full, or the run was removed
    return True


def last_message(log: Path) -> str:
    """Return what the last error in a log says, else what was printed last, to end a sentence."""
    try:
        with os.fdopen(open_regular(log), "rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return f": {errors[-1].removeprefix('error: ')}"
    return f"; it last printed: {lines[-1]}" if lines else ""


def parts_of(state: DeploymentState) -> Iterator[bytes]:
    """Yield what is kept of the latest log of a deployment, oldest first, wherever it is now."""
    if state.log is None:
        return
    log = Path(state.log)
    if log.exists() or not is_s3(state.results):
        here = [log.with_name(name) for name in _NAMES]
        yield from (read_bytes(part) for part in here if part.is_file())
        return
    from trading_runtime.storage.folders import open_folder

    for name in _NAMES:
        with contextlib.suppress(FileNotFoundError):
            yield open_folder(state.results).read(f"runs/{state.run_id}/logs/{name}")


def follow(newest: Callable[[], Path | None]) -> Iterator[bytes]:
    """Yield what is added to a log, and to that of the next run after it, without end."""
    log, at = newest(), 0
    if log is not None and log.exists():
        at = log.stat().st_size
    while True:
        if log is not None and log.exists():
            if log.stat().st_size < at:
                at = 0  # it was rotated
            with os.fdopen(open_regular(log), "rb") as file:
                file.seek(at)
                content = file.read()
            at += len(content)
            if content:
                yield content
                continue
        if (later := newest()) != log:
            log, at = later, 0
            continue
        time.sleep(_PAUSE_SECONDS)


class LogUploads:
    """Takes the logs of ended processes to S3, each in a thread of its own."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._threads: list[threading.Thread] = []

    def start(self, log: Path, results: str, run_id: str) -> None:
        """Take a log to the folder of its run, without secrets; nothing for a disk.

        The copy here is removed.
        """
        if is_s3(results):
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            arguments = (log, results, run_id)
            thread = threading.Thread(target=self._upload, args=arguments, daemon=True)
            thread.start()
            self._threads.append(thread)

    def publish(self, results: str, name: str, content: str | None) -> None:
        """Put the document that metrics are made of into the results, or take it away."""
        if is_s3(results):
            arguments = (results, name, content)
            thread = threading.Thread(target=self._publish, args=arguments, daemon=True)
            thread.start()
            self._threads = [*(item for item in self._threads if item.is_alive()), thread]
        else:
            self._publish(results, name, content)

    def _publish(self, results: str, name: str, content: str | None) -> None:
        from trading_runtime.storage.folders import open_folder

        try:
            folder = open_folder(results)
            if content is None:
                folder.remove(f"deployments/{name}.json")
            else:
                folder.write(f"deployments/{name}.json", content.encode())
        except (TradingRuntimeError, OSError) as error:
            self._report(f"{name}: metrics cannot be written: {error}")

    def finish(self) -> None:
        """Wait for uploads."""
        deadline = time.monotonic() + _UPLOAD_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _upload(self, log: Path, results: str, run_id: str) -> None:
        from trading_runtime.storage.folders import open_folder

        try:
            folder = open_folder(results)
            for name, content in _redacted(log.parent).items():
                folder.write(f"runs/{run_id}/logs/{name}", content)
            shutil.rmtree(log.parent)
        except (TradingRuntimeError, OSError) as error:
            self._report(f"the log of {run_id} stays in {log.parent}: {error}")


def _redacted(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder with a log by name, without secrets.

    The parts of the log are one text, in which a secret may cross from one to the next: they
    become one file.
    """
    names = [name for name in _NAMES if (folder / name).is_file()]
    whole = b"".join(read_bytes(folder / name) for name in names)
    if len(names) > KEPT:
        # Before it there may have been more, perhaps with the beginning of a secret.
        whole = b"[the first line of what is kept is left out]\n" + whole.partition(b"\n")[2]
    found = {path.name: read_bytes(path) for path in folder.iterdir() if path.name not in _NAMES}
    if names:
        found[LOG] = whole
    return {
        name: redact(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")
        for name, content in sorted(found.items())
    }
