"""Results and data in S3 are proved as those in folders are."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

from tests.s3.test_runs_in_s3 import upload
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.small_experiment import SmallExperiment


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Return the exit code of a command, and what it printed as JSON."""
    code = invoke(root, [*words, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else captured.err


def test_a_run_in_s3_is_verified_damaged_and_compared(
    small: SmallExperiment,
    small_dataset: Path,
    bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    upload(small_dataset, f"{bucket}/data")
    results = S3Folder(f"{bucket}/results")
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20, 30]})
    local = api.run(small.write(results="results"), run_id="one", workers=1)
    path = small.write(dataset={"path": f"{bucket}/data"}, results=results.url)
    api.run(path, run_id="one", workers=1)

    code, found = printed(capsys, "verify", "one", "--sample", "1", "--results", results.url)
    assert (code, found["counts"]["same"], found["stored"]) == (0, 1, 2)
    assert results.read("runs/one/journal.jsonl").splitlines()[-1].find(b"run_verified") > 0

    here = str(local.files.folder.parent.parent)
    code, found = printed(
        capsys, "why", "one", "one", "--results", results.url, "--results-b", here
    )
    assert (code, found["same"], found["tasks"]["same"]) == (0, True, 2)

    name = next(name for name in results.sizes("tasks/") if name.endswith("fills.parquet"))
    results.write(name, results.read(name)[:-1] + b"x")
    code, found = printed(capsys, "verify", "one", "--all", "--results", results.url)
    assert (code, found["counts"]["damaged"], found["counts"]["same"]) == (3, 1, 1)
    # By its address, and not by that of a copy that is gone.
    assert f"{results.url}/{name}: the stored result is damaged" in json.dumps(found)
    assert invoke(root, ["runs", "summarise", "one", "--results", results.url]) == 5
    [failure] = results.sizes("runs/one/failures/")
    assert f"{results.url}/{name}: the stored result is damaged" in results.read(failure).decode()
    report = results.read("runs/one/report/index.html").decode()
    assert f"{results.url}/{name}: the stored result is damaged" in html.unescape(report)
