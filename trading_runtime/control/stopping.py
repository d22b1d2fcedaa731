"""What ends a run early: the kill switch, a signal, ``runs stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.control.kill_switch import KillSwitchPoller

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.control.kill_switch import Switching
    from trading_runtime.results.store import Store


class StopControl:
    """Checks whether a run that is being computed has to end."""

    def __init__(self, store: Store, run_id: str, *requests: Callable[[], bool]) -> None:
        """``requests`` return whether the end was requested: by a signal, by ``runs stop``."""
        self._watch = KillSwitchPoller(store, run_id)
        self._requests = requests

    def should_end(self) -> bool:
        """Return whether the run has to end now.

        Raises ``TransientError`` or ``StorageError`` when the kill switch cannot be read.
        """
        return self._watch() or any(request() for request in self._requests)

    @property
    def killed(self) -> Switching | None:
        """What turned the kill switch on, once that was seen; it stays."""
        return self._watch.switched
