"""The assumptions behind the numbers: what the simulation takes for granted, in plain words."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from trading_runtime.config.statistic_names import COUNTS_OF_FLOWS
from trading_runtime.report.formatting import (
    amount,
    capitalised,
    counted,
    number,
    sentence_list,
    statistic,
)
from trading_runtime.results.points import OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trading_runtime.records.inputs import (
        DividendInputs,
        FeeInputs,
        FeeTierInputs,
        LatencyInputs,
        RateLimitInputs,
        RiskInputs,
        SwapInputs,
        VenueInputs,
    )
    from trading_runtime.records.run_warnings import RunWarning
    from trading_runtime.report.content import ReportInputs

FEW_DAYS = 30
"""With fewer daily returns than these, annualised ratios come with a warning."""


class Assumption(NamedTuple):
    """One thing to know before trusting the numbers; ``warning`` when it affects these results."""

    title: str
    text: str
    warning: bool = False


def assumptions(inputs: ReportInputs) -> list[Assumption]:
    """Return what applies to this run: warnings first, then in the order of an order's life."""
    common = inputs.plan.common
    found = [
        *_warnings(inputs.result.warnings),
        *_venues(inputs),
        *_partial_fills(inputs.results),
        _funding(inputs),
        *_charged_by_venues(inputs),
        *_expiries(inputs),
        *_orders(common.venue.order_rate_limit, inputs),
        *_risk(common.risk),
        *_seams(inputs),
        *_accounts(inputs),
        _ratios(inputs),
        *_selection(inputs),
    ]
    return sorted(found, key=lambda assumption: not assumption.warning)


def _venues(inputs: ReportInputs) -> Iterator[Assumption]:
    """What applies at each venue, by name if there are several."""
    venues = inputs.plan.common.all_venues
    if len(venues) > 1:
        yield Assumption(
            "Venues",
            f"{sentence_list(list(venues))} have accounts of their own: no money goes from one to "
            "another, and what one holds is no margin at another. Equity is that of all accounts; "
            "exchange rates come from the instruments of all venues.",
        )
    for name, venue in venues.items():
        for each in (
            *_fills(name, venue, inputs),
            *_fees(venue),
            *_margin(venue),
            *_liquidation(venue),
            *_swap(venue.swap),
            *_dividends(venue.dividends),
            _latency(venue.latency),
        ):
            yield each if len(venues) == 1 else each._replace(title=f"{each.title} ({name})")


def _warnings(warnings: Sequence[RunWarning]) -> Iterator[Assumption]:
    for item in warnings:
        title = item.kind.value.replace("_", " ").capitalize()
        yield Assumption(title, f"{capitalised(item.message)}.", warning=True)


def _fills(name: str, venue: VenueInputs, inputs: ReportInputs) -> Iterator[Assumption]:
    fill = venue.fill
    with_bars, with_quotes, sides = _markets(name, inputs)
    if with_bars and venue.book_type == "L1_MBP" and venue.bar_execution:
        is_exact = fill.model == "default" and not fill.prob_slippage
        whose = "the ask or bid bar of its instant" if len(sides) > 1 else "that same bar"
        delayed = _delay(venue.latency)
        moment = (
            f"{delayed} after it was sent, at the market of that time"
            if delayed
            else f"{'at' if is_exact else 'at or past'} the close of {whose}, at the same time: it "
            "trades at a price that the strategy has just seen"
        )
        text = f"A market order sent from on_bar fills {moment}."
        if with_bars & with_quotes:
            text += (
                " A bar at no other price than the last moves nothing: then the quotes before it "
                "are the market. With 'bar_execution: false' they always are."
            )
        yield Assumption("Fill price and time", text)
        if fill.model == "default":
            yield Assumption(
                "Size at bars",
                "Each price of a bar (open, high, low, close) has about a quarter of its volume. "
                "What a market order asks beyond that fills one tick worse, however large the "
                "order is; a limit order takes no more than that at each of the prices that reach "
                "it, and waits with the rest.",
            )
    yield Assumption("Fill model", _fill_model(venue))
    yield Assumption(
        "Market impact", "The strategy's own orders do not move the prices after them."
    )


def _markets(name: str, inputs: ReportInputs) -> tuple[set[str], set[str], set[str]]:
    """Return a venue's instruments with bars, those with quotes, and the sides of bars."""
    found: dict[str, set[str]] = {"bars": set(), "quotes": set()}
    sides: set[str] = set()
    for partition in inputs.plan.partitions:
        for series in partition.data:
            if series.instrument_id.rpartition(".")[2] != name:
                continue
            if series.type in found:
                found[series.type].add(series.instrument_id)
            if series.type == "bars":
                sides |= {side for side in ("BID", "ASK") if f"-{side}-" in series.identifier}
    return found["bars"], found["quotes"], sides


def _fill_model(venue: VenueInputs) -> str:
    fill = venue.fill
    if fill.model == "default":
        text = (
            "Fill model default: a resting limit order trades with no more than the size that is "
            "there."
        )
    else:
        text = (
            f"Fill model {fill.model}: it makes up the sizes that orders fill against, and those "
            "of the data do not count; a resting limit order may get a better price than its own."
        )
    if fill.prob_fill_on_limit != 1:
        chance = _chance(fill.prob_fill_on_limit, "", "trades")
        text += f" When a bar touches its price or a trade reaches it, it {chance}"
        text += "; when a quote reaches it, it always trades." if fill.model == "default" else "."
    if fill.prob_slippage:
        slips = _chance(fill.prob_slippage, "", "slips by one tick")
        text += f" A fill {slips}, even past the price of a limit order."
    if fill.model == "default" and not venue.liquidity_consumption:
        text += " A fill does not use up the size it was filled against."
    if not venue.queue_position:
        text += " A limit order does not wait behind the size that was there before it."
    return text


def _partial_fills(results: pl.DataFrame) -> Iterator[Assumption]:
    partly = _total(results, "partly_filled_orders")
    if partly:
        tasks = _tasks_with(results, pl.col("partly_filled_orders") > 0)
        yield Assumption(
            "Partial fills",
            f"{counted(partly, 'order was', 'orders were')} filled in part only, in "
            f"{counted(tasks, 'task')}.",
        )


def _fees(venue: VenueInputs) -> Iterator[Assumption]:
    by_instrument = venue.fees_by_instrument
    if venue.fees.model == "none" and not by_instrument:
        yield Assumption("Fees", "Trading costs nothing here: no fees are charged.", warning=True)
        return
    yield Assumption("Fees", capitalised(f"{_charged(venue.fees)}."))
    if by_instrument:
        parts = [f"{name}: {_charged(item)}" for name, item in sorted(by_instrument.items())]
        yield Assumption("Fees by instrument", f"{'; '.join(parts)}.")


def _charged(fees: FeeInputs) -> str:
    match fees.model:
        case "maker_taker":
            return _rates(fees)
        case "tiered":
            within = f"in the {fees.period} before a fill" if fees.period else "so far"
            steps = [f"from {tier.from_value} on {_rates(tier)}" for tier in fees.tiers]
            return (
                f"{_rates(fees)}; {'; '.join(steps)}. What counts is the value that the task has "
                f"traded {within}, and every task starts with none"
            )
        case "fixed":
            each = "order" if fees.once_per_order else "fill"
            return f"{fees.amount} for every {each}"
        case "per_contract":
            return f"{fees.amount} for every contract traded"
        case _:
            return "no fees"


def _rates(fees: FeeInputs | FeeTierInputs) -> str:
    return (
        f"{_rate(fees.maker)} of the traded value for a resting order, {_rate(fees.taker)} "
        "for one that takes liquidity"
    )


def _margin(venue: VenueInputs) -> Iterator[Assumption]:
    if venue.account_type != "margin":
        return
    if venue.margin_model == "standard":
        text = (
            "A position takes its value at entry times the instrument's margin rate, whatever the "
            "leverage."
        )
    else:
        others = [f"{value} for {name}" for name, value in sorted(venue.leverages.items())]
        text = (
            "A position takes its value at entry, divided by the leverage, times the instrument's "
            f"margin rate. Leverage is {', '.join([str(venue.leverage), *others])}."
        )
    yield Assumption("Margin", text)


def _latency(latency: LatencyInputs) -> Assumption:
    named = {
        "new orders": latency.insert,
        "changes": latency.update,
        "cancellations": latency.cancel,
    }
    parts = [f"{delay} for {what}" for what, delay in named.items() if delay]
    if latency.base:
        parts = [f"{latency.base} for every command", *(f"{part} on top" for part in parts)]
    if not parts:
        return Assumption("Latency", "None: commands take effect at the venue at once.")
    return Assumption("Latency", f"Commands take {sentence_list(parts)}.")


def _funding(inputs: ReportInputs) -> Assumption:
    interest = "There is no interest on balances or borrowed money."
    if any(venue.swap for venue in inputs.plan.common.all_venues.values()):
        interest = "There is no interest on balances."
    if "funding_rates" not in inputs.data_types:
        return Assumption(
            "Funding", f"No funding payments: the data has no funding rates. {interest}"
        )
    settlements = _total(inputs.results, "funding_settlements")
    if not settlements:
        return Assumption(
            "Funding",
            "The data has funding rates, but none was settled: that takes a position that is open "
            f"at the time that a rate names as its next settlement. {interest}",
            warning=True,
        )
    known = inputs.results.filter(pl.col("status") == OK)
    paid = sum(known["funding"].drop_nulls().to_list(), Decimal(0))
    return Assumption(
        "Funding",
        f"Positions {'received' if paid > 0 else 'paid'} {amount(abs(paid))} "
        f"{known['currency'][0]} in {counted(settlements, 'settlement')} of all tasks, which is in "
        "their net profit. A rate is settled at the time that it names, at the mark price, else "
        "the last price; one at a window's very end belongs to that window, since the next one "
        "starts flat. " + interest,
    )


def _swap(swap: SwapInputs | None) -> Iterator[Assumption]:
    """What holding positions costs."""
    if swap:
        of = "" if swap.per == "day" else f" for a year of {swap.days_in_year} days"
        rates = [
            f"{name} {_rate(each.long)} long, {_rate(each.short)} short"
            for name, each in sorted(swap.rates.items())
        ]
        when = f"each day at {swap.time} {swap.time_zone}"
        if swap.triple_day:
            when += (
                f", three days on {swap.triple_day.capitalize()} and none on Saturday and Sunday"
            )
        yield Assumption(
            "Swap",
            f"Positions that are open are charged or paid {when}, a share of their value at the "
            f"latest price{of}: {'; '.join(rates)}. Other instruments cost nothing to hold.",
        )


def _dividends(settings: DividendInputs | None) -> Iterator[Assumption]:
    """What shares pay in cash."""
    if settings:
        stated = [
            f"{name} {each} on {day}"
            for name, amounts in sorted(settings.amounts.items())
            for day, each in sorted(amounts.items())
        ]
        yield Assumption(
            "Dividends",
            "Long positions that are open before a share's first row of the ex-date receive its "
            f"dividend, and short ones pay it, untaxed: {'; '.join(stated)}. Days begin at "
            f"midnight in {settings.time_zone}. Without a later row in its window none is paid, "
            "since the price there is still the one with the dividend.",
        )


def _liquidation(venue: VenueInputs) -> Iterator[Assumption]:
    """Whether the venue closes positions that an account cannot carry."""
    settings = venue.liquidation
    if settings:
        stay = "are cancelled first" if settings.cancel_open_orders else "stay"
        fee = settings.fee
        cost = "the fees of other fills" if fee is None else f"{_rate(fee)} of the closed value"
        yield Assumption(
            "Liquidation",
            "All positions that settle in a currency are closed at the market once the account's "
            f"equity in it is at or below {_plain(settings.trigger_ratio)} times their "
            "maintenance margin, which is taken of their value at entry. Orders that wait there "
            f"{stay}; closing costs {cost}.",
        )
    elif venue.account_type == "margin":
        text = "The venue closes no position, however large its loss; see venue.liquidation."
        yield Assumption("Liquidation", text)


def _charged_by_venues(inputs: ReportInputs) -> Iterator[Assumption]:
    """What swap, dividends and liquidations amounted to, over all tasks."""
    known = inputs.results.filter(pl.col("status") == OK)
    for name, title, what in (
        ("swap", "Swap that was charged", "charge"),
        ("dividends", "Dividends that were paid", "payment"),
    ):
        counts = COUNTS_OF_FLOWS[name]
        if times := _total(known, counts) if counts in known.columns else 0:
            paid = sum(known[name].drop_nulls().to_list(), Decimal(0))
            yield Assumption(
                title,
                f"Positions {'received' if paid > 0 else 'paid'} {amount(abs(paid))} "
                f"{known['currency'][0]} in {counted(times, what)} of all tasks, which is in "
                "their net profit.",
            )
    if times := _total(known, "liquidations") if "liquidations" in known.columns else 0:
        tasks = _tasks_with(known, pl.col("liquidations") > 0)
        fees = sum(known["liquidation_fees"].drop_nulls().to_list(), Decimal(0))
        yield Assumption(
            "Liquidations",
            f"The venue closed positions by {counted(times, 'order')} of its own in "
            f"{counted(tasks, 'task')}, which cost {amount(fees)} {known['currency'][0]} in fees; "
            "the strategy continues with what is left.",
            warning=True,
        )


def _plain(value: object) -> str:
    return f"{float(str(value)):g}"


def _expiries(inputs: ReportInputs) -> Iterator[Assumption]:
    stated = {
        name: price
        for venue in inputs.plan.common.all_venues.values()
        for name, price in venue.settlement_prices.items()
    }
    windows = [(item.start, item.end, item.instruments) for item in inputs.plan.partitions]
    expired = {
        name: definition
        for name, definition in sorted(inputs.plan.instruments.items())
        if any(
            name in names and start <= (definition.expiration_ns or 0) <= end
            for start, end, names in windows
        )
    }
    at_prices = [f"{name} at {stated[name]}" for name in expired if name in stated]
    at_last = [name for name in expired if name not in stated and expired[name].option_kind is None]
    if at_prices:
        yield Assumption(
            "Expiry",
            f"Positions are closed when their contract expires, at the price that the experiment "
            f"states, with the fee of a fill: {', '.join(at_prices)}.",
        )
    if at_last:
        yield Assumption(
            "Expiry at the last price",
            f"No settlement price is stated for {', '.join(at_last)}: positions that are open when "
            "the contract expires are closed at the last price, with the fee of a fill; state one "
            "in venue.settlement_prices.",
            warning=True,
        )


def _orders(limit: RateLimitInputs, inputs: ReportInputs) -> Iterator[Assumption]:
    results = inputs.results
    denied = _total(results, "denied_orders")
    allowed = f"{number(limit.orders, 0)} orders per {limit.per}"
    incidents = inputs.result.incidents
    queue = inputs.plan.common.queue
    excess = "is denied"
    if queue:
        waited = _by_kind(incidents.get("queued_requests", {})) or "none waited"
        excess = f"waits, cancellations first, for {queue.max_wait} at most ({waited})"
    yield Assumption("Order rate", f"At most {allowed} of simulated time; the excess {excess}.")
    if denied:
        tasks = _tasks_with(results, pl.col("denied_orders") > 0)
        reasons = _by_kind(incidents.get("denied_by_reason", {}))
        text = f"{counted(denied, 'order was', 'orders were')} denied in {counted(tasks, 'task')}"
        yield Assumption("Denied orders", f"{text}: {reasons}.", warning=True)
    if rejected := incidents.get("rejected_by_reason"):
        total = counted(sum(rejected.values()), "order was", "orders were")
        text = f"{total} rejected by the venue: {_by_kind(rejected)}."
        yield Assumption("Rejected orders", text, warning=True)
    if logged := incidents.get("engine_warnings"):
        text = f"The engine warned while it ran: {_by_kind(logged)}."
        yield Assumption("Warnings of the engine", text, warning=True)
    if unfed := incidents.get("unfed_subscriptions"):
        names = "; ".join(f"{name} ({counted(count, 'task')})" for name, count in unfed.items())
        text = f"The strategy subscribed to data that was not there: {names}."
        yield Assumption("Data that never came", text, warning=True)
    if idle := incidents.get("bars_without_volume"):
        text = (
            f"Bars without volume in all tasks: {_by_kind(idle)}. They do not move the market: an "
            "order from one fills at the last bar that has a volume, or is rejected without one. "
            "'volume' in the data file gives one to all bars."
        )
        yield Assumption("Bars that move nothing", text, warning=True)
    if read := incidents.get("files_read"):
        text = (
            f"The strategy read files that are no part of its code: {_by_kind(read)}. Results stay "
            "stored when these change; name them in strategy.code."
        )
        yield Assumption("Files that were read", text, warning=True)


def _by_kind(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{kind} ({number(count, 0)})" for kind, count in counts.items())


def _risk(profile: RiskInputs | None) -> Iterator[Assumption]:
    if profile:
        limits = [each.name for each in dataclasses.fields(profile) if getattr(profile, each.name)]
        named = ", ".join(limits)
        yield Assumption(
            "Limits on risk",
            f"Orders are held to {named}: what breaks a limit is denied; the strategy continues.",
        )


def _seams(inputs: ReportInputs) -> Iterator[Assumption]:
    results = inputs.results
    text = "Each task starts flat with the initial balance; no position is carried over a seam."
    if inputs.plan.common.at_end == "close":
        text += " Positions are closed by market orders at the window's end."
    else:
        text += " Positions still open at a window's end are marked to market there"
        marked = _total(results, "open_positions")
        tasks = _tasks_with(results, pl.col("open_positions") > 0)
        text += f": {counted(marked, 'position')} in {counted(tasks, 'task')}." if marked else "."
    yield Assumption("Seams", text)
    warmup = inputs.experiment.get("partitions", {}).get("warmup")
    if warmup:
        partitions = inputs.plan.partitions
        short = sum(partition.warmup_short for partition in partitions)
        denied = _total(results, "warmup_denied_orders")
        text = f"The strategy sees {warmup} of data before each window without trading"
        text += f"; {counted(denied, 'order')} sent there did not count." if denied else "."
        if short:
            of = counted(len(partitions), "partition")
            text += f" It was shorter than asked for {short} of {of}."
        yield Assumption("Warm-up", text, short > 0)
    empty = len(inputs.plan.empty_windows)
    if empty:
        yield Assumption(
            "Windows without data", f"{counted(empty, 'window')} held no rows and were not tested."
        )


def _accounts(inputs: ReportInputs) -> Iterator[Assumption]:
    ruined = _tasks_with(inputs.results, pl.col("ruined"))
    if ruined:
        points = inputs.results.filter(pl.col("ruined").fill_null(value=False))["point"].n_unique()
        yield Assumption(
            "Ruined accounts",
            f"Equity fell to zero or below in {counted(ruined, 'task')} of "
            f"{counted(points, 'point')}. There orders are denied and the run continues; the "
            "return and ratios of these points are undefined.",
            warning=True,
        )


def _ratios(inputs: ReportInputs) -> Assumption:
    common = inputs.plan.common
    row = next(inputs.points.drop_nulls("days").head(1).iter_rows(named=True), None)
    days = 0 if row is None else row["days"]
    text = "From simple daily returns at UTC midnights, risk-free rate 0."
    if common.every_day:
        text += f" Every day from the first row to the last counts, {counted(days, 'day')}: those"
        text += " without data return 0."
    else:
        text += f" Days without data are left out; {counted(days, 'day')} with data "
        text += f"{'counts' if days == 1 else 'count'}."
    if row is not None and row["periods_per_year"] is not None:
        year = statistic("periods_per_year", row["periods_per_year"])
        why = "as set" if common.periods_per_year else "judged by the days that count"
        text += f" A year has {year} such days, {why}."
    few = row is not None and days < FEW_DAYS
    if few:
        text += (
            f" The period has only {counted(days, 'day')}: a ratio made from so few says little."
        )
        if not common.periods_per_year and not common.every_day:
            text += (
                " The days of a year are a guess from so few: set 'statistics.periods_per_year'."
            )
    return Assumption("Ratios", text, few)


def _selection(inputs: ReportInputs) -> Iterator[Assumption]:
    if inputs.points.height > 1:
        yield Assumption(
            "Selection",
            f"The best of {counted(inputs.points.height, 'point')} is picked with hindsight on "
            "this very data: expect less from it elsewhere.",
        )


def _delay(latency: LatencyInputs) -> str:
    return " and ".join(delay for delay in (latency.base, latency.insert) if delay)


def _chance(probability: object, before: str, what: str) -> str:
    share = float(str(probability))
    if share in (0, 1):
        return f"{before} {'always' if share else 'never'} {what}".strip()
    return f"{before} {what} {number(share * 100, 1).removesuffix('.0')}% of the time".strip()


def _rate(value: object) -> str:
    text = number(float(str(value)) * 100, 6).rstrip("0").rstrip(".")
    return f"{text}%"


def _total(results: pl.DataFrame, column: str) -> int:
    return int(results.filter(pl.col("status") == OK)[column].sum())


def _tasks_with(results: pl.DataFrame, condition: pl.Expr) -> int:
    return results.filter((pl.col("status") == OK) & condition.fill_null(value=False)).height
