"""A node that receives data and trades nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nautilus_trader.common import Environment
from nautilus_trader.live import LiveNode

from trading_runtime.engine.instruments.definitions import definition_of
from trading_runtime.engine.live.node import TRADER
from trading_runtime.engine.simulation.engine_log import logger_config
from trading_runtime.engine.strategy.hidden_packages import without_versions_in_log
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.engine.live.arriving import ArrivingData
    from trading_runtime.records.instruments import InstrumentDefinition


class DataNode:
    """One adapter's data client, and what watches it."""

    def __init__(self, data: ArrivingData) -> None:
        self._data = data
        self._errors: list[BaseException] = []
        builder = (
            LiveNode.builder("RECORD", TRADER, Environment.LIVE)
            .with_logging(logger_config(None))
            .with_reconciliation(False)  # noqa: FBT003 - the engine takes no keywords
            .with_delay_post_stop_secs(0)
        )
        builder = data.attach(builder)
        with without_versions_in_log():
            self._node = builder.build()
        for actor in data.actors(self._errors.append):
            self._node.add_actor(actor)
        self.handle = self._node.handle()
        self._cache = self._node.cache

    async def run(self) -> None:
        """Run until stopped."""
        await self._node.run_async()

    def definitions(self) -> list[InstrumentDefinition]:
        """Return the instruments; raises ``UsageError`` when the venue does not have one."""
        found = {str(item.id): item for item in self._cache.instruments()}
        missing = sorted(set(self._data.names) - found.keys())
        if missing:
            raise UsageError(f"data.instruments: the venue has no {', '.join(missing)}")
        return [definition_of(found[name]) for name in self._data.names]

    def check(self) -> None:
        """Raise the first error of a callback, which the engine would only log."""
        if self._errors:
            raise self._errors[0]
