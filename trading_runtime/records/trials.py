"""What was tried on the same data, typed: a run's ``trials.json``, and the ledger's entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.records.events import Record
from trading_runtime.records.forms import read_as, read_record, to_document
from trading_runtime.records.run_files import RUN_AGAIN

if TYPE_CHECKING:
    from trading_runtime.records.run_files import RunFiles

TRIALS_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class TrialCount(Record):
    """How much had been tried on a run's data when the run ended, and what luck makes of it."""

    format: int = TRIALS_FORMAT
    of_this_run: int
    """Trials of this run."""
    trials: int | None
    """All trials on the run's data; ``null`` when an entry of the ledger is damaged."""
    problem: str | None
    """What is wrong with the ledger."""
    sharpe_by_luck: float | None = None
    """As in ``result.json``, for so many trials; absent without the section ``luck``."""
    deflated_sharpe: float | None = None

    def to_json(self) -> str:
        """Return the text of ``trials.json``."""
        return json.dumps(to_document(self), indent=1, ensure_ascii=False) + "\n"


class Window(NamedTuple):
    """The data of a result: instruments, from ``start`` to before ``end`` in nanoseconds."""

    instruments: tuple[str, ...]
    start: int
    end: int


class TrialGroup(NamedTuple):
    """Trials with results for the same windows, which are named by their place in the entry."""

    windows: tuple[int, ...]
    trials: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LedgerEntry(Record):
    """What one run tried."""

    format: int = TRIALS_FORMAT
    windows: Sequence[Window]
    trials: Sequence[TrialGroup]


def read_trials(files: RunFiles) -> TrialCount | None:
    """Return what had been tried when a run ended, ``None`` when it has not ended.

    Raises ``DataError`` when the file is damaged.
    """
    return read_record(files.trials, TrialCount, RUN_AGAIN)


def parse_entry(content: bytes) -> LedgerEntry:
    """Return the entry of the ledger in the bytes of a file.

    Raises ``ValueError`` naming the place that does not have the right form.
    """
    entry = read_as(LedgerEntry, json.loads(content))
    for number, group in enumerate(entry.trials):
        if not all(0 <= place < len(entry.windows) for place in group.windows):
            raise ValueError(f"trials[{number}] names a window that the entry does not have")
    return entry
