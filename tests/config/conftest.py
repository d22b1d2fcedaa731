"""A whole experiment to vary in tests."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def content() -> dict[str, Any]:
    """An experiment as a file would hold it, with all that is required and a little more."""
    return {
        "$schema": "schemas/experiment.schema.json",
        "name": "ema-cross",
        "seed": 7,
        "dataset": {"path": "data", "instruments": ["BTCUSDT-PERP.SIM"], "types": ["bars"]},
        "partitions": {"by": "week", "warmup": "1d"},
        "venue": {
            "account_type": "margin",
            "balances": ["100000 USDT"],
            "leverage": 3,
            "fees": {"model": "maker_taker", "maker": "0.0002", "taker": 0.0005},
        },
        "strategy": {"path": "package.module:EmaCross", "config": {"size": 0.1}},
        "parameters": {
            "fast": [5, 10],
            "slow": {"start": 20, "stop": 60, "step": 20},
        },
        "constraints": ["fast < slow"],
        "objective": {"metric": "sharpe", "direction": "maximize"},
    }
