"""What a workflow of many small pods costs beside one that does nothing in as many pods."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.bare_pods import bare_pods

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.servers import StorageProxy
    from tests.e2e.site import Site
    from tests.e2e.workflows import Workflow

STRICT_PODS = 200
PODS, BARE_PODS = 100, 50
"""Where the mark is only told, so many are enough to know what one takes."""
MARK = 1.1
"""What the ratio shall be on a cluster that does nothing else."""
NOISE = 2.5
"""What it may be where others work on the same processors; beyond that something is broken."""
TEMPLATE_BYTES, BYTES_A_POD = 90_000, 1_000
"""What a Workflow may have in the Kubernetes API: for its templates, and for each pod."""
SECONDS = 1_200


def seconds(workflow: Workflow) -> float:
    """Return how long a workflow took, as Argo has it."""
    status = workflow.content["status"]
    started, finished = (
        dt.datetime.fromisoformat(status[key]) for key in ("startedAt", "finishedAt")
    )
    return (finished - started).total_seconds()


def workflow_bytes(site: Site, workflow: Workflow) -> int:
    """Return how large the Workflow is in the Kubernetes API."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{site.backtests.name}/workflows/{workflow.name}"
    return len(site.backtests.kubectl("get", "--raw", path))


COMPILED = """
import sys
import trading_runtime.execution.task
files = [getattr(module.__spec__, "cached", None) for module in list(sys.modules.values())]
flags = {path: open(path, "rb").read(8)[4] for path in files if path}
by_time = [path for path, flag in flags.items() if not flag]
sys.exit(f"{len(by_time)} of {len(flags)}, such as {by_time[:3]}" if by_time else 0)
"""


LISTED = """
import importlib.metadata, json, sys
parts = json.load(open("/app/sbom.cdx.json"))["components"]
listed = {(part["name"].lower(), part["version"]) for part in parts}
there = {(part.name.lower(), part.version) for part in importlib.metadata.distributions()}
print(sorted(listed ^ there), len(there))
sys.exit(listed != there or len(there) < 10)
"""


def test_the_image_lists_what_it_is_made_of(site: Site, image: str) -> None:
    site.backtests.succeeded(site.backtests.create(bare_pods(image, 1, LISTED)))


def test_no_pod_compiles_what_it_imports(site: Site, image: str) -> None:
    # Bytecode that goes by the time of its source is worth nothing once an image's times are set.
    site.backtests.succeeded(site.backtests.create(bare_pods(image, 1, COMPILED)))


@pytest.fixture
def _straight_to_the_storage(site: Site, storage_proxy: StorageProxy) -> Iterator[None]:
    """Go past the proxy of the other tests, which would be measured, too."""
    site.script("create-s3-secret.sh")
    yield
    site.script("create-s3-secret.sh", AWS_ENDPOINT_URL=storage_proxy.endpoint)


@pytest.mark.alone_on_the_cluster
@pytest.mark.usefixtures("_straight_to_the_storage")
def test_many_batches_take_little_longer_than_as_many_pods(
    site: Site, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    is_strict = site.settings.strict_speed
    pods, bare = (STRICT_PODS, STRICT_PODS) if is_strict else (PODS, BARE_PODS)
    fast = {"start": 2, "stop": 68, "step": 1}
    many = site.experiment("many", parameters={"fast": fast, "slow": [70]})
    importing = bare_pods(image, bare, "import nautilus_trader.backtest")
    alone = site.backtests.succeeded(site.backtests.create(importing), SECONDS)
    ours = site.backtests.succeeded(
        many.submit(batch_seconds="0.001", most_batches=str(pods)), SECONDS
    )
    size = workflow_bytes(site, ours)
    ratio = (seconds(ours) / pods) / (seconds(alone) / bare)
    with capsys.disabled():
        # Standard output is not shown where tests run in several processes.
        sys.stderr.write(
            f"\n{pods} batches: {seconds(ours):.0f} s, {bare} bare pods: {seconds(alone):.0f} s, "
            f"ratio {ratio:.2f} (mark: {MARK}); the Workflow has {size:,} bytes\n"
        )
    assert len(alone.pods("bare")) == bare
    assert len(ours.pods("batch")) == pods
    counts = {"planned": 201, "ok": 201, "failed": 0, "missing": 0, "failed_by_kind": {}}
    assert json.loads(ours.outputs["counts"]) == counts
    assert ours.outputs["run_digest"] == many.run_on_laptop()["run_digest"]
    assert size < TEMPLATE_BYTES + pods * BYTES_A_POD
    assert ratio <= (MARK if is_strict else NOISE)
