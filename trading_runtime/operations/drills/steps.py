"""What a drill consists of: steps that each hold or do not, and the verdict that follows."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from trading_runtime.runs.operation_events import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Step:
    """One thing that must hold."""

    name: str
    ok: bool
    message: str


@dataclass
class Steps:
    """The steps of a drill so far."""

    taken: list[Step] = field(default_factory=list)

    def expect(self, name: str, ok: object, message: object) -> bool:
        """Note whether something holds, and what was found; return whether it does."""
        self.taken.append(Step(name, bool(ok), str(message)))
        return bool(ok)

    @property
    def verdict(self) -> Verdict:
        """Passed when there are steps and each holds."""
        sound = bool(self.taken) and all(step.ok for step in self.taken)
        return Verdict.PASSED if sound else Verdict.FAILED

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
    """Wait until ``what()`` is true; return whether it became so in time."""
    ends = time.monotonic() + seconds
    while not what():
        if time.monotonic() > ends:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
