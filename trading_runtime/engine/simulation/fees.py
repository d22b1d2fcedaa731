"""What fills cost: the engine's fee models, by instrument and in tiers of what was traded."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, Self

from nautilus_trader import execution
from nautilus_trader.model import InstrumentId

from trading_runtime.engine.accounting.liquidation import PREFIX
from trading_runtime.engine.instruments.currencies import money
from trading_runtime.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from nautilus_trader.model import Money

    from trading_runtime.records.inputs import FeeInputs, FeeTierInputs, VenueInputs


class _Fees(Protocol):
    def get_commission(self, order: Any, quantity: Any, price: Any, instrument: Any) -> Money: ...


def fee_model(venue: VenueInputs) -> Any:
    """Return the engine's fee model for a venue.

    The engine's own if it can distinguish instruments; else one in Python that uses them.
    """
    fees, by_instrument = venue.fees, venue.fees_by_instrument
    everywhere = (fees, *by_instrument.values())
    if venue.liquidation is not None and venue.liquidation.fee is not None:
        return FeesOfVenue(venue)
    if all(item.model in {"maker_taker", "none"} for item in everywhere):
        return execution.MakerTakerFeeModel(
            *_rates(fees),
            {InstrumentId.from_str(name): _rates(item) for name, item in by_instrument.items()}
            or None,
        )
    if not by_instrument and fees.model != "tiered":
        return _engine_model(fees)
    return FeesOfVenue(venue)


class FeesOfVenue(execution.FeeModel):
    """Fees by instrument, each by one of the engine's models or in tiers."""

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, venue: VenueInputs) -> None:
        super().__init__()
        self.now: Callable[[], int] = int
        """Returns the simulated time; set before the engine runs."""
        self._fees = self._model(venue.fees)
        penalty = None if venue.liquidation is None else venue.liquidation.fee
        self._liquidation = (
            None if penalty is None else execution.MakerTakerFeeModel(penalty, penalty)
        )
        self._by_instrument = {
            InstrumentId.from_str(name): self._model(item)
            for name, item in venue.fees_by_instrument.items()
        }

    def get_commission(self, order: Any, quantity: Any, price: Any, instrument: Any) -> Money:
        """Return what a fill of ``quantity`` at ``price`` costs."""
        if self._liquidation is not None and str(order.client_order_id).startswith(PREFIX):
            return self._liquidation.get_commission(order, quantity, price, instrument)
        fees = self._by_instrument.get(instrument.id, self._fees)
        return fees.get_commission(order, quantity, price, instrument)

    def _time(self) -> int:
        return self.now()

    def _model(self, fees: FeeInputs) -> _Fees:
        if fees.model == "tiered":
            return _Tiers(fees, self._time)
        model: _Fees = _engine_model(fees)
        return model


class _Tiers:
    """Rates that depend on the value that was traded before a fill."""

    def __init__(self, fees: FeeInputs, now: Callable[[], int]) -> None:
        self._now = now
        self._period = None if fees.period is None else parse_duration(fees.period)
        self._bounds = [Decimal(tier.from_value.split()[0]) for tier in fees.tiers]
        rates = [_rates(fees), *map(_rates, fees.tiers)]
        self._models = [execution.MakerTakerFeeModel(*each) for each in rates]
        self._traded = Decimal(0)
        self._fills: deque[tuple[int, Decimal]] = deque()

    def get_commission(self, order: Any, quantity: Any, price: Any, instrument: Any) -> Money:
        """Return the fee at the rates of the tier reached before this fill."""
        now = self._now()
        while self._fills and self._period is not None and self._fills[0][0] <= now - self._period:
            self._traded -= self._fills.popleft()[1]
        model = self._models[bisect_right(self._bounds, self._traded)]
        value = instrument.notional_value(quantity, price).as_decimal()
        self._traded += value
        if self._period is not None:
            self._fills.append((now, value))
        return model.get_commission(order, quantity, price, instrument)


def _engine_model(fees: FeeInputs) -> Any:
    if fees.amount is None:
        return execution.MakerTakerFeeModel(*_rates(fees))
    if fees.model == "fixed":
        return execution.FixedFeeModel(money(fees.amount), fees.once_per_order)
    return execution.PerContractFeeModel(money(fees.amount))


def _rates(fees: FeeInputs | FeeTierInputs) -> tuple[Decimal, Decimal]:
    """Return maker and taker rate; both are zero without fees."""
    return fees.maker, fees.taker
