"""A node whose orders go to a venue, by one of the engine's adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.common import Environment
from nautilus_trader.live import (
    LiveExecutionEngineConfig,
    LiveNode,
    LiveRiskEngineConfig,
    SubmissionRecoveryPolicy,
)

from trading_runtime.engine.live.adapters import adapter_client
from trading_runtime.engine.live.node import TRADER, PaperNode
from trading_runtime.engine.live.reporting import MADE_UP
from trading_runtime.engine.simulation.engine_log import logger_config
from trading_runtime.engine.simulation.venue import NO_RATE
from trading_runtime.records.session_events import OrderClaimed, OrderFilled
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nautilus_trader.live import LiveNodeBuilder

    from trading_runtime.config.adapters import AdapterExecution
    from trading_runtime.engine.accounting.ledger import Ledger
    from trading_runtime.engine.live.arriving import ArrivingData
    from trading_runtime.engine.live.reporting import Listener
    from trading_runtime.engine.strategy.loading import LoadedStrategy
    from trading_runtime.records.inputs import TaskInputs


@dataclass(frozen=True)
class VenueOrder:
    """An order that the venue listed when the node reconciled."""

    order_id: str
    venue_order_id: str | None
    instrument: str
    side: str
    type: str
    quantity: str
    price: str | None
    ending: str | None
    """How it ended; ``None`` while it rests."""
    is_filled: bool
    is_made_up: bool
    """Whether the engine made it up to explain a position."""
    fills: tuple[OrderFilled, ...]
    """Those that the venue showed."""

    def as_claimed(self) -> OrderClaimed:
        """Return the event of taking it over."""
        return OrderClaimed(
            order_id=self.order_id,
            instrument=self.instrument,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            price=self.price,
            venue_order_id=self.venue_order_id,
        )


_CHECK_SECONDS = 2.0
_UNANSWERED_MS = 5_000
"""How long an order is without the venue's word before the venue is asked for it."""
_ASK_AGAIN_MS = 2_000
_CONNECT_SECONDS = 20
_RECONCILE_SECONDS = 20
_DISCONNECT_SECONDS = 5


class VenueNode(PaperNode):
    """A live node that reconciles with a venue, and one strategy that claims what is there."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a node is made of
        self,
        inputs: TaskInputs,
        loaded: LoadedStrategy,
        data: ArrivingData,
        listener: Listener,
        execution: AdapterExecution,
        saved: Mapping[str, bytes] | None = None,
    ) -> None:
        """Raise as ``PaperNode`` does, and ``UsageError`` when the adapter refuses a setting."""
        self._execution = execution
        self._client = adapter_client(execution)
        balances = inputs.common.venue.balances
        self._claimed = [model.InstrumentId.from_str(name) for name in data.names]
        self._valued: set[str] = set()
        """Currencies of the account that its value counts."""
        super().__init__(inputs, loaded, data, listener, balances, saved)
        self.strategy.set_external_order_instrument_ids(self._claimed)

    def _new_builder(self) -> LiveNodeBuilder:
        lookback = self._execution.lookback
        return (
            LiveNode.builder(self._common.venue_name, TRADER, Environment.LIVE)
            .with_logging(logger_config(None))
            .with_delay_post_stop_secs(0)
            .with_timeout_connection(_CONNECT_SECONDS)
            .with_timeout_reconciliation(_RECONCILE_SECONDS)
            .with_timeout_disconnection_secs(_DISCONNECT_SECONDS)
            .with_reconciliation(True)  # noqa: FBT003 - the engine takes no keywords
            .with_reconciliation_lookback_mins(lookback)
            .with_exec_engine_config(
                LiveExecutionEngineConfig(
                    reconciliation=True,
                    reconciliation_startup_delay_secs=0.5,
                    reconciliation_lookback_mins=lookback,
                    # What the account has in other instruments is not this session's.
                    reconciliation_instrument_ids=[str(item) for item in self._claimed],
                    filter_unclaimed_external_orders=True,
                    open_check_interval_secs=_CHECK_SECONDS,
                    position_check_interval_secs=_CHECK_SECONDS,
                    inflight_check_threshold_ms=_UNANSWERED_MS,
                    inflight_check_interval_ms=_ASK_AGAIN_MS,
                    # An order without the venue's word is neither failed nor done.
                    submission_recovery_policy=SubmissionRecoveryPolicy.RETAIN_UNRESOLVED,
                )
            )
            .with_risk_engine_config(
                LiveRiskEngineConfig(max_order_submit_rate=NO_RATE, max_order_modify_rate=NO_RATE)
            )
        )

    def _opened_ledger(self, balances: Sequence[str]) -> Ledger:
        """Open a ledger that values what the session has prices of, whatever else there is."""
        self._valued.add(self._common.currency)
        for definition in self.definitions:
            self._valued.update(definition.currencies)
        ledger = super()._opened_ledger([text for text in balances if self._is_valued(text)])
        ledger.account.valued = self._valued
        return ledger

    def _is_valued(self, balance: str) -> bool:
        return balance.split()[1] in self._valued

    @property
    def not_valued(self) -> list[str]:
        """The balances that the account's value leaves out."""
        return [text for text in self.balances() if not self._is_valued(text)]

    def venue_orders(self) -> list[VenueOrder]:
        """Return the orders that the venue listed, and those the engine made up."""
        orders = sorted(self.cache.orders(), key=lambda order: order.ts_init)
        return [_as_listed(order) for order in orders]

    def _add_execution(self, builder: LiveNodeBuilder) -> None:
        factory, config = self._client
        builder.add_exec_client(None, factory, config)


def _as_listed(order: Any) -> VenueOrder:
    fills = [event for event in order.events() if type(event).__name__ == "OrderFilled"]
    price, venue_order_id = getattr(order, "price", None), order.venue_order_id
    return VenueOrder(
        order_id=str(order.client_order_id),
        venue_order_id=None if venue_order_id is None else str(venue_order_id),
        instrument=str(order.instrument_id),
        side=order.side.name,
        type=order.order_type.name,
        quantity=str(order.quantity),
        price=None if price is None else str(price),
        ending=order.status.name.lower() if order.is_closed else None,
        is_filled=order.status.name == "FILLED",
        is_made_up=MADE_UP in (order.tags or ()),
        fills=tuple(
            OrderFilled(
                order_id=str(fill.client_order_id),
                trade_id=str(fill.trade_id),
                instrument=str(fill.instrument_id),
                side=fill.order_side.name,
                quantity=str(fill.last_qty),
                price=str(fill.last_px),
                fee=None if fill.commission is None else str(fill.commission),
                liquidity=fill.liquidity_side.name,
                at=format_instant(fill.ts_event),
            )
            for fill in fills
            if fill.liquidity_side.name != "NO_LIQUIDITY_SIDE"
        ),
    )
