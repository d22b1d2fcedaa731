"""The store is the judge of what is done: a damaged result is found, set aside, computed again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from trading_runtime import api

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


@pytest.mark.parametrize(
    "name",
    ["summary.json", "equity.parquet", "orders.parquet", "fills.parquet", "manifest.json"],
)
def test_a_flipped_byte_is_found_when_the_run_is_reduced_and_mended_by_the_next(
    small: SmallExperiment, name: str
) -> None:
    small.write(parameters={"every": [20]})
    sound = api.run(small.path, run_id="sound", workers=1)
    damaged = sorted((small.results / "tasks").glob("??/*"))[1]
    content = bytearray((damaged / name).read_bytes())
    # In the manifest a hexadecimal digit, so that it stays JSON.
    place = content.index(b"sha256") + 20 if name == "manifest.json" else len(content) // 2
    content[place] ^= 1
    (damaged / name).write_bytes(content)

    found = api.run(small.path, run_id="found", workers=1)
    assert found.result["counts"] == {"planned": 3, "ok": 2, "failed": 1, "missing": 0}
    assert found.result["failed_by_kind"] == {"data": 1}
    assert found.result["best"] is None
    [failure] = found.failures
    assert failure["task_id"] == damaged.name
    assert str(damaged / name) in failure["message"]
    assert "set aside: run again" in failure["message"]
    assert not damaged.exists()
    assert damaged.with_name(f"{damaged.name}.damaged-1").is_dir()

    mended = api.run(small.path, run_id="found", workers=1)
    assert mended.computed == 1
    assert mended.result == sound.result
    assert mended.failures == []


def test_a_result_with_a_missing_file_is_computed_again_at_once(small: SmallExperiment) -> None:
    small.write(parameters={"every": [20]})
    sound = api.run(small.path, run_id="sound", workers=1)
    next((small.results / "tasks").glob("??/*/positions.parquet")).unlink()
    again = api.run(small.path, run_id="again", workers=1)

    assert again.computed == 1
    assert again.result == sound.result


def test_the_digest_is_over_tasks_and_manifests_and_nothing_else(small: SmallExperiment) -> None:
    small.write(parameters={"every": [20]})
    run = api.run(small.path, run_id="run", workers=1)
    pairs = [
        [path.parent.name, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in sorted((small.results / "tasks").glob("??/*/manifest.json"))
    ]
    text = json.dumps(sorted(pairs), separators=(",", ":"))

    assert run.result["run_digest"] == hashlib.sha256(text.encode()).hexdigest()
