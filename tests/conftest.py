"""What tests of all rooms share: repeatable property tests, a small dataset, checked journals."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.record_schemas import check_line, check_records
from tests.small_experiment import DAY_STARTS, SmallExperiment, make_dataset
from trading_runtime import api
from trading_runtime.records.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.records.events import Event

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that kill runs do so more often than in everyday work."""
    parser.addoption("--kills", type=int, default=10, help="how often runs are killed (default 10)")


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days with 240 minute bars each, prepared from a CSV file; not to be changed."""
    return make_dataset(tmp_path_factory.mktemp("small") / "dataset")


@pytest.fixture(scope="session")
def long_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six weeks with 20 minute bars each day, enough to tell skill from luck; not to be changed."""
    days = range(DAY_STARTS[0], DAY_STARTS[0] + 42 * 86_400, 86_400)
    return make_dataset(tmp_path_factory.mktemp("long") / "dataset", days=days, bars_a_day=20)


@pytest.fixture
def small(tmp_path: Path, small_dataset: Path) -> SmallExperiment:
    """A folder with an experiment over the small dataset, its strategy beside it."""
    return SmallExperiment(tmp_path, small_dataset)


@pytest.fixture(autouse=True, scope="session")
def _lines_written_here_are_of_the_schema() -> Iterator[None]:
    """Hold every line that a test writes in its own process to the committed JSON Schema."""
    write = Journal.write

    def write_and_check(journal: Journal, event: Event) -> None:
        write(journal, event)
        check_line(journal._path.read_bytes().splitlines()[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "write", write_and_check)
        yield


@pytest.fixture(autouse=True, scope="module")
def _engines_end_where_they_ran() -> Iterator[None]:
    """Drop what ran here in this thread: the engine's objects may not be dropped in another's."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _records_left_behind_are_of_their_schemas(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold the journals and metadata to them that the processes of a test left in its folder."""
    damages = request.node.get_closest_marker("damages_journals") is not None
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None and not damages:
        check_records(folder)


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """Runs that ended: ``whole``, and ``partly`` with one task of two failed; not to be changed."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("ended"), small_dataset)
    experiment.use("failing.py:Failing", way=["none", "raise"])
    assert api.run(experiment.path, run_id="partly", workers=1).result["counts"]["failed"] == 1
    experiment.write(parameters={"way": ["none"]})
    assert api.run(experiment.path, run_id="whole", workers=1).result["complete"]
    return experiment


@pytest.fixture
def results(ended: SmallExperiment, tmp_path: Path) -> Path:
    """A copy of the results folder with the runs that ended, to change things in."""
    return Path(shutil.copytree(ended.results, tmp_path / "results"))
