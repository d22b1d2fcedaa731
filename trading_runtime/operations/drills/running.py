"""How a drill is run: scratch place, fault, verdict, record."""

from __future__ import annotations

import importlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import TradingRuntimeError, UsageError
from trading_runtime.operations import records
from trading_runtime.operations.drills.scratch import Scratch
from trading_runtime.operations.drills.steps import Steps
from trading_runtime.runs.metadata import now_text
from trading_runtime.runs.operation_events import DrillCompleted, DrillStarted, Verdict

if TYPE_CHECKING:
    from trading_runtime.results.store import Store


@dataclass(frozen=True)
class Drilled:
    """How a drill ended."""

    drill: str
    time: str
    sabotage: bool
    seconds: float
    steps: Steps

    @property
    def verdict(self) -> Verdict:
        """Whether the safeguard held."""
        return self.steps.verdict

    def content(self) -> dict[str, Any]:
        """Return it as JSON content."""
        return {
            "drill": self.drill,
            "time": self.time,
            "verdict": self.verdict,
            "sabotage": self.sabotage,
            "seconds": self.seconds,
            "message": self.steps.message,
            "steps": self.steps.content(),
        }


def run_drill(name: str, store: Store, *, sabotage: bool) -> Drilled:
    """Run the drill ``name`` and leave ``drills/<name>.json`` in ``store``.

    With ``sabotage`` the safeguard is switched off in the drill's own processes, so that the
    verdict must be that it failed. Raises ``StorageError`` when the record cannot be written, and
    ``UsageError`` when the fault cannot be made here.
    """
    module = importlib.import_module(f"trading_runtime.operations.drills.{name.replace('-', '_')}")
    records.journal(store, "drill", DrillStarted(drill=name, sabotage=sabotage))
    steps, moment, started = Steps(), now_text(), time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix="trading-runtime-drill-", ignore_cleanup_errors=True
    ) as folder:
        sabotaging = module.SABOTAGE if sabotage else None
        scratch = Scratch(Path(folder).resolve(), store.place, sabotaging)
        try:
            module.drill(scratch, steps)
        except UsageError:
            raise
        except TradingRuntimeError as error:
            steps.expect("the drill came to its end", ok=False, message=error)
    seconds = round(time.monotonic() - started, 3)
    drilled = Drilled(name, moment, sabotage, seconds, steps)
    records.leave_state(store, f"drills/{name}.json", drilled.content())
    event = DrillCompleted(
        drill=name,
        verdict=drilled.verdict,
        sabotage=sabotage,
        seconds=seconds,
        message=steps.message,
    )
    records.journal(store, "drill", event)
    return drilled
