"""Write an event into the journal of a run from outside: a verification, a kill, a drill."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, UsageError
from trading_runtime.runs.journal import Journal, new_writer
from trading_runtime.runs.lock import locked
from trading_runtime.runs.metadata import seal_run
from trading_runtime.runs.opening import is_running

if TYPE_CHECKING:
    from trading_runtime.results.store import RunFiles, Store
    from trading_runtime.runs.events import Event


def note(store: Store, run_id: str, name: str, *noted: Event) -> None:
    """Append events to a run's journal, in a chain of their own whose name begins with ``name``.

    ``run_id`` was checked before. A run that is going on takes the chain in when it ends. Raises
    ``StorageError`` when nothing can be written.
    """
    files = store.run(run_id)
    with Journal(files.journals, new_writer(name)) as journal:
        for event in noted:
            journal.write(event)
        store.publish_part(journal.end_part)
    if store.is_local:
        # Whoever has the lock is running it.
        with contextlib.suppress(UsageError), locked(files):
            _seal(files)
    elif not is_running(store, run_id):
        _seal(files)
        store.publish(files.metadata, files.journal)


def _seal(files: RunFiles) -> None:
    # Damaged metadata are told of by 'runs check'; the event is in its chain all the same.
    with contextlib.suppress(DataError):
        seal_run(files)
