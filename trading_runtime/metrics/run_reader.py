"""One run as the collector sees it: read again only where its files have changed."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from trading_runtime.metrics.definitions import STATUSES
from trading_runtime.metrics.documents import parse_document, seconds_of
from trading_runtime.metrics.journal_facts import Chain, JournalFacts
from trading_runtime.runs.status import DIED, UNKNOWN, Status, standing

if TYPE_CHECKING:
    from trading_runtime.metrics.results_folder import ResultsFolder, Stamp


class RunReader:
    """What is known of one run."""

    def __init__(self, folder: ResultsFolder, run_id: str) -> None:
        self.run_id = run_id
        self.state = UNKNOWN
        self.metadata: dict[str, Any] = {}
        """The content of ``metadata.json``; empty when it cannot be read."""
        self.journal = JournalFacts()
        self.is_read = False
        """Whether the journal was read, which not every look does."""
        self._folder = folder
        self._prefix = f"runs/{run_id}"
        self._documents: dict[str, tuple[Stamp, dict[str, Any]]] = {}
        self._chains: dict[str, Chain] = {}
        self._journal_stamps: list[Stamp | None] = []
        self._had_ended = False

    def look(self) -> None:
        """See where the run stands."""
        self.metadata = self.document("metadata.json")
        found = standing(self.metadata, lambda: self._folder.is_running(self.run_id))
        self.state = found if found in STATUSES else UNKNOWN

    @property
    def started(self) -> float | None:
        """When the run began, seconds since the epoch."""
        return seconds_of(self.metadata.get("started"))

    @property
    def ended(self) -> float | None:
        """When the run ended."""
        return seconds_of(self.metadata.get("ended"))

    def document(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the run, empty when there is none that can be read."""
        path = f"{self._prefix}/{name}"
        stamp = self._folder.stamp(path)
        if stamp is None:
            return {}
        known = self._documents.get(name)
        if known is None or known[0] != stamp:
            known = self._documents[name] = stamp, parse_document(self._folder.read(path))
        return known[1]

    def read_journal(self) -> None:
        """Read what was added to the journal; all of it where one that had ended was changed."""
        names = [name for name in self._folder.names(f"{self._prefix}/journal")
                 if name.endswith(".jsonl")]  # fmt: skip
        stamps = [self._folder.stamp(name) for name in names]
        if self.is_read and stamps == self._journal_stamps:
            return
        if self._had_ended:
            self._chains, self.journal = {}, JournalFacts()
        entries = []
        for writer, parts in _by_writer(names, f"{self._prefix}/journal/").items():
            chain = self._chains.setdefault(writer, Chain(writer))
            entries += chain.read_on(self._folder, parts)
        self.journal.add(sorted(entries, key=itemgetter("at")))
        self._journal_stamps = stamps
        self._had_ended = self.state != Status.RUNNING
        self.is_read = True

    @property
    def journal_lines(self) -> int:
        """Lines of all chains."""
        return sum(chain.lines for chain in self._chains.values())

    @property
    def journal_is_intact(self) -> bool:
        """Whether each line follows from the one before, to the ends that the metadata name."""
        if not all(chain.is_intact for chain in self._chains.values()):
            return False
        ends = self.metadata.get("journal")
        if self.state in {Status.RUNNING, DIED} or not isinstance(ends, dict):
            return True
        found = {
            name: {"lines": chain.lines, "last": chain.last_hash}
            for name, chain in self._chains.items()
        }
        # Whoever still has the run has ended it, and not yet noted how its journal ends.
        return found == ends or self._folder.is_running(self.run_id)


def _by_writer(names: list[str], prefix: str) -> dict[str, list[str]]:
    """Sort files into chains: ``<writer>.jsonl`` is one, ``<writer>/….jsonl`` the parts of one."""
    chains: dict[str, list[str]] = {}
    for name in names:
        writer = name.removeprefix(prefix).removesuffix(".jsonl").split("/")[0]
        chains.setdefault(writer, []).append(name)
    return chains
