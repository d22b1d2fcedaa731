"""Pods, and a bucket in a real S3 server for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.argo.pods import Pods
from tests.s3.conftest import bucket, server, storage

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bucket", "pods", "server", "storage"]


@pytest.fixture
def pods(tmp_path: Path) -> Pods:
    """Pods of one test."""
    return Pods(tmp_path / "pods")
