"""Funding that is settled exactly where one window ends and the next begins, in whole runs."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import HOUR, STRATEGIES, T0, Market, perpetual, quotes
from tests.engine.test_funding import NAME, write_rates
from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path

SETTLED = [T0 + hours * HOUR for hours in range(0, 72, 8)]


@pytest.mark.parametrize(
    ("rates", "by_day"),
    [
        # Sent when it settles: at 8, 16, 24 | 32, 40, 48 | 56, 64; at 0 nobody holds anything.
        ([(ts, ts, "0.001") for ts in SETTLED], [3, 3, 2]),
        # Sent eight hours before: at 8, 16, 24 | 32, 40, 48 | 56, 64, 72.
        ([(ts, ts + 8 * HOUR, "0.001") for ts in SETTLED], [3, 3, 3]),
    ],
)
def test_days_are_charged_what_one_continuous_task_is_charged(
    tmp_path: Path, rates: list[tuple[int, int, str]], by_day: list[int]
) -> None:
    instrument = perpetual()
    Market.write(
        tmp_path / "data", [instrument], quotes(instrument, [("100", "100")] * 71, step=HOUR)
    )
    write_rates(tmp_path / "data", rates)
    assert invoke(root, ["data", "adopt", str(tmp_path / "data")]) == 0
    shutil.copy(STRATEGIES / "scripted.py", tmp_path)

    def charged(by: str) -> list[tuple[Any, ...]]:
        content = {
            "name": by,
            "seed": 1,
            "dataset": {"path": "data"},
            "partitions": {"by": by},
            "venue": {
                "account_type": "margin",
                "balances": ["10000 USDT"],
                "fees": {"model": "none"},
            },
            "strategy": {
                "path": "scripted.py:Scripted",
                "config": {"data": [NAME], "kinds": ["quotes"], "steps": {"1": ["market BUY 2"]}},
            },
            "results": "results",
        }
        path = tmp_path / f"{by}.json"
        path.write_text(json.dumps(content))
        run = api.run(path, run_id=by, workers=1)
        return list(run.results.select("funding_settlements", "funding", "net_profit").rows())

    # A long of 2 at 100 pays 0.1 % of 200 at each settlement.
    paid = [Decimal(count) / -5 for count in by_day]
    assert charged("day") == [(c, p, p) for c, p in zip(by_day, paid, strict=True)]
    assert charged("whole") == [(sum(by_day), sum(paid), sum(paid))]
