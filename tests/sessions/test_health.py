"""The HTTP server of a session, by itself."""

from __future__ import annotations

import asyncio

import pytest

from trading_runtime.errors import UsageError
from trading_runtime.sessions.health import Health, HealthServer


def test_a_host_that_cannot_be_looked_up_is_refused() -> None:
    async def serve() -> None:
        server = HealthServer(lambda: Health([], [], {}), lambda: 0.0)
        with server.serving("a..b", 0):
            pass

    with pytest.raises(UsageError, match=r"cannot listen at a\.\.b:0: there is no such host"):
        asyncio.run(serve())
