"""When the event loop of a session runs what was woken, beside asyncio's own."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from trading_runtime.sessions.event_loop import PromptLoop

if TYPE_CHECKING:
    from collections.abc import Callable


class Asked(selectors.DefaultSelector):
    """A selector that writes down when it is asked."""

    def __init__(self, done: list[str]) -> None:
        super().__init__()
        self.done = done

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.done.append("asked")
        return super().select(timeout)


async def woken_by_a_thread(done: list[str]) -> None:
    """Wait for a future that another thread resolves, as the engine does for a row."""
    loop = asyncio.get_running_loop()
    row = loop.create_future()

    def wake() -> None:
        done.append("woken")
        row.set_result(None)

    threading.Timer(0.01, loop.call_soon_threadsafe, [wake]).start()
    await row
    done.append("row")


@pytest.mark.parametrize(
    ("make", "between"), [(PromptLoop, []), (asyncio.SelectorEventLoop, ["asked"])]
)
def test_the_system_is_not_asked_between_the_wake_up_and_the_row(
    make: Callable[[selectors.BaseSelector], asyncio.AbstractEventLoop], between: list[str]
) -> None:
    done: list[str] = []
    with asyncio.Runner(loop_factory=lambda: make(Asked(done))) as runner:
        runner.run(woken_by_a_thread(done))

    woken, row = done.index("woken"), done.index("row")
    assert done[woken + 1 : row] == between


def test_callbacks_that_never_end_keep_nothing_else_waiting() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, asyncio.Runner(loop_factory=PromptLoop) as runner:
        ours.settimeout(0)

        async def read() -> bytes:
            loop = asyncio.get_running_loop()

            def again() -> None:
                loop.call_soon(again)

            again()
            loop.call_later(0.01, theirs.sendall, b"row")
            return await loop.sock_recv(ours, 3)

        assert runner.run(read()) == b"row"


def test_more_wake_ups_than_are_read_at_once_all_arrive() -> None:
    most = 10_000

    async def wait() -> int:
        loop = asyncio.get_running_loop()
        woken: list[int] = []
        ended = loop.create_future()
        for number in range(most):
            loop.call_soon_threadsafe(woken.append, number)
        loop.call_soon_threadsafe(ended.set_result, None)
        await ended
        return len(woken)

    with asyncio.Runner(loop_factory=PromptLoop) as runner:
        assert runner.run(wait()) == most


def test_a_callback_that_was_cancelled_in_the_same_turn_is_not_run() -> None:
    async def cancel() -> list[str]:
        loop = asyncio.get_running_loop()
        done: list[str] = []

        def first() -> None:
            loop.call_soon(done.append, "cancelled").cancel()
            loop.call_soon(done.append, "kept")

        loop.call_soon(first)
        await asyncio.sleep(0.01)
        return done

    with asyncio.Runner(loop_factory=PromptLoop) as runner:
        assert runner.run(cancel()) == ["kept"]


def test_a_signal_is_handled_while_the_loop_waits() -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        received = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, received.set)
        threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        await received.wait()

    with asyncio.Runner(loop_factory=PromptLoop) as runner:
        runner.run(wait())
