"""Experiment files that are wrong: each has its exit code, and words that its message must hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trading_runtime.cli.main import invoke, root

FOLDER = Path(__file__).parent / "bad_inputs"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
def test_a_bad_experiment_is_refused_in_words_that_help(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOLDER)
    before = sorted(FOLDER.iterdir())

    exit_code = invoke(root, ["config", "check", case["file"]])

    output, errors = capsys.readouterr()
    assert exit_code == case["exit_code"]
    for words in case["says"]:
        assert words in errors
    lines = errors.splitlines()
    assert len(lines) == case["lines"]
    assert all(line.startswith(f"error: {case['file']}:") for line in lines)
    assert all(len(line) < 400 for line in lines)
    assert "Traceback" not in errors
    assert output == ""
    assert sorted(FOLDER.iterdir()) == before


def test_every_bad_file_is_in_the_table() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"cases.json"}

    assert files == {case["file"] for case in CASES}
