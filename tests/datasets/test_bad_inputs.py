"""Bad data files, raw files, instruments, manifests: what is said, and that nothing is left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trading_runtime.cli.data import data
from trading_runtime.errors import TradingRuntimeError

BAD_INPUTS = Path(__file__).parent / "bad_inputs"
CASES: list[dict[str, Any]] = json.loads((BAD_INPUTS / "cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_bad_input_is_refused_with_its_place_and_leaves_nothing_behind(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(BAD_INPUTS / case["name"], tmp_path / "case")
    shutil.copy(BAD_INPUTS / "instruments.json", tmp_path)
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path / "case")

    result = CliRunner().invoke(data, case["command"])

    assert isinstance(result.exception, TradingRuntimeError), result.output
    assert result.exception.exit_code == case["exit"]
    message = str(result.exception)
    assert [word for word in case["words"] if word not in message] == [], message
    assert "Traceback" not in message
    assert len(message.splitlines()) <= 2 * case.get("problems", 1)
    assert result.output == ""
    assert contents(tmp_path) == before


def test_every_folder_of_bad_inputs_is_a_case_of_the_table() -> None:
    folders = {path.name for path in BAD_INPUTS.iterdir() if path.is_dir()}

    assert folders == {case["name"] for case in CASES}


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
