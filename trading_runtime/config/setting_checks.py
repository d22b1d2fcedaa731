"""Checks of settings that are valid on their own but do not go together."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.config.experiment import PartitionUnit
from trading_runtime.config.fees import TieredFees
from trading_runtime.config.messages import (
    ConfigFinding,
    check_names,
    check_path,
    check_place,
    check_values,
    nearest,
    show,
)
from trading_runtime.config.places import PathError, resolve_place
from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.units import DAY, NANOSECONDS, parse_duration, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.fees import Fees
    from trading_runtime.config.venue import VenueSettings


_LONGEST = {  # a hundred years: later dates cannot be represented
    PartitionUnit.HOUR: 876_600,
    PartitionUnit.DAY: 36_525,
    PartitionUnit.WEEK: 5_218,
    PartitionUnit.MONTH: 1_200,
}


def check_dataset(experiment: Experiment, folder: Path) -> Iterator[ConfigFinding]:
    """The dataset's folder, instruments and types can be used as written."""
    yield from check_place(("dataset", "path"), experiment.dataset.path, folder)
    for key in ("instruments", "types"):
        yield from check_names(("dataset", key), getattr(experiment.dataset, key))


def check_results(experiment: Experiment, folder: Path) -> Iterator[ConfigFinding]:
    """The results' folder can be used as written."""
    yield from check_place(("results",), experiment.results, folder)


def check_two_folders(experiment: Experiment, folder: Path) -> Iterator[ConfigFinding]:
    """Results are never stored among the data."""
    try:
        dataset = resolve_place(experiment.dataset.path, folder)
        results = resolve_place(experiment.results, folder)
    except PathError:
        return
    if f"{results}/".startswith(f"{dataset}/"):
        yield ConfigFinding(
            ("results",), f"{experiment.results!r} is in the dataset's folder; choose another"
        )


def check_strategy(experiment: Experiment, folder: Path) -> Iterator[ConfigFinding]:
    """The files that a strategy names exist, and its fixed values can be given to it exactly."""
    strategy = experiment.strategy
    for key, text in (("path", strategy.path), ("config_path", strategy.config_path)):
        where = (text or "").partition(":")[0]
        if where.endswith(".py"):
            yield from check_path(("strategy", key), where, folder, exists="file")
    for index, text in enumerate(strategy.code):
        yield from check_path(("strategy", "code", index), text, folder, exists="file or folder")
    if strategy.path.startswith("builtin:") and strategy.config_path is not None:
        yield ConfigFinding(
            ("strategy", "config_path"), "a builtin strategy has its own config class; leave it out"
        )
    if (strategy.config_path or "").startswith("builtin:"):
        yield ConfigFinding(
            ("strategy", "config_path"), "a config class is Python: write 'package.module:Class'"
        )
    yield from check_values(("strategy", "config"), strategy.config)
    yield from check_names(("strategy", "requirements"), strategy.requirements)


def check_builtin_warmup(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A strategy in Rust cannot be guarded, so it has no warm-up."""
    if experiment.strategy.path.startswith("builtin:") and experiment.partitions.warmup:
        yield ConfigFinding(
            ("partitions", "warmup"),
            "a builtin strategy cannot be kept from trading in a warm-up; leave it out",
        )


def check_partitions(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Unit, count, length, start and end go together."""
    settings = experiment.partitions
    unit = settings.by
    if unit is PartitionUnit.DURATION and settings.length is None:
        yield ConfigFinding(
            ("partitions", "by"), "'duration' needs the key 'length' beside it, such as \"10s\""
        )
    if unit is not PartitionUnit.DURATION and settings.length is not None:
        yield ConfigFinding(("partitions", "length"), "goes with 'by: duration' only", of_key=True)
    if unit in {PartitionUnit.WHOLE, PartitionUnit.DURATION} and settings.count != 1:
        yield ConfigFinding(
            ("partitions", "count"),
            f"does not go with 'by: {unit}'; it counts hours, days, weeks, months, rows or bytes",
            of_key=True,
        )
    if unit in {PartitionUnit.ROWS, PartitionUnit.BYTES} and (
        "count" not in settings.model_fields_set
    ):
        yield ConfigFinding(
            ("partitions", "by"), f"{unit.value!r} needs the key 'count' beside it: how many {unit}"
        )
    if settings.last is not None and settings.start is not None:
        yield ConfigFinding(
            ("partitions", "last"),
            "does not go with 'start': each says where to begin",
            of_key=True,
        )
    if settings.last is not None and unit in {PartitionUnit.ROWS, PartitionUnit.BYTES}:
        yield ConfigFinding(
            ("partitions", "last"),
            f"does not go with 'by: {unit}', whose windows are counted from the first row",
            of_key=True,
        )
    longest = _LONGEST.get(unit)
    if longest is not None and settings.count > longest:
        yield ConfigFinding(
            ("partitions", "count"), f"must be at most {longest} with 'by: {unit}' (100 years)"
        )
    if (
        settings.start
        and settings.end
        and parse_instant(settings.end) <= parse_instant(settings.start)
    ):
        yield ConfigFinding(
            ("partitions", "end"), f"{settings.end!r} is not after start {settings.start!r}"
        )


def check_equity(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """The sampling interval divides a day."""
    interval = experiment.equity.interval
    if DAY % parse_duration(interval):
        yield ConfigFinding(
            ("equity", "interval"),
            f"{interval!r} does not divide a day; take one such as '1m', '15m', '1h' or '1d'",
        )


def check_objective(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Metrics are statistics of a point, each named once."""
    further = experiment.further_objectives
    named: list[tuple[tuple[str | int, ...], str]] = [
        (("objective", "metric"), experiment.objective.metric),
        *(
            (("further_objectives", number, "metric"), each.metric)
            for number, each in enumerate(further)
        ),
    ]
    for place, (keys, metric) in enumerate(named):
        if metric not in POINT_STATISTICS:
            hint = nearest(metric, POINT_STATISTICS) or f"; known are {', '.join(POINT_STATISTICS)}"
            yield ConfigFinding(keys, f"{show(metric)} is not a statistic{hint}")
        elif metric in (other for _, other in named[:place]):
            yield ConfigFinding(keys, f"{show(metric)} is an objective already")


_BOOK_TYPES = {"order_book_deltas", "order_book_depths"}


def named_instruments(venue: VenueSettings) -> Iterator[tuple[tuple[str, ...], Iterable[str]]]:
    """Yield the keys of a venue below which settings are given by instrument id, and those ids."""
    for key in ("leverages", "fees_by_instrument", "settlement_prices"):
        yield (key,), getattr(venue, key)
    if venue.swap is not None:
        yield ("swap", "rates"), venue.swap.rates
    if venue.dividends is not None:
        yield ("dividends", "amounts"), venue.dividends.amounts


def check_venues(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """What applies to all venues is set once, and an account belongs to no single instrument."""
    main = experiment.venue
    for name, venue in experiment.venues.items():
        for key in ("order_rate_limit", "skip_empty_bars"):
            if key in venue.model_fields_set:
                yield ConfigFinding(
                    ("venues", name, key), "is one for all venues; set it in 'venue'", of_key=True
                )
        if venue.bar_execution != main.bar_execution:
            yield ConfigFinding(
                ("venues", name),
                f"'bar_execution' must be as in 'venue' ({str(main.bar_execution).lower()}), since "
                "rows of all venues are fed in one order",
                of_key=True,
            )
    if experiment.venues and experiment.partitions.instruments == "each":
        yield ConfigFinding(
            ("partitions", "instruments"),
            "'each' does not go with 'venues': a task of one instrument trades at one venue",
        )


def check_account(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Account type, balances, base currency, leverage and limits go together."""
    for keys, venue in experiment.venue_sections():
        for finding in _account(venue):
            yield ConfigFinding((*keys, *finding.keys), finding.message, of_key=finding.of_key)


def _account(venue: VenueSettings) -> Iterator[ConfigFinding]:
    if venue.account_type == "cash":
        if venue.leverage != 1:
            yield ConfigFinding(
                ("leverage",),
                f"{venue.leverage} needs 'account_type: margin'; a cash account has none",
            )
        for key, verb in (
            ("leverages", "need"),
            ("margin_model", "needs"),
            ("liquidation", "needs"),
        ):
            if getattr(venue, key):
                yield ConfigFinding((key,), f"{verb} 'account_type: margin'", of_key=True)
    elif venue.allow_cash_borrowing:
        yield ConfigFinding(
            ("allow_cash_borrowing",), "goes with 'account_type: cash' only", of_key=True
        )
    currencies = venue.currencies
    yield from check_names(("balances",), currencies)
    if all(Decimal(text.split(" ")[0]) == 0 for text in venue.balances):
        yield ConfigFinding(("balances",), "at least one balance must be above zero")
    base = venue.base_currency
    if base is not None and currencies != [base]:
        yield ConfigFinding(
            ("base_currency",),
            f"with {base!r} the account has one balance, in {base}; found {', '.join(currencies)}",
        )
    if venue.bar_adaptive_high_low_ordering and not venue.bar_execution:
        yield ConfigFinding(
            ("bar_adaptive_high_low_ordering",), "needs 'bar_execution: true'", of_key=True
        )
    per = venue.order_rate_limit.per
    if parse_duration(per) % NANOSECONDS["s"]:
        yield ConfigFinding(
            ("order_rate_limit", "per"), f"{per!r} is not a number of whole seconds"
        )


def check_fees(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Tiers of fees rise, and count in one currency."""
    schedules: list[tuple[tuple[str | int, ...], Fees]] = []
    for section, venue in experiment.venue_sections():
        schedules.append(((*section, "fees"), venue.fees))
        schedules += [
            ((*section, "fees_by_instrument", name), fees)
            for name, fees in venue.fees_by_instrument.items()
        ]
    for keys, fees in schedules:
        if not isinstance(fees, TieredFees):
            continue
        amounts = [tier.from_value.split(" ") for tier in fees.tiers]
        for index, (value, code) in enumerate(amounts):
            where = (*keys, "tiers", index, "from_value")
            if code != amounts[0][1]:
                yield ConfigFinding(where, f"is in {code}, and the first tier in {amounts[0][1]}")
            elif Decimal(value) <= (Decimal(amounts[index - 1][0]) if index else 0):
                below = "the tier before" if index else "0, from where 'maker' and 'taker' hold"
                yield ConfigFinding(where, f"must be above {below}; found {value}")


def check_venue_and_data(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Settings by instrument and the book fit the chosen data and belong to their own venue."""
    chosen = experiment.dataset.instruments
    types = experiment.dataset.types
    for section, venue in experiment.venue_sections():
        for keys, names in named_instruments(venue):
            for name in names:
                if experiment.section_of(name) != section:
                    message = "is an instrument of another venue; move it to the settings of that"
                elif chosen and name not in chosen:
                    message = "is not among dataset.instruments" + nearest(name, chosen)
                else:
                    continue
                yield ConfigFinding((*section, *keys, name), message, of_key=True)
        book = venue.book_type
        if types and book != "L1_MBP" and not _BOOK_TYPES & set(types):
            yield ConfigFinding(
                (*section, "book_type"),
                f"{book} needs order_book_deltas or order_book_depths in dataset.types",
            )


def check_currency(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """Statistics are stated in a currency of the account."""
    currencies = list(
        dict.fromkeys(
            currency for _, venue in experiment.venue_sections() for currency in venue.currencies
        )
    )
    chosen = experiment.statistics.currency
    base = None if experiment.venues else experiment.venue.base_currency
    if chosen is None and len(currencies) > 1 and base is None:
        yield ConfigFinding(
            ("statistics", "currency"),
            f"is missing: with several balances, say which of {', '.join(currencies)} statistics "
            "are stated in",
        )
    if chosen is not None and chosen not in currencies:
        yield ConfigFinding(
            ("statistics", "currency"),
            f"{chosen!r} is not a currency of venue.balances ({', '.join(currencies)})",
        )


def check_risk(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A risk profile limits something, for instruments that exist."""
    risk = experiment.risk
    if risk is None:
        return
    if not any(value for _, value in risk):
        yield ConfigFinding(("risk",), "limits nothing; name a limit, or leave the section out")
    for name, limits in risk.instruments.items():
        if not any(value for _, value in limits):
            yield ConfigFinding(("risk", "instruments", name), "limits nothing", of_key=True)
        known = experiment.dataset.instruments
        if known and name not in known:
            yield ConfigFinding(
                ("risk", "instruments", name),
                "is not among dataset.instruments" + nearest(name, known),
                of_key=True,
            )


def check_queue(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A queue lets requests wait, and is in the path of the strategy's orders."""
    queue = experiment.queue
    if queue is None:
        return
    if not parse_duration(queue.max_wait):
        yield ConfigFinding(
            ("queue", "max_wait"), "is 0: nothing would wait; leave the 'queue' section out"
        )
    if experiment.strategy.path.startswith("builtin:"):
        yield ConfigFinding(
            ("queue",),
            "a builtin strategy runs inside the engine, where its orders cannot wait; leave the "
            "section out, or use a strategy written in Python",
        )


def check_builtin_risk(experiment: Experiment, _: Path) -> Iterator[ConfigFinding]:
    """A strategy in Rust cannot be guarded, so its orders cannot be limited."""
    if experiment.risk is not None and experiment.strategy.path.startswith("builtin:"):
        yield ConfigFinding(
            ("risk",),
            "a builtin strategy runs inside the engine, where its orders cannot be held to these "
            "limits; leave the section out, or use a strategy written in Python",
        )
