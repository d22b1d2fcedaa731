"""Checks of the venue: an account that the engine could not make, or data that it lacks."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.config.findings import Finding, check_names
from trading_runtime.config.messages import nearest
from trading_runtime.time_units import NANOSECONDS, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.config.experiment import Experiment

_BOOK_TYPES = {"order_book_deltas", "order_book_depths"}


def check_account(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """Account type, balances, base currency, leverage and limits go together."""
    venue = experiment.venue
    if venue.account_type == "cash":
        if venue.leverage != 1:
            yield Finding(
                ("venue", "leverage"),
                f"{venue.leverage} needs 'account_type: margin'; a cash account has none",
            )
        if venue.leverages:
            yield Finding(("venue", "leverages"), "need 'account_type: margin'", of_key=True)
    elif venue.allow_cash_borrowing:
        yield Finding(
            ("venue", "allow_cash_borrowing"), "goes with 'account_type: cash' only", of_key=True
        )
    currencies = [text.split(" ")[1] for text in venue.balances]
    yield from check_names(("venue", "balances"), currencies)
    if all(Decimal(text.split(" ")[0]) == 0 for text in venue.balances):
        yield Finding(("venue", "balances"), "at least one balance must be above zero")
    base = venue.base_currency
    if base is not None and currencies != [base]:
        yield Finding(
            ("venue", "base_currency"),
            f"with {base!r} the account has one balance, in {base}; found {', '.join(currencies)}",
        )
    if venue.bar_adaptive_high_low_ordering and not venue.bar_execution:
        yield Finding(
            ("venue", "bar_adaptive_high_low_ordering"), "needs 'bar_execution: true'", of_key=True
        )
    per = venue.order_rate_limit.per
    if parse_duration(per) % NANOSECONDS["s"]:
        yield Finding(
            ("venue", "order_rate_limit", "per"), f"{per!r} is not a number of whole seconds"
        )


def check_venue_and_data(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """Leverages and book fit the chosen data."""
    instruments = experiment.dataset.instruments
    for name in experiment.venue.leverages if instruments else ():
        if name not in (instruments or ()):
            yield Finding(
                ("venue", "leverages", name),
                "is not among dataset.instruments" + nearest(name, instruments or ()),
                of_key=True,
            )
    types = experiment.dataset.types
    book = experiment.venue.book_type
    if types and book != "L1_MBP" and not _BOOK_TYPES & set(types):
        yield Finding(
            ("venue", "book_type"),
            f"{book} needs order_book_deltas or order_book_depths in dataset.types",
        )


def check_currency(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """Statistics are stated in a currency of the account."""
    currencies = list(dict.fromkeys(text.split(" ")[1] for text in experiment.venue.balances))
    chosen = experiment.statistics.currency
    if chosen is None and len(currencies) > 1 and experiment.venue.base_currency is None:
        yield Finding(
            ("statistics", "currency"),
            f"is missing: with several balances, say which of {', '.join(currencies)} statistics "
            "are stated in",
        )
    if chosen is not None and chosen not in currencies:
        yield Finding(
            ("statistics", "currency"),
            f"{chosen!r} is not a currency of venue.balances ({', '.join(currencies)})",
        )
