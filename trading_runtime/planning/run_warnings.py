"""Warnings of a run: a setup that is accepted, but gives results that mean little.

``make_plan`` finds them once. The plan, the terminal, ``result.json`` and the report show them.
They are not part of a task's identity.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.config.experiment import CombinatorialPurged
from trading_runtime.config.fees import MakerTakerFees, TieredFees
from trading_runtime.config.messages import key_text, nearest
from trading_runtime.config.setting_checks import named_instruments
from trading_runtime.datasets.bar_lengths import bar_length
from trading_runtime.datasets.manifest_entries import stated_sizes
from trading_runtime.planning.partitions import Spans
from trading_runtime.planning.points import drawn_by
from trading_runtime.planning.unsupported import MARGIN_ONLY
from trading_runtime.records.run_warnings import RunWarning, WarningKind
from trading_runtime.units import DAY, format_instant, parse_duration, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.fees import Fees
    from trading_runtime.config.venue import VenueSettings
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.planning.partitions import Series
    from trading_runtime.planning.points import PointList

_MOST_NAMES = 5
_INSTRUMENT = re.compile(r"[^\s,;@]+\.[^\s,;.@]+")
_BARS = re.compile(
    r"(?<![^\s,;@])(?P<instrument>[^\s,;@]+?\.[^\s,;.@-]+)"
    r"-(?P<length>[0-9]+-[A-Z_]+)-(?P<price>[A-Z]+)"
    r"-(?P<source>EXTERNAL|INTERNAL)(?:@(?P<built_from>[0-9]+-[A-Z_]+)-(?P<its>EXTERNAL|INTERNAL))?"
)
_BOOKS = ("order_book_deltas", "order_book_depths")
_BUILT_FROM = {"LAST": ("trades",), "MARK": ("mark_prices",)}
"""Types of data that the engine builds bars from, by price; other prices are built from quotes."""
_LONGEST = 10**21
"""Used for bars that are not cut by time."""
_LONG_WEEKEND = 5 * DAY
_HIGH_RATE = Decimal("0.01")
"""No venue charges more than a hundredth of the value, for a trade or for a day."""


def point_warnings(experiment: Experiment, points: PointList) -> list[RunWarning]:
    """Return the warnings about the points of an experiment, which need no dataset."""
    key = drawn_by(experiment)
    return [RunWarning(WarningKind.FEWER_POINTS, note, key) for note in points.notes]


def embargo_warnings(
    experiment: Experiment, windows: Sequence[tuple[int, int]]
) -> list[RunWarning]:
    """Return the warning about windows that warm up on a test and are trained on.

    ``windows`` are start and end of all, in order of time.
    """
    asked, warmup = experiment.validation, experiment.partitions.warmup
    if not isinstance(asked, CombinatorialPurged) or warmup is None:
        return []
    size, reach = len(windows) // asked.n_folds, parse_duration(warmup)
    ends = [size * number for number in range(1, asked.n_folds)] if size else []

    def is_apart(gap: int) -> bool:
        return all(
            windows[end + gap][0] - windows[end - 1][1] >= reach
            for end in ends
            if end + gap < len(windows)
        )

    gap = asked.purged_size + asked.embargo_size
    if is_apart(gap):
        return []
    least = next(filter(is_apart, itertools.count(gap)))
    return [
        RunWarning(
            WarningKind.SHORT_EMBARGO,
            f"after a test, windows are trained on whose warm-up of {warmup} has rows of the test; "
            f"set it to {least - asked.purged_size} or more",
            "validation.embargo_size",
        )
    ]


def find_warnings(
    experiment: Experiment, manifest: Manifest, chosen: Sequence[Series], points: PointList
) -> list[RunWarning]:
    """Return the warnings about an experiment over the ``chosen`` series of a dataset."""
    found = point_warnings(experiment, points)
    found += _margin(experiment, manifest, chosen)
    fed = _Fed(experiment, manifest, chosen)
    seen = set()
    for where, name, text in _texts(experiment, points):
        if (where, text) not in seen:
            seen.add((where, text))
            found += fed.check(where, name, text)
    if experiment.risk is not None:
        found += fed.check_keys("risk.instruments", experiment.risk.instruments)
    for section, venue in experiment.venue_sections():
        for keys, names in named_instruments(venue):
            found += fed.check_keys(key_text((*section, *keys)), names)
    found += _never_filled(experiment, chosen)
    found += _never_settled(manifest, chosen)
    found += _day_closes(manifest, chosen)
    found += _stated_sizes(manifest, chosen)
    found += _outside(experiment, chosen)
    found += _idle_dividends(experiment, chosen)
    found += _high_rates(experiment)
    return found


def default_warnings(
    experiment: Experiment,
    manifest: Manifest,
    chosen: Sequence[Series],
    defaults: Mapping[str, Sequence[str]],
) -> list[RunWarning]:
    """Return the warnings about default values of the strategy's config.

    ``defaults`` has their texts by field.
    """
    fed = _Fed(experiment, manifest, chosen)
    return [
        warning
        for name, texts in defaults.items()
        for text in texts
        for warning in fed.check(f"strategy.config.{name} (its default)", name, text)
    ]


def no_orders(tasks: int) -> RunWarning:
    """Return the warning about a run whose ``tasks`` have not sent a single order."""
    of = "the only task" if tasks == 1 else f"any of {tasks:,} tasks"
    return RunWarning(
        WarningKind.NO_ORDERS,
        f"the strategy sent no order in {of}: the results say nothing about it; check its "
        "conditions, and that it subscribes to data that the dataset holds",
        "results",
    )


def no_fills(orders: int) -> RunWarning:
    """Return the warning about a run that has sent ``orders`` orders, of which none was filled."""
    what = (
        "the only order was not filled" if orders == 1 else f"none of {orders:,} orders was filled"
    )
    return RunWarning(
        WarningKind.NO_FILLS,
        f"{what}: the results say nothing about the strategy; look at what was denied and "
        "rejected, and at the prices of its orders",
        "results",
    )


def _margin(
    experiment: Experiment, manifest: Manifest, chosen: Sequence[Series]
) -> Iterator[RunWarning]:
    traded = {series.instrument_id for series in chosen}
    types = {item.id: item.type for item in manifest.instruments}
    free_of_margin = sorted(
        item.id for item in manifest.instruments if item.id in traded and not item.margin_init
    )
    for section, venue in experiment.venue_sections():
        free = [
            name
            for name in free_of_margin
            if section == experiment.section_of(name) and venue.account_type == "margin"
        ]
        if not free:
            continue
        in_cash = not MARGIN_ONLY & {types[name] for name in free}
        yield RunWarning(
            WarningKind.NO_MARGIN,
            f"no margin_init is given for {_names(free)}, so a position there takes no margin and "
            "the account carries orders of any size; give margin_init where the dataset is "
            f"prepared{", or use 'account_type: cash'" if in_cash else ''}",
            key_text((*section, "account_type")),
        )


def _never_filled(experiment: Experiment, chosen: Sequence[Series]) -> Iterator[RunWarning]:
    """Warn of instruments whose data give the simulated venue no market to trade at."""
    types: dict[str, set[str]] = defaultdict(set)
    bars: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for series in chosen:
        types[series.instrument_id].add(series.type)
        found = _BARS.fullmatch(series.identifier) if series.type == "bars" else None
        if found is not None:
            known = bar_length(f"{found['length']}-{found['price']}", "UTC")
            length = _LONGEST if known is None else known.shortest
            bars[series.instrument_id][length].add(found["price"])
    for name in sorted(types):
        if types[name] & {"trades", "quotes", *_BOOKS} or "bars" not in types[name]:
            continue
        why = _why_without_market(bars[name], executes=experiment.venue.bar_execution)
        if why:
            yield RunWarning(WarningKind.NEVER_FILLS, f"{name}: {why}", "dataset")


def _why_without_market(lengths: Mapping[int, set[str]], *, executes: bool) -> str | None:
    if not executes:
        return (
            "orders are never filled, since 'venue.bar_execution' is off and bars are its only "
            "data; switch it on, or add quotes or trades"
        )
    # The engine trades only at the shortest bars.
    prices = lengths[min(lengths)] if lengths else {"LAST"}
    if "LAST" in prices or {"BID", "ASK"} <= prices:
        return None
    if "MID" in prices:
        return (
            "market orders are denied, since its shortest bars are of the middle price alone; add "
            "bars of BID and ASK, or of LAST"
        )
    (kind,) = prices if len(prices) == 1 else ("MARK",)
    return (
        f"orders are never filled, since its shortest bars are of {kind} alone; add bars of the "
        "same length of BID and ASK, or of LAST"
    )


def _never_settled(manifest: Manifest, chosen: Sequence[Series]) -> Iterator[RunWarning]:
    """Warn of options that expire within the data, and whose underlying has no price then."""
    priced = {
        series.instrument_id.rpartition(".")[0]
        for series in chosen
        if series.type in {"trades", "quotes", *_BOOKS}
    }
    last = max((series.last for series in chosen), default=0)
    traded = {series.instrument_id for series in chosen}
    options = sorted(
        item.id
        for item in manifest.instruments
        if item.id in traded
        and item.option_kind
        and (item.expiration_ns or 0) <= last
        and item.underlying not in priced
    )
    if options:
        yield RunWarning(
            WarningKind.NOT_SETTLED,
            f"{_names(options)} expire{'s' * (len(options) == 1)} within the data, and the engine "
            "settles an option by quotes or trades of its underlying alone: a task that holds one "
            "then fails; add quotes or trades of the underlying, or close positions before",
            "dataset",
        )


def _day_closes(manifest: Manifest, chosen: Sequence[Series]) -> Iterator[RunWarning]:
    """Warn of daily closes that may be the days' dates: 00:00, with ``timestamp_marks: close``.

    That is right for a market that trades every day, which no file states.
    """
    closes = {
        item.get("identifier")
        for item in manifest.source.get("series", ())
        if item.get("settings", {}).get("timestamp_marks") == "close"
    }
    doubtful = sorted(
        series.identifier
        for series in chosen
        if series.identifier in closes
        and "-1-DAY-" in series.identifier
        and all(at % DAY == 0 for at in Spans(series).bounds)
    )
    if doubtful:
        yield RunWarning(
            WarningKind.DAY_CLOSES,
            f"{_names(doubtful)}: prepared with 'timestamp_marks: close', and all closes are at "
            "00:00 UTC; if these are the dates of the days, each bar is seen as its day begins: "
            "prepare with 'timestamp_marks: open'",
            "dataset",
        )


def _stated_sizes(manifest: Manifest, chosen: Sequence[Series]) -> Iterator[RunWarning]:
    """Warn of volumes and sizes that the settings state for all rows, since the files have none."""
    stated = {
        (settings["type"], item.get("identifier")): found
        for item in manifest.source.get("series", ())
        if (found := stated_sizes(settings := item.get("settings", {})))
    }
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for series in chosen if stated else ():
        for name, value in stated.get((series.type, series.identifier), {}).items():
            named[name, value].append(series.identifier)
    for (name, value), identifiers in named.items():
        yield RunWarning(
            WarningKind.STATED_SIZE,
            f"{_names(sorted(identifiers))}: the raw files have no {name}s, and "
            f"{Decimal(value):,} stands for each; how much of an order is filled, and whatever a "
            f"strategy makes of the {name}, follows from that number",
            "dataset",
        )


def _outside(experiment: Experiment, chosen: Sequence[Series]) -> Iterator[RunWarning]:
    """Warn of a start long before the first row, and of an end long after the last."""
    first = min((series.first for series in chosen), default=0)
    last = max((series.last for series in chosen), default=0)
    asked = experiment.partitions
    for key, text, edge, words in (
        ("start", asked.start, first, "begin only"),
        ("end", asked.end, last, "end already"),
    ):
        if text is None:
            continue
        distance = edge - parse_instant(text) if key == "start" else parse_instant(text) - edge
        if distance > _LONG_WEEKEND:
            yield RunWarning(
                WarningKind.OUTSIDE_THE_DATA,
                f"{text} is asked for, but the data {words} at {format_instant(edge)}: "
                f"{distance // DAY:,} days of it have none",
                f"partitions.{key}",
            )


def _idle_dividends(experiment: Experiment, chosen: Sequence[Series]) -> Iterator[RunWarning]:
    """Warn of a share that has no ex-date within its rows."""
    for section, venue in experiment.venue_sections():
        for name, amounts in () if venue.dividends is None else venue.dividends.amounts.items():
            mine = [series for series in chosen if series.instrument_id == name]
            if not mine:
                continue
            first, last = min(each.first for each in mine), max(each.last for each in mine)
            if not any(first <= parse_instant(day) < last for day in amounts):
                yield RunWarning(
                    WarningKind.OUTSIDE_THE_DATA,
                    f"no ex-date is within the rows of {name}, {format_instant(first)} to "
                    f"{format_instant(last)}: its dividends are never paid",
                    key_text((*section, "dividends", "amounts", name)),
                )


def _high_rates(experiment: Experiment) -> Iterator[RunWarning]:
    """Warn of rates so high that a percentage may be meant."""
    for section, venue in experiment.venue_sections():
        for keys, rate in _rates(venue):
            if abs(rate) > _HIGH_RATE:
                yield RunWarning(
                    WarningKind.HIGH_RATE,
                    f"{rate} is {rate * 100:f}% of the value; if {rate:f}% is meant, write "
                    f"{rate / 100:f}",
                    key_text((*section, *keys)),
                )


def _rates(venue: VenueSettings) -> Iterator[tuple[tuple[str | int, ...], Decimal]]:
    """Yield the rates of a venue for trades and for days, each with its keys."""
    named: list[tuple[tuple[str, ...], Fees]] = [(("fees",), venue.fees)]
    named += [
        (("fees_by_instrument", name), each) for name, each in venue.fees_by_instrument.items()
    ]
    for keys, fees in named:
        if isinstance(fees, MakerTakerFees | TieredFees):
            yield (*keys, "maker"), fees.maker
            yield (*keys, "taker"), fees.taker
        for number, tier in enumerate(fees.tiers if isinstance(fees, TieredFees) else ()):
            yield (*keys, "tiers", number, "maker"), tier.maker
            yield (*keys, "tiers", number, "taker"), tier.taker
    if venue.swap is not None and venue.swap.per == "day":
        for name, held in venue.swap.rates.items():
            yield ("swap", "rates", name, "long"), held.long
            yield ("swap", "rates", name, "short"), held.short


class _Fed:
    """What the tasks of an experiment are fed with."""

    def __init__(
        self, experiment: Experiment, manifest: Manifest, chosen: Sequence[Series]
    ) -> None:
        self._types: dict[str, set[str]] = defaultdict(set)
        self._bars = set()
        for series in chosen:
            self._types[series.instrument_id].add(series.type)
            if series.type == "bars":
                self._bars.add(series.identifier)
        self._venues = {item.venue for item in manifest.instruments}
        self._each = experiment.partitions.instruments == "each"

    def check(self, where: str, name: str, text: str) -> Iterator[RunWarning]:
        """Check a text that the strategy gets as, or inside, its config field ``name``."""
        bars = list(_BARS.finditer(text))
        for match in bars:
            yield from self._check_bars(where, match)
        if bars or not _INSTRUMENT.fullmatch(text):
            return
        if text.rpartition(".")[2] in self._venues or "instrument" in name:
            yield from self._check_instrument(where, text)

    def check_keys(self, where: str, names: Iterable[str]) -> Iterator[RunWarning]:
        """Check the instruments for which a section of the experiment has settings."""
        for name in names:
            if name not in self._types:
                yield RunWarning(
                    WarningKind.INSTRUMENT_NOT_FED,
                    f"{name} is not fed, so what is set for it has no effect{self._hint(name)}",
                    where,
                )

    def _check_instrument(self, where: str, name: str) -> Iterator[RunWarning]:
        if name not in self._types:
            yield RunWarning(
                WarningKind.INSTRUMENT_NOT_FED,
                f"the strategy is given {name}, and no data of it is fed{self._hint(name)}",
                where,
            )
        elif self._each and len(self._types) > 1:
            yield RunWarning(
                WarningKind.INSTRUMENT_NOT_FED,
                f"the strategy is given {name}, which is fed to its own tasks alone: with "
                "'partitions.instruments: each' those of other instruments never see it",
                where,
            )

    def _check_bars(self, where: str, match: re.Match[str]) -> Iterator[RunWarning]:
        instrument, price = match["instrument"], match["price"]
        if instrument not in self._types:
            yield from self._check_instrument(where, instrument)
            return
        length, source = match["length"], match["source"]
        if match["built_from"]:
            length, source = match["built_from"], match["its"]
        bars = f"{instrument}-{length}-{price}-EXTERNAL"
        built_from = _BUILT_FROM.get(price, ("quotes", *_BOOKS))
        if source == "EXTERNAL" and bars not in self._bars:
            of_it = sorted(item for item in self._bars if item.startswith(f"{instrument}-"))
            yield RunWarning(
                WarningKind.BARS_NOT_FED,
                f"the strategy is given {match[0]}, and no bars {bars} are fed; "
                + (f"fed are {_names(of_it)}" if of_it else f"no bars of {instrument} are"),
                where,
            )
        elif source == "INTERNAL" and not self._types[instrument].intersection(built_from):
            yield RunWarning(
                WarningKind.BARS_NOT_FED,
                f"the strategy is given {match[0]}, which is built from {built_from[0]}, and no "
                f"{built_from[0]} of {instrument} are fed",
                where,
            )
        yield from self._check_instrument(where, instrument)

    def _hint(self, name: str) -> str:
        return nearest(name, self._types) or f"; fed are {_names(sorted(self._types))}"


def _texts(experiment: Experiment, points: PointList) -> Iterator[tuple[str, str, str]]:
    """Yield the texts that the strategy gets: key, field of its config, text."""
    for name, value in experiment.strategy.config.items():
        for text in _texts_in(value):
            yield f"strategy.config.{name}", name, text
    for point in points.points:
        for name, value in point.items():
            if isinstance(value, (str, list)):
                for text in _texts_in(value):
                    yield f"parameters.{name}", name, text


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts_in(key)
            yield from _texts_in(item)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown
