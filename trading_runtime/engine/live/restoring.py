"""A position that an earlier session left, put back into the simulated venue's account.

The engine's simulated venue keeps nothing beyond its process. A client beside it takes one order
for each position, and fills it at the price at which the position was opened, without a fee: the
account then holds the position, and its value does not jump.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nautilus_trader import model

from trading_runtime.engine.live.clients import ExecutionClient, ExecutionClientFactory

if TYPE_CHECKING:
    from decimal import Decimal

    from nautilus_trader.live import ExecutionClientConfig

CLIENT = "RESTORE"
_PRICE_DIGITS = 12
"""Decimal places of an average price: more than any venue's, fewer than the engine's."""
PREFIX = "RESTORED-"
"""Prefix of the ids of such orders."""


class RestoringClient(ExecutionClient):
    """Fills each order at the price that was set beforehand."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._prices: dict[str, Decimal] = {}

    def expect(self, order_id: str, price: Decimal) -> None:
        """Fill the order of this id at ``price``."""
        self._prices[order_id] = price

    def _handles_order_venue(self, venue: model.Venue | None) -> bool:  # noqa: ARG002
        return True

    async def _connect(self) -> None:
        pass

    async def _disconnect(self) -> None:
        pass

    async def _query_account(self, command: object) -> None:
        pass

    async def _submit_order(self, command: Any) -> None:
        order: Any = self.cache.order(command.client_order_id)
        name = str(order.client_order_id)
        venue_order_id = model.VenueOrderId(name)
        now = self.clock.timestamp_ns()
        instrument: Any = self.cache.instrument(order.instrument_id)
        currency = getattr(instrument, "settlement_currency", None) or instrument.quote_currency
        price = model.Price.from_str(f"{self._prices.pop(name):.{_PRICE_DIGITS}f}")
        self.generate_order_submitted(order)
        self.generate_order_accepted(order, venue_order_id, now)
        self.generate_order_filled(
            order,
            venue_order_id,
            None,
            model.TradeId(name[-36:]),
            order.quantity,
            price,
            currency,
            model.Money(0, currency),
            model.LiquiditySide.TAKER,
            now,
        )


def restoring_factory(
    made: list[RestoringClient], account: str, account_type: model.AccountType, oms: model.OmsType
) -> ExecutionClientFactory:
    """Return what the node makes the client from; the client is appended to ``made``."""

    class Factory(ExecutionClientFactory):
        @staticmethod
        def create(
            *,
            name: str,
            config: ExecutionClientConfig,
            cache: Any,
            clock: Any,
            trader_id: model.TraderId,
        ) -> RestoringClient:
            client = RestoringClient(
                name=name,
                config=config,
                cache=cache,
                clock=clock,
                trader_id=trader_id,
                venue=model.Venue(CLIENT),
                account_id=model.AccountId(account),
                account_type=account_type,
                oms_type=oms,
            )
            made.append(client)
            return client

    return Factory()
