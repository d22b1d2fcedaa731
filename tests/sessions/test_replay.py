"""Which rows a replay delivers, and when it looks at the account, whatever its pace."""

from __future__ import annotations

import asyncio
import copy
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.small_session import SmallSession
from tests.small_experiment import BARS_A_DAY, DAY_STARTS
from trading_runtime.engine.live.replay import DataReplay
from trading_runtime.errors import DataError, UsageError
from trading_runtime.sessions import preparation
from trading_runtime.sessions.preparation import copied_window, cut_window, prepare_session
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.sessions.preparation import SessionWindow

ROWS = BARS_A_DAY * len(DAY_STARTS)


class Node:
    """Takes the place of a node: it processes what it is handed at once."""

    def __init__(self, replay: DataReplay, stops_after: int | None = None) -> None:
        self.replay = replay
        self.stops_after = stops_after
        self.seen: list[tuple[str, int]] = []
        replay.on_look = lambda ts: self.seen.append(("look", ts))
        taker: Any = self
        replay.bind(taker)

    def hand(self, row: Any) -> None:
        if type(row).__name__ == "InstrumentStatus":
            self.replay.acknowledge(row.ts_event)
            return
        self.seen.append(("row", row.ts_init))
        if len(self.rows) == self.stops_after:
            self.replay.stop()

    @property
    def rows(self) -> list[int]:
        return [ts for kind, ts in self.seen if kind == "row"]


@pytest.fixture(scope="module")
def window(
    tmp_path_factory: pytest.TempPathFactory, small_dataset: Path
) -> Iterator[SessionWindow]:
    """The rows of the small dataset, cut out."""
    deployed = SmallSession(tmp_path_factory.mktemp("replayed"), small_dataset)
    prepared = prepare_session(deployed.path)
    with cut_window(prepared.plan(None), str(small_dataset)) as cut:
        yield cut


def played(window: SessionWindow, pace: str, stops_after: int | None = None) -> Node:
    """Play the rows to their end, or until a stop."""

    async def play() -> Node:
        node = Node(DataReplay(window.inputs, window.catalog, pace, ROWS), stops_after)
        await node.replay.play()
        return node

    return asyncio.run(play())


def test_a_burst_delivers_and_looks_as_a_replay_that_takes_row_by_row(
    window: SessionWindow,
) -> None:
    burst, paced = played(window, "burst"), played(window, "x1000000000000")

    assert burst.seen == paced.seen
    assert len(burst.rows) == burst.replay.rows == ROWS
    assert burst.replay.is_complete
    assert burst.seen.count(("look", DAY_STARTS[0] * 10**9 + 3_600 * 10**9)) == 1


@pytest.mark.parametrize("pace", ["burst", "x1000000000000"])
def test_a_stop_counts_exactly_the_rows_that_were_delivered(
    window: SessionWindow, pace: str
) -> None:
    node = played(window, pace, stops_after=100)

    assert 100 <= len(node.rows) < ROWS
    assert node.replay.rows == len(node.rows)
    assert node.replay.last == node.rows[-1]
    assert not node.replay.is_complete


MINUTE = 60 * 10**9


def hour(folder: Path, dataset: Path) -> preparation.PreparedSession:
    """Prepare an hour from the middle of the second day's file, whose bars close each minute."""
    first = DAY_STARTS[1] * 10**9 + 10 * MINUTE
    deployed = SmallSession(folder, dataset)
    bounds = {"start": format_instant(first), "end": format_instant(first + 60 * MINUTE)}
    deployed.write(data=deployed.content["data"] | bounds)
    return prepare_session(deployed.path)


@pytest.mark.parametrize("most_beside", [1 << 20, -1 << 60])
def test_copied_files_play_the_rows_of_the_window_and_can_be_cut_later(
    tmp_path: Path, small_dataset: Path, monkeypatch: pytest.MonkeyPatch, most_beside: int
) -> None:
    monkeypatch.setattr(preparation, "_MOST_BESIDE", most_beside)
    prepared = hour(tmp_path, small_dataset)
    plan = prepared.plan(None)
    with copied_window(plan, prepared.manifest, str(small_dataset)) as copied:
        seen = played(copied, "burst").rows
        with cut_window(plan, copied.dataset) as cut:
            assert cut.slice.rows == 60
            assert played(cut, "burst").rows == seen

    start = DAY_STARTS[1] * 10**9
    assert seen == [start + minute * MINUTE for minute in range(10, 70)]


def test_what_is_not_the_manifests_is_not_even_copied(tmp_path: Path, small_dataset: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(small_dataset, changed)
    prepared = hour(tmp_path, changed)
    file = prepared.manifest.files[0]
    outside = file.row_groups[0].offset
    with (changed / file.path).open("r+b") as data:
        data.seek(outside)
        byte = data.read(1)[0]
        data.seek(outside)
        data.write(bytes([byte ^ 1]))

    with (
        pytest.raises(DataError, match="sha256 differs"),
        copied_window(prepared.plan(None), prepared.manifest, str(changed)),
    ):
        pass


def test_rows_that_only_a_backtest_replays_are_refused_with_the_types_that_remain(
    window: SessionWindow,
) -> None:
    partition = window.inputs.partition
    custom = copy.replace(partition.data[0], type="custom", identifier="X.SIM-mood")
    inputs = copy.replace(
        window.inputs, partition=copy.replace(partition, data=(*partition.data, custom))
    )

    with pytest.raises(UsageError, match=r"not replay custom, .* set 'data\.types: \[bars\]'"):
        DataReplay(inputs, window.catalog, "burst")
