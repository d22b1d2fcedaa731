"""A node whose orders go to a venue, by one of the engine's adapters."""

from __future__ import annotations

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
from trading_runtime.engine.live.node import NO_RATE, TRADER, PaperNode
from trading_runtime.engine.simulation.engine_log import logger_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nautilus_trader.live import LiveNodeBuilder

    from trading_runtime.engine.live.arriving import ArrivingData
    from trading_runtime.engine.live.reporting import Listener
    from trading_runtime.engine.strategy.loading import LoadedStrategy

_CHECK_SECONDS = 2.0
_CONNECT_SECONDS = 20
_RECONCILE_SECONDS = 20
_DISCONNECT_SECONDS = 5


class VenueNode(PaperNode):
    """A live node that reconciles with a venue, and one strategy that claims what is there."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a node is made of
        self,
        inputs: Mapping[str, Any],
        loaded: LoadedStrategy,
        data: ArrivingData,
        listener: Listener,
        execution: Mapping[str, Any],
        saved: Mapping[str, bytes] | None = None,
    ) -> None:
        """``execution`` is the JSON form of ``AdapterExecution``; raises as ``PaperNode`` does."""
        self._execution = execution
        self._client = adapter_client(
            "execution", execution["adapter"], execution["environment"], execution["config"]
        )
        balances: Sequence[str] = inputs["common"]["venue"]["balances"]
        super().__init__(inputs, loaded, data, listener, balances, saved)
        claimed = [model.InstrumentId.from_str(name) for name in data.names]
        self.strategy.set_external_order_instrument_ids(claimed)

    def _new_builder(self) -> LiveNodeBuilder:
        lookback = self._execution["lookback"]
        return (
            LiveNode.builder(self._common["venue_name"], TRADER, Environment.LIVE)
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
                    open_check_interval_secs=_CHECK_SECONDS,
                    position_check_interval_secs=_CHECK_SECONDS,
                    # An order without the venue's word is neither failed nor done.
                    submission_recovery_policy=SubmissionRecoveryPolicy.RETAIN_UNRESOLVED,
                )
            )
            .with_risk_engine_config(
                LiveRiskEngineConfig(max_order_submit_rate=NO_RATE, max_order_modify_rate=NO_RATE)
            )
        )

    def _add_execution(self, builder: LiveNodeBuilder) -> None:
        factory, config = self._client
        builder.add_exec_client(None, factory, config)
