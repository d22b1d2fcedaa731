"""What a supervisor of a hundred deployments costs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from trading_runtime.deployments.processes import GroupUsage

if TYPE_CHECKING:
    from tests.deployments.conftest import Supervised

COUNT = 100
SECONDS = 5.0


def test_a_hundred_deployments_cost_at_most_a_twentieth_of_a_core_and_150_megabytes(
    supervised: Supervised,
) -> None:
    for number in range(COUNT):
        supervised.write(f"bot-{number}", ["sleep", "1000"], limits={"heartbeat": "1s"})
    supervisor = supervised.up()
    supervised.wait(lambda: supervised.said.count(": running:") == COUNT)
    with open(f"/proc/{supervisor.pid}/status") as file:  # noqa: PTH123
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    before, begun = used(supervisor.pid), time.monotonic()
    time.sleep(SECONDS)
    share = (used(supervisor.pid) - before) / (time.monotonic() - begun)

    assert share <= 0.05
    assert peak * 1024 <= 150_000_000
    os.kill(supervised.state("bot-7")["pid"], 9)
    supervised.wait(lambda: supervised.state("bot-7")["restart_count"] == 1)
    assert GroupUsage().of(supervised.state("bot-7")["pid"])[0] > 0


def used(pid: int) -> float:
    """Return the seconds of processor time of one process."""
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
