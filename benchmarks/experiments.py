"""The experiments that are measured, as the files that a user would write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.market_data import BAR_TYPE, INSTRUMENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FASTS = tuple(range(5, 55, 5))
SLOWS = tuple(range(60, 260, 20))

VENUE = {
    "account_type": "margin",
    "balances": ["100000 USDT"],
    "leverage": 10,
    "fees": {"model": "maker_taker", "maker": 0.0002, "taker": 0.0005},
}
EMA_CROSS: dict[str, Any] = {
    "path": "trading_runtime.strategies.ema_cross:EMACross",
    "config": {"instrument_id": INSTRUMENT, "bar_type": BAR_TYPE, "trade_size": 0.1},
}
BUILTIN_EMA_CROSS: dict[str, Any] = {
    "path": "builtin:EmaCross",
    "config": {"instrument_id": INSTRUMENT, "trade_size": "0.100"},
}
LISTENER = {
    "path": "trading_runtime.strategies.do_nothing:DoNothing",
    "config": {"instrument_id": INSTRUMENT},
}


def write_experiment(  # noqa: PLR0913 - one argument per part of the file
    folder: Path,
    dataset: Path,
    strategy: dict[str, Any],
    *,
    parameters: dict[str, Any] | None = None,
    partitions: dict[str, Any] | None = None,
    instruments: list[str] | None = None,
    search: dict[str, Any] | None = None,
    workers: int = 1,
) -> Path:
    """Write an experiment file into ``folder``, where its results go too, and return its path."""
    content = {
        "name": "bench",
        "dataset": {"path": str(dataset.absolute()), "instruments": instruments},
        "partitions": partitions or {},
        "venue": VENUE,
        "strategy": strategy,
        "parameters": parameters or {},
        "search": search,
        "objective": {"metric": "net_profit"},
        "seed": 1,
        "results": "results",
        "workers": workers,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "experiment.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def averages(
    fasts: Sequence[int], slows: Sequence[int], *, builtin: bool = False
) -> dict[str, list[int]]:
    """Return the parameters of a sweep over the lengths of the two averages."""
    names = ("fast_period", "slow_period") if builtin else ("fast", "slow")
    return dict(zip(names, (list(fasts), list(slows)), strict=True))
