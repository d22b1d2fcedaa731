"""The cluster's storage from a laptop, through a network that fails one request in three."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.s3.servers import Proxy
from tests.s3.test_runs_in_s3 import upload
from trading_runtime import api
from trading_runtime.storage import s3
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.settings import Settings
    from tests.small_experiment import SmallExperiment


@pytest.fixture
def place(settings: Settings, small_dataset: Path) -> Iterator[str]:
    """An address in S3 with the small dataset under ``data``, removed in the end."""
    address = f"s3://{settings.bucket}/e2e-{secrets.token_hex(3)}"
    upload(small_dataset, f"{address}/data")
    yield address
    s3._opened.cache_clear()
    objects = S3Folder(address)
    objects.remove_all(list(objects.sizes()))


def test_a_network_that_fails_every_third_request_changes_nothing(
    small: SmallExperiment, place: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = api.run(small.path, run_id="one")
    path = small.write(dataset={"path": f"{place}/data"}, results=f"{place}/results")
    server = urlsplit(settings.endpoint)
    with (
        monkeypatch.context() as patched,
        Proxy(
            server.port or 80,
            lambda number: (503, 0)[number % 2] if number % 3 == 0 else None,
            server.hostname or "",
        ) as proxy,
    ):
        patched.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        run = api.run(path, run_id="one", workers=2)
        assert proxy.faults > 20
    assert run.result["run_digest"] == local.result["run_digest"]
