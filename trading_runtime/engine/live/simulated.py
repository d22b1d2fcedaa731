"""The simulated venue and the data engine of a live node, from the settings of a backtest."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from nautilus_trader import model
from nautilus_trader.adapters.sandbox import SandboxExecutionClientConfig
from nautilus_trader.live import LiveDataEngineConfig

from trading_runtime.engine.instruments.currencies import currency, money
from trading_runtime.engine.live.time_bars import NEVER
from trading_runtime.engine.simulation.venue import check_amounts, matching
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.inputs import VenueInputs


def simulated_venue(
    venue: VenueInputs, name: str, seed: int, balances: Sequence[str]
) -> SandboxExecutionClientConfig:
    """Return the config of the venue ``name``, whose account starts with ``balances``.

    Raises ``UsageError`` when the engine refuses the settings.
    """
    try:
        check_amounts(venue)
        base = venue.base_currency
        return SandboxExecutionClientConfig(
            model.Venue(name),
            [money(text) for text in balances],
            base_currency=None if base is None else currency(base),
            oms_type=model.OmsType.from_str(venue.oms_type.upper()),
            account_type=model.AccountType.from_str(venue.account_type.upper()),
            default_leverage=venue.leverage,
            book_type=model.BookType.from_str(venue.book_type),
            **matching(venue, seed),
            use_random_ids=True,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"execution: the engine refuses these settings: {error}") from error


def data_engine(venue: VenueInputs, *, ends_bars: bool) -> LiveDataEngineConfig:
    """Return the config of the data engine, which makes bars as a backtest's does.

    Unless it ``ends_bars``, those of a length in time are made elsewhere, and it waits for none.
    """
    return LiveDataEngineConfig(
        time_bars_build_with_no_updates=not venue.skip_empty_bars,
        time_bars_build_delay=0 if ends_bars else NEVER,
    )


def rounded_balance(text: str) -> str:
    """Return an amount such as ``1.5 USD`` with the decimal places of its currency."""
    amount, _, code = text.partition(" ")
    places = Decimal(1).scaleb(-currency(code).precision)
    return f"{Decimal(amount).quantize(places):f} {code}"
