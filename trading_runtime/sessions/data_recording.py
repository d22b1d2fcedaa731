"""Recording without trading: the data of a deployment, added to its dataset until stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.config.adapters import AdapterData
from trading_runtime.config.deployment import load_deployment
from trading_runtime.engine.live.arriving import ArrivingData
from trading_runtime.engine.live.data_node import DataNode
from trading_runtime.engine.live.recorder import Recorder
from trading_runtime.errors import TransientError, UsageError
from trading_runtime.storage.s3 import is_s3
from trading_runtime.units import DAY, parse_duration

if TYPE_CHECKING:
    from trading_runtime.config.deployment import LoadedDeployment

_CONNECT_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Recorded:
    """What a recording left."""

    folder: Path
    rows: int
    seconds: float
    received: int | None
    """The signal that stopped it."""


def recording_place(read: LoadedDeployment) -> Path:
    """Return the folder that a deployment records to; raises ``UsageError`` for none."""
    if read.deployment.record is None:
        raise UsageError("record: is missing; name the folder of the dataset that grows")
    if is_s3(read.loaded.dataset_place):
        raise UsageError("record: must be a folder on this machine")
    return Path(read.loaded.dataset_place)


def record_data(path: str | Path, seconds: float | None = None) -> Recorded:
    """Record until a signal comes, or for so many seconds.

    Raises ``UsageError`` for a bad deployment, ``TransientError`` when the venue does not answer.
    """
    read = load_deployment(path)
    section = read.deployment.data
    if not isinstance(section, AdapterData):
        raise UsageError(f"{path}: data: only what comes from an adapter can be recorded")
    recorder = Recorder(recording_place(read))
    data = ArrivingData(section, DAY)
    data.recorder = recorder
    between = parse_duration(read.deployment.limits.heartbeat) / _SECOND
    return asyncio.run(_record(data, recorder, recording_place(read), between, seconds))


async def _record(
    data: ArrivingData, recorder: Recorder, folder: Path, between: float, seconds: float | None
) -> Recorded:
    received: list[int] = []
    started = time.monotonic()
    loop = asyncio.get_running_loop()
    node = DataNode(data)
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, received.append, number)
    running = asyncio.ensure_future(node.run())
    try:
        await _connect(node, running)
        recorder.define(node.definitions())
        flushed = time.monotonic()
        while not received and not running.done():
            await asyncio.sleep(_LOOK_SECONDS)
            data.count()
            now = time.monotonic()
            if now - flushed >= between:
                flushed = now
                recorder.flush()
            if seconds is not None and now - started >= seconds:
                break
    finally:
        node.handle.stop()
        with contextlib.suppress(RuntimeError):
            await running
    node.check()
    data.count()
    recorder.finish()
    signalled = received[0] if received else None
    return Recorded(folder, recorder.rows, time.monotonic() - started, signalled)


async def _connect(node: DataNode, running: asyncio.Future[None]) -> None:
    deadline = time.monotonic() + _CONNECT_SECONDS
    while not node.handle.is_running:
        if running.done() or time.monotonic() > deadline:
            error = running.exception() if running.done() else "it took too long"
            raise TransientError(f"the venue did not answer: {error}")
        await asyncio.sleep(0.01)
