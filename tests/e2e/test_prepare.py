"""A dataset made in pods of raw files in S3 is a laptop's, byte for byte."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from tests.s3.test_runs_in_s3 import upload
from trading_runtime.cli.main import invoke, root
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.servers import StorageProxy
    from tests.e2e.site import Site

NAMES = ("BTCUSD.KRAKEN", "ETHUSD.KRAKEN", "SOLUSD.KRAKEN")
MINUTES = 50_000
NOON = 1_704_110_400
pytestmark = pytest.mark.usefixtures("image")


def write_raw(folder: Path) -> None:
    """Write two files of bars for each instrument, and the data file."""
    instruments = [
        {
            "type": "CurrencyPair",
            "id": name,
            "base_currency": name[:3],
            "quote_currency": "USD",
            "price_increment": "0.1",
            "size_increment": "0.1",
        }
        for name in NAMES
    ]
    columns = ("timestamp", "open", "high", "low", "close", "volume")
    series = [
        {
            "type": "bars",
            "instrument": name,
            "bar": "1-MINUTE-LAST",
            "files": f"{name}/*.csv",
            "header": False,
            "timestamp_format": "s",
            "timestamp_marks": "open",
            "columns": {column: number for number, column in enumerate(columns, 1)},
        }
        for name in NAMES
    ]
    walk = random.Random(3)  # noqa: S311 - made-up prices
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        for part in range(2):
            lines = []
            for minute in range(part * MINUTES, (part + 1) * MINUTES):
                low = walk.randrange(100, 900)
                lines.append(f"{NOON + 60 * minute},{low}.5,{low + 9},{low},{low + 3},{minute + 1}")
            (folder / name / f"{part}.csv").write_text("\n".join(lines) + "\n")
    (folder / "instruments.json").write_text(json.dumps(instruments))
    content = {"instruments": "instruments.json", "series": series}
    (folder / "all.data.json").write_text(json.dumps(content))


def test_a_pod_deleted_in_the_middle_changes_no_byte_of_a_dataset(
    site: Site, storage_proxy: StorageProxy, tmp_path: Path
) -> None:
    raw, here = tmp_path / "raw", tmp_path / "here"
    write_raw(raw)
    upload(raw, f"{site.place}/raw")
    made = f"{site.place}/made"

    name = site.backtests.submit("prepare", config=f"{site.place}/raw/all.data.json", to=made)
    site.backtests.until(name, lambda now: any(p["phase"] == "Succeeded" for p in now.pods("plan")))
    # No pod of a series comes to its end before one of them is deleted.
    with storage_proxy.held():
        victim = site.backtests.delete_running(name, "batch")
    assert invoke(root, ["data", "prepare", str(raw / "all.data.json"), "--to", str(here)]) == 0
    ended = site.backtests.succeeded(name)

    lost = [node for node in ended.pods("batch") if node["phase"] != "Succeeded"]
    # Argo may make the pod again under its name, and then counts none as lost.
    assert {ended.pod_of(node) for node in lost} <= {victim}
    folder = S3Folder(made)
    there = folder.read_all(sorted(folder.sizes()))
    paths = [path for path in sorted(here.rglob("*")) if path.is_file()]
    assert there == {path.relative_to(here).as_posix(): path.read_bytes() for path in paths}
    [summary] = ended.pods("summary")
    [digest] = summary["outputs"]["parameters"]
    assert digest["value"] == json.loads(there["manifest.json"])["digest"]
