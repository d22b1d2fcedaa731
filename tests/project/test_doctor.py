"""``doctor`` says what is wrong with an installation, and that nothing is."""

from __future__ import annotations

import json
import os
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.project import doctor

if TYPE_CHECKING:
    from pathlib import Path


def parts(capsys: pytest.CaptureFixture[str]) -> tuple[bool, dict[str, dict[str, str]]]:
    found = json.loads(capsys.readouterr().out)
    return found["sound"], {part["name"]: part for part in found["parts"]}


def test_this_installation_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(root, ["doctor", "--json"]) == 0

    is_sound, found = parts(capsys)
    assert is_sound
    assert found["packages"]["message"].endswith("at their pinned versions")
    assert metadata.version("nautilus_trader") in found["engine"]["message"]


def test_a_package_that_is_missing_or_another_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pins = tmp_path / "requirements.txt"
    monkeypatch.setattr(doctor, "PINS", pins)

    pins.write_text("click==0.0.1 \\\n    --hash=sha256:00\n")
    assert invoke(root, ["doctor", "--json"]) == 0
    installed = metadata.version("click")
    assert parts(capsys)[1]["packages"] == {
        "name": "packages",
        "state": "note",
        "message": f"other versions than tested: click {installed}, pinned 0.0.1",
    }

    pins.write_text("no-such-package==1.0\n")
    assert invoke(root, ["doctor", "--json"]) == 2
    is_sound, found = parts(capsys)
    assert not is_sound
    assert "not installed: no-such-package" in found["packages"]["message"]


@pytest.mark.parametrize(
    ("version", "user", "expected"),
    [
        (0, 1000, ("note", "no Landlock")),
        (1, 1000, ("note", "no Landlock")),
        (5, 1000, ("note", "may end")),
        (6, 1000, ("ok", "ends none")),
        (6, 0, ("note", "of root")),
    ],
)
def test_a_kernel_that_does_not_keep_strategies_from_other_processes_is_a_note(
    version: int,
    user: int,
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(doctor, "landlock_version", lambda: version)
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert invoke(root, ["doctor", "--json"]) == 0
    found = parts(capsys)[1]["isolation"]
    state, words = expected
    assert found["state"] == state
    assert words in found["message"]


def test_a_tool_that_is_not_there_is_a_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert invoke(root, ["doctor"]) == 0
    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert {name: lines[name] for name in ("argo", "kubectl", "docker")} == {
        "argo": "note",
        "kubectl": "note",
        "docker": "note",
    }
