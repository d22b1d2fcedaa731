"""How a run ends that the kill switch ended: with what it had, said in journal and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.errors import KilledError
from trading_runtime.runs.events import RunKilled
from trading_runtime.runs.metadata import Status
from trading_runtime.runs.operation_events import KillActivated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.results.store import RunFiles
    from trading_runtime.runs.journal import Journal
    from trading_runtime.runs.metadata import Metadata
    from trading_runtime.safety.kill_switch import Switching


def note_killed(
    switched: Switching | None,
    files: RunFiles,
    metadata: Metadata,
    journal: Journal,
    result: Mapping[str, Any],
) -> KilledError | None:
    """Say in metadata and journal that the run was killed, and return what to raise for it.

    ``None`` when the switch was not seen on, or every task was finished before. The run was
    summarised before, so it has its tables; ``result`` is the content of ``result.json``.
    """
    counts = result["counts"]
    if switched is None or result["complete"]:
        return None
    message = (
        f"run {metadata.content['run_id']!r} was killed with {counts['ok']:,} of "
        f"{counts['planned']:,} tasks finished, which are kept: the kill switch is "
        f"{switched.shown}; {files.folder} has what it had"
    )
    metadata.set(Status.KILLED, error=message)
    if switched.run_id is None:  # for one run, whoever switched it noted it there
        journal.write(KillActivated(reason=switched.reason, user=switched.user, host=switched.host))
    journal.write(RunKilled(message=message))
    return KilledError(message)
