"""The drill that cuts S3 off: a run resumes after it, and fails when nothing is tried again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("options", "code", "verdict"), [([], 0, "passed"), (["--sabotage"], 11, "failed")]
)
def test_storage_outage(bucket: str, options: Sequence[str], code: int, verdict: str) -> None:
    command = ["drill", "storage-outage", "--results", f"{bucket}/results", *options]

    assert invoke(root, command) == code
    results = S3Folder(f"{bucket}/results")
    left = json.loads(results.read("drills/storage-outage.json"))
    assert left["verdict"] == verdict
    held = {step["name"]: step["ok"] for step in left["steps"]}
    assert held["requests were refused"]
    assert held["the run resumes on its own"] is (code == 0)
    assert list(results.sizes("drills/")) == ["drills/storage-outage.json"]
