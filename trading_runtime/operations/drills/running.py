"""How a drill is run: its steps, scratch place, fault, verdict and record."""

from __future__ import annotations

import importlib
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import TradingRuntimeError, UsageError
from trading_runtime.operations import records
from trading_runtime.operations.drills.scratch import DrillFolder
from trading_runtime.records.events import DrillCompleted, DrillStarted, DrillVerdict
from trading_runtime.runs.metadata import now_text
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.results.store import Store

IGNORED_SWITCH = """
from trading_runtime.control.kill_switch import KillSwitch
KillSwitch.on_for = lambda self, run_id: None
"""
"""A sabotage: nothing checks the kill switch."""

_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class DrillStep:
    """One thing that must hold."""

    name: str
    ok: bool
    message: str


@dataclass
class Steps:
    """The steps of a drill so far."""

    taken: list[DrillStep] = field(default_factory=list)

    def expect(self, name: str, ok: object, message: object) -> bool:
        """Record whether something holds, and the finding; return whether it holds."""
        self.taken.append(DrillStep(name, bool(ok), str(message)))
        return bool(ok)

    @property
    def verdict(self) -> DrillVerdict:
        """Passed when there are steps and each holds."""
        sound = bool(self.taken) and all(step.ok for step in self.taken)
        return DrillVerdict.PASSED if sound else DrillVerdict.FAILED

    @property
    def message(self) -> str:
        """The first step that does not hold, or how many do."""
        broken = next((step for step in self.taken if not step.ok), None)
        if broken is not None:
            return f"{broken.name}: {broken.message}"
        return f"{len(self.taken)} steps hold"

    def content(self) -> list[dict[str, Any]]:
        """Return them as JSON content."""
        return [asdict(step) for step in self.taken]


def waited_for(what: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``what()`` is true; return whether it became true in time."""
    ends = time.monotonic() + seconds
    while not what():
        if time.monotonic() > ends:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


@dataclass(frozen=True)
class Drilled:
    """How a drill ended."""

    drill: str
    time: str
    sabotage: bool
    seconds: float
    steps: Steps

    @property
    def verdict(self) -> DrillVerdict:
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
    """Run the drill ``name`` and write ``drills/<name>.json`` to ``store``.

    With ``sabotage`` the safeguard is switched off in the drill's own processes, so that the
    verdict must be that it failed. Raises ``StorageError`` when the record cannot be written, and
    ``UsageError`` when the fault cannot be caused here.
    """
    module = importlib.import_module(f"trading_runtime.operations.drills.{name.replace('-', '_')}")
    records.journal(store, "drill", DrillStarted(drill=name, sabotage=sabotage))
    steps, moment, started = Steps(), now_text(), time.monotonic()
    with Scratch() as scratch:
        sabotaging = module.SABOTAGE if sabotage else None
        folder = DrillFolder(scratch.path.resolve(), store.place, sabotaging)
        try:
            module.drill(folder, steps)
        except UsageError:
            raise
        except TradingRuntimeError as error:
            steps.expect("the drill reached its end", ok=False, message=error)
    seconds = round(time.monotonic() - started, 3)
    drilled = Drilled(name, moment, sabotage, seconds, steps)
    records.write_state(store, f"drills/{name}.json", drilled.content())
    event = DrillCompleted(
        drill=name,
        verdict=drilled.verdict,
        sabotage=sabotage,
        seconds=seconds,
        message=steps.message,
    )
    records.journal(store, "drill", event)
    return drilled
