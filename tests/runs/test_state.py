"""How a run stands is told even where one of its files cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime.results.store import Store
from trading_runtime.runs.overview import stored_metadata

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.damages_journals


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_a_file_that_is_absent_or_damaged_says_nothing(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "runs" / "one" / "metadata.json"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)

    assert stored_metadata(Store(tmp_path), "one") is None


def test_a_folder_in_the_place_of_a_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one" / "metadata.json").mkdir(parents=True)

    assert stored_metadata(Store(tmp_path), "one") is None
