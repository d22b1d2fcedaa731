"""What tests of sessions share."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.sessions.live_session import LiveSession
from tests.sessions.small_session import SmallSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def deployed(tmp_path: Path, small_dataset: Path) -> SmallSession:
    """A folder with a deployment over the small dataset."""
    return SmallSession(tmp_path, small_dataset)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallSession:
    """A session ``one`` that was played to its end; not to be changed."""
    session = SmallSession(tmp_path_factory.mktemp("played"), small_dataset)
    ended = session.run()
    assert ended.returncode == 0, ended.stderr
    return session


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveSession]:
    """A live deployment with its venue."""
    with LiveSession(tmp_path) as session:
        yield session


@pytest.fixture
def in_a_terminal() -> Iterator[None]:
    """Let processes hear of a terminal that is closed, also where the tests run under ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
