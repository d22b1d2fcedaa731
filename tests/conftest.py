"""What tests of all rooms share: repeatable property tests, and a small dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.small_experiment import SmallExperiment, make_dataset

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that kill runs do so more often than in everyday work."""
    parser.addoption("--kills", type=int, default=10, help="how often runs are killed (default 10)")


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days with 240 minute bars each, prepared from a CSV file; not to be changed."""
    return make_dataset(tmp_path_factory.mktemp("small") / "dataset")


@pytest.fixture
def small(tmp_path: Path, small_dataset: Path) -> SmallExperiment:
    """A folder with an experiment over the small dataset, its strategy beside it."""
    return SmallExperiment(tmp_path, small_dataset)
