"""Contracts that expire at a stated price: the engine receives it as the venue's closing price.

Without one, the engine closes positions at the last price when a contract expires. Either way it
charges the fee of a fill that takes liquidity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nautilus_trader.model import InstrumentClose, InstrumentCloseType, InstrumentId, Price
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.engine.instruments.definitions import build_instruments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal
    from pathlib import Path

    from trading_runtime.records.inputs import TaskInputs
    from trading_runtime.records.instruments import InstrumentDefinition


def stated_closes(inputs: TaskInputs) -> list[InstrumentClose]:
    """Return the closing price, if there is one, of each contract that expires while a task runs.

    An expiry exactly at the window's end is included: positions are settled there.
    """
    partition = inputs.partition
    prices: dict[str, Decimal] = {}
    for venue in inputs.common.all_venues.values():
        prices |= venue.settlement_prices
    return [
        InstrumentClose(
            InstrumentId.from_str(item.id),
            Price.from_decimal_dp(prices[item.id], item.price_precision),
            InstrumentCloseType.CONTRACT_EXPIRED,
            item.expiration_ns,
            item.expiration_ns,
        )
        for item in partition.instruments
        if item.id in prices
        and item.expiration_ns is not None
        and partition.warmup_start <= item.expiration_ns <= partition.end
    ]


def write_closes(
    folder: Path, closes: Sequence[InstrumentClose], definitions: Sequence[InstrumentDefinition]
) -> None:
    """Write closing prices, with their instruments, into a separate catalog in ``folder``."""
    catalog = ParquetDataCatalog(str(folder))
    names = {str(close.instrument_id) for close in closes}
    catalog.write_instruments(build_instruments([item for item in definitions if item.id in names]))
    for close in closes:
        catalog.write_instrument_closes([close])
