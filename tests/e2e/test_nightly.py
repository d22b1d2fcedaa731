"""A pipeline of every night: a day lands in S3, is imported, and only its windows are computed."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from typing import TYPE_CHECKING

import pytest

from tests.datasets.vendor_samples import zipped
from tests.e2e.kept import COMMAND
from tests.e2e.workflows import run
from tests.wheel import ROOT
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.e2e.workflows import Workflow

INSTRUMENT = "BTCUSDT.BINANCE"
FIRST_DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
pytestmark = pytest.mark.usefixtures("image")


def day(number: int) -> tuple[str, bytes]:
    """Return the name and content of a day of minute bars, as Binance publishes them."""
    start = FIRST_DAY + dt.timedelta(days=number)
    walk = random.Random(number)  # noqa: S311 - made-up prices
    lines, price = [], 42_000
    for minute in range(1_440):
        opened, before = int(start.timestamp() * 1_000) + 60_000 * minute, price
        price += walk.randrange(-20, 21)
        high, low = max(before, price) + 1, min(before, price) - 1
        prices = f"{before}.10,{high}.20,{low}.00,{price}.10,1.5"
        lines.append(f"{opened},{prices},{opened + 59_999},63000,10,1.0,42000,0")
    name = f"BTCUSDT-1m-{start:%Y-%m-%d}"
    return f"{name}.zip", zipped(f"{name}.csv", "\n".join(lines) + "\n")()


class Pipeline:
    """An import and an experiment at times of their own, each run at once when it is asked for."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.dataset = site, f"{site.place}/nightly-data"
        page = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")
        [manifest] = re.findall(r"```yaml\n(apiVersion:.*?)```", page, re.DOTALL)
        manifest = manifest.replace("s3://raw", f"{site.place}/nightly-raw")
        site.backtests.kubectl(
            "apply", "-f", "-", given=manifest.replace("s3://data/btc", self.dataset)
        )
        bars = f"{INSTRUMENT}-1-MINUTE-LAST-EXTERNAL"
        self.experiment = site.experiment(
            "new-windows",
            dataset={"path": self.dataset},
            strategy={
                "path": "trading_runtime.strategies.ema_cross:EMACross",
                "config": {"instrument_id": INSTRUMENT, "bar_type": bars, "trade_size": 0.1},
            },
            parameters={"fast": [5], "slow": [30]},
            schedule={"cron": "0 6 * * *", "time_zone": "UTC"},
        )
        self.path = folder / "new-windows.json"
        self.path.write_text(json.dumps(self.experiment.content))

    def lands(self, number: int) -> None:
        """Put a day's file into S3."""
        name, content = day(number)
        self.site.storage.write(f"nightly-raw/{name}", content)

    def now(self, name: str) -> Workflow:
        """Submit what a CronWorkflow submits at its time; wait for its good end."""
        words = ("argo", "submit", "--namespace", self.site.backtests.name, "--output", "name")
        told = run(*words, "--from", f"cronworkflow/{name}")
        return self.site.backtests.succeeded(told.strip().rpartition("/")[2])

    def computed(self, workflow: Workflow) -> list[str]:
        """Return the ids of the tasks that the pods of a run computed, as its journal tells."""
        lines = self.site.run_file(workflow.name, "journal.jsonl").splitlines()
        entries = [json.loads(line) for line in lines]
        return [e["payload"]["task_id"] for e in entries if e["event"] == "task_completed"]


def test_a_day_that_lands_is_imported_at_night_and_only_its_windows_are_computed(
    site: Site, tmp_path: Path
) -> None:
    pipeline = Pipeline(site, tmp_path)
    pipeline.lands(0)
    pipeline.lands(1)
    pipeline.now("btc-nightly")
    before = S3Folder(pipeline.dataset).sizes()
    run(*COMMAND, "schedule", "apply", str(pipeline.path), "-n", site.backtests.name)
    first = pipeline.now("new-windows")

    pipeline.lands(2)
    pipeline.now("btc-nightly")
    second = pipeline.now("new-windows")

    # A day's last bar closes at midnight, in the next window: two days are in three windows. The
    # third day touches the last of them and begins one more.
    assert len(pipeline.computed(first)) == 3
    assert len(pipeline.computed(second)) == 2
    assert set(pipeline.computed(first)).isdisjoint(pipeline.computed(second))
    assert json.loads(second.outputs["counts"])["ok"] == 4
    after = S3Folder(pipeline.dataset).sizes()
    assert {name for name in before if before[name] != after.get(name)} == {"manifest.json"}

    # A dataset that grew is another than one of all days at once, so a laptop's grows as well.
    raw, here = tmp_path / "raw", tmp_path / "data"
    raw.mkdir()
    words = ("--format", "binance-klines", "--instrument", INSTRUMENT, "--to", str(here))
    for numbers in ((0, 1), (2,)):
        for name, content in map(day, numbers):
            (raw / name).write_bytes(content)
        run(*COMMAND, "data", "import", str(raw / "*.zip"), *words)
    laptop = pipeline.experiment.run_on_laptop(dataset=here)
    assert laptop["run_digest"] == second.outputs["run_digest"]
