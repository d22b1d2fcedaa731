"""What a pod said, kept with its run: its own lines, and the end of what its workers printed."""

from __future__ import annotations

import contextlib
import os
import platform
from typing import TYPE_CHECKING

from trading_runtime.argo.planned_run import NotPlannedError
from trading_runtime.errors import TradingRuntimeError, error_text, kind_of_error
from trading_runtime.execution.workers.processes import KEPT_OUTPUT, OUTPUT_KEPT_IN
from trading_runtime.redaction import redact
from trading_runtime.results.store import open_store
from trading_runtime.runs.metadata import now_text
from trading_runtime.runs.opening import check_run_id
from trading_runtime.storage.scratch import Scratch
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trading_runtime.storage.object_store import ObjectStore

_CUT = b"... the beginning of what workers printed is not kept ...\n"


@contextlib.contextmanager
def kept_log(results: str, run_id: str, step: str) -> Iterator[Callable[[str], None]]:
    """Store a log with the run when the block ends, unless the run was not planned.

    Yields a function that notes a line in it. A pod that is killed leaves none, and none fails for
    want of it. Raises ``UsageError`` when ``run_id`` is none.
    """
    check_run_id(run_id)
    lines: list[str] = []

    def note(text: str) -> None:
        lines.append(f"{now_text()}  {text}\n")

    with Scratch() as scratch:
        workers = scratch.path / "workers.log"
        workers.touch()
        os.environ[OUTPUT_KEPT_IN] = str(workers)
        try:
            yield note
        except NotPlannedError:
            raise
        except Exception as error:
            note(f"{kind_of_error(error)}: {error_text(error)}")
            _store(results, run_id, step, lines, workers)
            raise
        finally:
            del os.environ[OUTPUT_KEPT_IN]
        _store(results, run_id, step, lines, workers)


def _store(results: str, run_id: str, step: str, lines: list[str], workers: Path) -> None:
    with workers.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - KEPT_OUTPUT))
        printed = file.read()
    if size > KEPT_OUTPUT:
        # The first line may begin in the middle of a secret, which no filter would recognise.
        printed = _CUT + printed.partition(b"\n")[2]
    text = redact("".join(lines) + printed.decode(errors="replace"))
    name = f"{_folder(run_id)}{step}-{pod_name()}.log"
    with contextlib.suppress(TradingRuntimeError):
        open_store(results).objects.write(name, for_records(text).encode())


def stored_logs(objects: ObjectStore, run_id: str, batch: int | None) -> Iterator[tuple[str, str]]:
    """Yield name and text of each log of a run, or of the pods that worked on one batch."""
    folder = _folder(run_id)
    for name in sorted(objects.sizes(folder)):
        short = name.removeprefix(folder)
        step, *numbers = short.split("-")
        if batch is None or (step == "batch" and numbers[1:2] == [str(batch)]):
            yield short, objects.read(name).decode(errors="replace")


def pod_name() -> str:
    """Return the end of this pod's name, with only the characters of a run id."""
    kept = "".join(letter for letter in platform.node().lower() if letter.isalnum())
    return kept[-12:] or "pod"


def _folder(run_id: str) -> str:
    return f"runs/{run_id}/logs/"
