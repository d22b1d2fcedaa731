"""An S3 server with a bucket, and the variables that lead to it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.s3.servers import S3Server
from trading_runtime.storage import s3

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "canary-9f2c61d7"  # noqa: S105 - it must show up nowhere
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    """The server, one for all tests."""
    with S3Server() as started:
        yield started


@pytest.fixture
def storage(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, with the usual variables of AWS set to it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    s3._opened.cache_clear()
    yield server
    s3._opened.cache_clear()


@pytest.fixture
def bucket(storage: S3Server) -> str:
    """The address of a new bucket."""
    name = f"research-{next(_numbers)}"
    storage.put(name)
    return f"s3://{name}"
