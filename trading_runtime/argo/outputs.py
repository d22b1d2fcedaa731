"""What a step passes to Argo: output files, a pod's progress, the message of a failure."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.storage.files import what_else
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_FOLDER = "/tmp/outputs"  # noqa: S108 - a pod has it for itself
_MOST_MESSAGE_BYTES = 4_000
"""Kubernetes shows 4,096 bytes of a termination message."""
_PROGRESS_SECONDS = 1.0


def write_outputs(values: Mapping[str, str]) -> None:
    """Write each value to the file of its name, where the template reads output parameters."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(value, encoding="utf-8")


def remove_outputs() -> None:
    """Remove everything that was written for the template."""
    shutil.rmtree(_folder(), ignore_errors=True)


def output_report(run_folder: Path) -> None:
    """Copy the report of a run, page and pictures, to where the template collects it."""
    target = _folder() / "report"
    shutil.rmtree(target, ignore_errors=True)
    if (run_folder / "report").is_dir():
        shutil.copytree(run_folder / "report", target)
        shutil.copyfile(run_folder / "report.md", target / "report.md")


def write_termination_message(text: str) -> None:
    """Write why a step ended to where Kubernetes reads it; elsewhere do nothing."""
    path = os.environ.get("TRADING_RUNTIME_TERMINATION_LOG")
    if path and what_else(Path(path)) is None:  # a pipe that nobody reads would wait for ever
        content = for_records(text).encode()[:_MOST_MESSAGE_BYTES]
        with contextlib.suppress(OSError):  # the error itself matters more
            Path(path).write_bytes(content)


class PodProgress:
    """Reports to Argo how many of a pod's tasks are done, through the file that it reads."""

    def __init__(self, done: int, total: int) -> None:
        path = os.environ.get("ARGO_PROGRESS_FILE")
        self._path = Path(path) if path else None
        self._done, self._total = done, total
        self._shown = 0.0
        self._show()

    def task_ended(self, *, ok: bool) -> None:  # noqa: ARG002 - done is done
        """Count a task, ok or failed."""
        self._done += 1
        if self._done >= self._total or time.monotonic() - self._shown >= _PROGRESS_SECONDS:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._path is None or not self._total:
            return
        text = f"{min(self._done, self._total)}/{self._total}\n"
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            beside.write_text(text)
            beside.replace(self._path)
        except OSError:
            # Perhaps only a single file can be written there.
            with contextlib.suppress(OSError):
                self._path.write_text(text)


def _folder() -> Path:
    return Path(os.environ.get("TRADING_RUNTIME_OUTPUTS") or _DEFAULT_FOLDER)
