"""Settings without a public name, which the determinism matrix turns in every process of a run.

Python imports this module by itself where its folder is on PYTHONPATH; workers keep that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trading_runtime.engine.simulation import feed as fed_engine
from trading_runtime.planning import plan

if TYPE_CHECKING:
    from collections.abc import Sequence


def one_batch(cached: Sequence[bool], workers: int) -> tuple[tuple[int, int], ...]:  # noqa: ARG001
    """All tasks in one batch, for one worker."""
    return ((0, len(cached)),)


def backwards(cached: Sequence[bool], workers: int) -> tuple[tuple[int, int], ...]:  # noqa: ARG001
    """Each task a batch of its own, the last one first."""
    return tuple((index, index + 1) for index in reversed(range(len(cached))))


ORDERS = {"planned": plan.batches, "one-batch": one_batch, "backwards": backwards}

if not hasattr(fed_engine, "CHUNK_ROWS"):
    raise AttributeError("engine.simulation.feed has no CHUNK_ROWS to turn any more")
# Partitions of more rows are streamed in chunks of so many, others decoded at once.
fed_engine.CHUNK_ROWS = int(os.environ["MATRIX_CHUNK_ROWS"])
plan.batches = ORDERS[os.environ["MATRIX_ORDER"]]
