"""Settings that data or instruments cannot support: refused with their place in the file.

What needs no dataset is checked when the file is read (``config.setting_checks``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.config.fees import TieredFees
from trading_runtime.config.messages import ConfigFinding, SettingsError, key_text
from trading_runtime.config.setting_checks import named_instruments
from trading_runtime.config.statistic_names import COUNTS_OF_FLOWS
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.planning.partitions import Series
    from trading_runtime.records.instruments import InstrumentDefinition


_LENGTHS = {"MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"}
_BOOKS = {"order_book_deltas", "order_book_depths"}
MARGIN_ONLY = {"CryptoFuture", "CryptoPerpetual", "FuturesContract", "PerpetualContract"}
"""Types of instruments that the engine refuses a cash account."""
_PAYING = {"Equity", "Cfd"}
"""Types of instruments that pay dividends."""


def refuse_unsupported(
    experiment: Experiment, manifest: Manifest, chosen: Sequence[Series]
) -> None:
    """Raise ``SettingsError`` for what the ``chosen`` series of a dataset cannot support."""
    fed = {series.instrument_id for series in chosen}
    instruments = {item.id: item for item in manifest.instruments if item.id in fed}
    findings = [
        *_cash_accounts(experiment, instruments),
        *_tiers(experiment, instruments),
        *_settlement(experiment, instruments),
        *_cash_flows(experiment, instruments),
        *_dividends(experiment, instruments),
        *_liquidation(experiment, instruments, chosen),
        *_bars_without_length(experiment, chosen),
    ]
    if findings:
        raise SettingsError(findings)


def main_venue(experiment: Experiment, instruments: Iterable[str]) -> str:
    """Return the name of the venue set by ``venue``, from the ids of all instruments.

    Raises ``UsageError`` unless it is the one that ``venues`` does not name.
    """
    names = {name.rpartition(".")[2] for name in instruments}
    unused = sorted(experiment.venues.keys() - names)
    if unused:
        raise SettingsError(
            [
                ConfigFinding(
                    ("venues", name),
                    f"no instrument of the dataset is traded there; they are of "
                    f"{', '.join(sorted(names))}",
                    of_key=True,
                )
                for name in unused
            ]
        )
    others = sorted(names - experiment.venues.keys())
    if not others:
        raise SettingsError(
            [
                ConfigFinding(
                    ("venue",),
                    f"is of no instrument, since 'venues' names all that they are of "
                    f"({', '.join(sorted(names))}); move the settings of one of them here",
                    of_key=True,
                )
            ]
        )
    if len(others) > 1:
        raise UsageError(
            f"dataset.instruments: these are of {len(names)} venues ({', '.join(sorted(names))}), "
            f"and settings are given for {len(experiment.venues) + 1}; name the instruments of "
            "one of them, or give the others settings and balances in 'venues'"
        )
    return others[0]


def _cash_accounts(
    experiment: Experiment, instruments: Mapping[str, InstrumentDefinition]
) -> Iterator[ConfigFinding]:
    """Futures and perpetuals are traded on margin."""
    for section, venue in experiment.venue_sections():
        names = [
            name
            for name, definition in sorted(instruments.items())
            if definition.type in MARGIN_ONLY and experiment.section_of(name) == section
        ]
        if names and venue.account_type == "cash":
            yield ConfigFinding(
                (*section, "account_type"),
                f"a cash account cannot trade futures and perpetuals ({', '.join(names)}); use "
                "'account_type: margin'",
            )


def _tiers(
    experiment: Experiment, instruments: Mapping[str, InstrumentDefinition]
) -> Iterator[ConfigFinding]:
    """Tiers count values in their currency, in which instruments must be traded."""
    schedules: list[tuple[tuple[str, ...], Any, Iterable[str]]] = []
    for section, venue in experiment.venue_sections():
        own = venue.fees_by_instrument
        others = [
            name
            for name in instruments
            if name not in own and experiment.section_of(name) == section
        ]
        schedules.append(((*section, "fees"), venue.fees, others))
        schedules += [
            ((*section, "fees_by_instrument", name), fees, {name} & instruments.keys())
            for name, fees in own.items()
        ]
    for keys, fees, names in schedules:
        if not isinstance(fees, TieredFees):
            continue
        counted = fees.tiers[0].from_value.split(" ")[1]
        for name in sorted(names):
            traded = instruments[name].traded_currency
            if traded != counted:
                yield ConfigFinding(
                    (*keys, "tiers", 0, "from_value"),
                    f"counts {counted}, and values of {name} are in {traded}; give tiers in "
                    f"{traded}, and other instruments fees in venue.fees_by_instrument",
                )


def _settlement(
    experiment: Experiment, instruments: Mapping[str, InstrumentDefinition]
) -> Iterator[ConfigFinding]:
    """Only contracts that expire have a settlement price; options take their underlying's."""
    stated = [
        ((*section, "settlement_prices", name), name, price)
        for section, venue in experiment.venue_sections()
        for name, price in venue.settlement_prices.items()
    ]
    for where, name, price in stated:
        definition = instruments.get(name)
        if definition is None:
            continue
        if definition.option_kind is not None:
            yield ConfigFinding(
                where,
                "is an option, which is settled by the price of what it is on; leave it out",
                of_key=True,
            )
        elif not definition.expiration_ns:
            yield ConfigFinding(where, "never expires; leave it out", of_key=True)
        elif -int(price.normalize().as_tuple().exponent) > definition.price_precision:
            yield ConfigFinding(
                where,
                f"{price}: prices of this instrument have at most "
                f"{definition.price_precision} decimal places",
            )


def _cash_flows(
    experiment: Experiment, instruments: Mapping[str, InstrumentDefinition]
) -> Iterator[ConfigFinding]:
    """Swap and dividends move a balance that the account has."""
    for section, venue in experiment.venue_sections():
        held = venue.currencies
        flows = [
            (keys, name)
            for keys, names in named_instruments(venue)
            if keys[0] in COUNTS_OF_FLOWS
            for name in names
        ]
        for keys, name in flows:
            if name not in instruments or venue.base_currency is not None:
                continue
            charged = instruments[name].traded_currency
            if charged not in held:
                yield ConfigFinding(
                    (*section, *keys, name),
                    f"is settled in {charged}, and {key_text((*section, 'balances'))} hold "
                    f"{', '.join(held)}; add a balance such as '0 {charged}'",
                    of_key=True,
                )


def _dividends(
    experiment: Experiment, instruments: Mapping[str, InstrumentDefinition]
) -> Iterator[ConfigFinding]:
    """Only shares, and contracts for differences on them, pay dividends."""
    for section, venue in experiment.venue_sections():
        for name in () if venue.dividends is None else venue.dividends.amounts:
            definition = instruments.get(name)
            if definition is not None and definition.type not in _PAYING:
                yield ConfigFinding(
                    (*section, "dividends", "amounts", name),
                    f"is a {definition.type}, which pays no dividends; leave it out",
                    of_key=True,
                )


def _liquidation(
    experiment: Experiment,
    instruments: Mapping[str, InstrumentDefinition],
    chosen: Sequence[Series],
) -> Iterator[ConfigFinding]:
    """The engine values positions by quotes alone, in balances alone, against their margin."""
    quoted = {series.instrument_id for series in chosen if series.type == "quotes"}
    # If no instrument has both, the engine makes quotes from books.
    books = {series.instrument_id for series in chosen if series.type in _BOOKS}
    quoted |= set() if books & quoted else books
    for section, venue in experiment.venue_sections():
        if venue.liquidation is None:
            continue
        held = venue.currencies
        mine = [name for name in sorted(instruments) if experiment.section_of(name) == section]
        without = {
            "no quotes are fed of {}, and the engine values positions for a liquidation by quotes "
            "alone; add quotes": [name for name in mine if name not in quoted],
            "no margin_maint is given for {}, so nothing there is ever liquidated; give it where "
            "the dataset is prepared": [
                name for name in mine if not instruments[name].margin_maint
            ],
            f"{{}} settle in a currency that {key_text((*section, 'balances'))} do not hold "
            f"({', '.join(held)}), and are never liquidated; add a balance in it": [
                name for name in mine if instruments[name].traded_currency not in held
            ],
        }
        for message, names in without.items():
            if names:
                yield ConfigFinding(
                    (*section, "liquidation"), message.format(", ".join(names)), of_key=True
                )


def _bars_without_length(
    experiment: Experiment, chosen: Sequence[Series]
) -> Iterator[ConfigFinding]:
    """The engine ends the process when it fills orders at bars of ticks, volume or value."""
    for section, venue in experiment.venue_sections():
        names = [
            series.identifier
            for series in chosen
            if series.type == "bars"
            and experiment.section_of(series.instrument_id) == section
            and series.identifier.split("-")[-3] not in _LENGTHS
        ]
        if names and venue.bar_execution:
            yield ConfigFinding(
                section,
                f"the engine cannot fill orders at bars without a fixed length "
                f"({', '.join(names)}); set 'bar_execution: false', and feed quotes or trades too",
                of_key=True,
            )
