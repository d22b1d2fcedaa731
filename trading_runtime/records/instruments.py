"""Instrument definitions as the engine states them, with the fields that are read here typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003 - read from the annotations of records
from typing import Any, Self

from trading_runtime.errors import DataError
from trading_runtime.records.forms import read_as


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentDefinition:
    """One instrument; what its type does not have is ``None``."""

    content: Mapping[str, Any]
    """The document that the others are read from: the engine's ``to_dict``, or only the id while
    the venue has not been asked. Digests are over it, and the engine checks it as a whole."""
    id: str
    type: str | None = None
    """The name of the engine's class."""
    price_precision: int = 0
    """Digits after the point."""
    base_currency: str | None = None
    quote_currency: str | None = None
    settlement_currency: str | None = None
    currency: str | None = None
    """The one currency of an instrument that is no pair."""
    multiplier: Decimal | None = None
    is_inverse: bool = False
    max_notional: str | None = None
    """An amount such as ``10 USDT``."""
    min_notional: str | None = None
    margin_init: Decimal | None = None
    margin_maint: Decimal | None = None
    option_kind: str | None = None
    underlying: str | None = None
    expiration_ns: int | None = None

    @classmethod
    def from_document(cls, content: object, place: str = "instrument") -> Self:
        """Return the definition that a document states.

        Raises ``ValueError`` naming the ``place`` that does not have the right form.
        """
        known = {**content, "content": content} if isinstance(content, Mapping) else content
        return read_as(cls, known, place)

    @property
    def venue(self) -> str:
        """The name of the venue."""
        return self.id.rpartition(".")[2]

    @property
    def currencies(self) -> list[str]:
        """The codes of all currencies in the definition."""
        named = (self.base_currency, self.quote_currency, self.settlement_currency, self.currency)
        return [code for code in named if code is not None]

    @property
    def traded_currency(self) -> str:
        """The currency in which the engine states the value of a trade.

        Raises ``DataError`` when there is none.
        """
        found = self.settlement_currency or self.quote_currency or self.currency
        if found is None:
            raise DataError(f"instrument {self.id!r}: is defined without the currency it trades in")
        return found
