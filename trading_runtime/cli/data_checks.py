"""The commands ``lookahead check`` and ``warmup check``: what orders depend on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import EXPERIMENT, JSON, find_run, results_option
from trading_runtime.cli.terminal import say
from trading_runtime.errors import DiffersError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.search.continuous import Source
    from trading_runtime.search.data_checks import Lookahead, OrderDifference, Warmup

_RESULTS = results_option("folder")
_POINT = click.option("--point", type=int, help="The point to look at; the best if not given.")
_MOST_FILES = 5


@click.group()
def lookahead() -> None:
    """Whether a strategy knows what it cannot know yet."""


@lookahead.command("check")
@click.argument("run")
@_POINT
@click.option("--partition", "window", type=int, help="The window; the first if not given.")
@click.option(
    "--cuts", type=click.IntRange(1, 1_000), default=8, show_default=True, help="Tasks on cut data."
)
@click.option(
    "--allow-file",
    "allowed",
    multiple=True,
    help="What the strategy may open, such as the file of a trained model: it knows no later row.",
)
@_RESULTS
@EXPERIMENT
@JSON
def check_lookahead(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    point: int | None,
    window: int | None,
    cuts: int,
    allowed: tuple[str, ...],
    experiment: Path | None,
    as_json: bool,
) -> int:
    """Run a point of RUN on data that ends at its orders, and between: all must be the same.

    Exit code 11 when orders differ, or when the strategy opens files, connections or programs,
    which cutting the data leaves whole; 6 when the same data gives other orders the second time.
    """
    from pathlib import Path

    from trading_runtime.search import data_checks

    source, chosen = _source(run, folder, experiment, point)
    place = data_checks.window_of(source, window, last=False)
    found = data_checks.check_lookahead(source, chosen, place, cuts, _reporter(as_json))
    known = {*allowed, *(str(Path(name).absolute()) for name in allowed)}
    opened = [path for path in found.opened if path not in known]
    if as_json:
        say(json.dumps(_lookahead_document(found, opened), ensure_ascii=False))
    else:
        say("\n".join(_lookahead_lines(found)))
    if found.first is not None:
        raise DiffersError(
            f"run {run!r}, point {chosen}: orders depend on rows that come after them; look at "
            "what the strategy reads before it sends the order above"
        )
    if opened:
        more = f" and {len(opened) - _MOST_FILES} more" if len(opened) > _MOST_FILES else ""
        raise DiffersError(
            f"run {run!r}, point {chosen}: the strategy opens {', '.join(opened[:_MOST_FILES])}"
            f"{more}, which cutting the data leaves whole; feed it as data, or name it with "
            "--allow-file when it knows no later row"
        )
    return 0


@click.group()
def warmup() -> None:
    """Whether a strategy sees enough data before it trades."""


@warmup.command("check")
@click.argument("run")
@_POINT
@click.option("--partition", "window", type=int, help="The window; the last if not given.")
@click.option(
    "--most",
    type=click.IntRange(2, 20),
    default=6,
    show_default=True,
    help="Warm-ups to try, each twice as long as the one before.",
)
@_RESULTS
@EXPERIMENT
@JSON
def check_warmup(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    point: int | None,
    window: int | None,
    most: int,
    experiment: Path | None,
    as_json: bool,
) -> int:
    """Run a point of RUN with longer and longer warm-ups until its orders stop changing.

    Exit code 11 when the experiment's warm-up is too short.
    """
    from trading_runtime.search import data_checks
    from trading_runtime.units import format_duration

    source, chosen = _source(run, folder, experiment, point)
    place = data_checks.window_of(source, window, last=True)
    found = data_checks.check_warmup(source, chosen, place, most, _reporter(as_json))
    if as_json:
        say(json.dumps(_warmup_document(found), ensure_ascii=False))
    else:
        say("\n".join(_warmup_lines(found)))
    if found.needed is None:
        longest = format_duration(found.steps[-1].warmup)
        raise DiffersError(
            f"run {run!r}, point {chosen}: orders still change at a warm-up of {longest}; start "
            "the window later, or look for what the strategy never forgets"
        )
    if found.needed > found.asked:
        raise DiffersError(
            f"partitions.warmup: {format_duration(found.asked)} is too short for point {chosen}; "
            f"orders stop changing at {format_duration(found.needed)}"
        )
    return 0


def _source(
    run: str, folder: str, experiment: Path | None, point: int | None
) -> tuple[Source, int]:
    from trading_runtime.search.continuous import Source

    store, run_id = find_run(run, folder)
    source = Source.of(store, run_id, experiment)
    return source, source.best() if point is None else source.checked(point)


def _reporter(as_json: bool) -> Any:  # noqa: FBT001 - passed on
    return lambda text: None if as_json else say(text, err=True)


def _lookahead_lines(found: Lookahead) -> Iterator[str]:
    from trading_runtime.units import format_instant

    for cut in found.cuts:
        verdict = "the same" if cut.difference is None else "other orders"
        yield f"data until {format_instant(cut.at)}: {cut.orders:,} orders, {verdict}"
    if found.first is not None and found.first.difference is not None:
        yield from _difference_lines(found.first.difference, "whole data", "cut data")


def _warmup_lines(found: Warmup) -> Iterator[str]:
    from trading_runtime.units import format_duration

    for step, longer in zip(found.steps, [*found.steps[1:], None], strict=True):
        text = f"warm-up {format_duration(step.warmup)}: {step.orders:,} orders"
        if longer is not None:
            verdict = "the same as" if step.difference is None else "other than"
            text += f", {verdict} with {format_duration(longer.warmup)}"
        yield text
    last = next((step for step in reversed(found.steps) if step.difference is not None), None)
    if last is not None and last.difference is not None:
        yield from _difference_lines(last.difference, format_duration(last.warmup), "longer")


def _difference_lines(found: OrderDifference, first: str, second: str) -> Iterator[str]:
    yield f"the first that differs is order {found.place + 1:,}"
    for name, order in ((first, found.first), (second, found.second)):
        yield f"  {name}: {_order_text(order)}"


def _order_text(order: dict[str, Any] | None) -> str:
    from trading_runtime.canonical import decimal_text
    from trading_runtime.units import format_instant

    if order is None:
        return "none"
    price = "" if order["price"] is None else f" at {decimal_text(order['price'])}"
    trigger = order["trigger_price"]
    stop = "" if trigger is None else f", trigger {decimal_text(trigger)}"
    return (
        f"{format_instant(order['ts_init'])} {order['type']} {order['side']} "
        f"{decimal_text(order['quantity'])} {order['instrument_id']}{price}{stop}"
    )


def _lookahead_document(found: Lookahead, opened: list[str]) -> dict[str, Any]:
    from trading_runtime.units import format_instant

    return {
        "point": found.point,
        "start": format_instant(found.start),
        "end": format_instant(found.end),
        "orders": found.orders,
        "cuts": [
            {
                "until": format_instant(cut.at),
                "orders": cut.orders,
                "difference": _difference_document(cut.difference),
            }
            for cut in found.cuts
        ],
        "files_opened": opened,
    }


def _warmup_document(found: Warmup) -> dict[str, Any]:
    from trading_runtime.units import format_duration, format_instant

    return {
        "point": found.point,
        "start": format_instant(found.start),
        "end": format_instant(found.end),
        "asked": format_duration(found.asked),
        "needed": None if found.needed is None else format_duration(found.needed),
        "warmups": [
            {
                "warmup": format_duration(step.warmup),
                "orders": step.orders,
                "difference": _difference_document(step.difference),
            }
            for step in found.steps
        ],
    }


def _difference_document(found: OrderDifference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    first, second = (None if order is None else _order_text(order) for order in found[1:])
    return {"order": found.place, "first": first, "second": second}
