"""``make paper``, as a newcomer runs it in a checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_PARTS = ("Makefile", "trading_runtime", "tests/data/parts")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the target uses, with the environment that the tests have."""
    for name in _PARTS:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_make_paper_prints_what_happened_the_report_and_the_verdict(checkout: Path) -> None:
    # The environment is there, and making it again is tested by CI.
    command = ["make", "--no-print-directory", "-o", "environment", "paper"]
    made = subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, check=False, env=os.environ.copy()
    )
    said = made.stdout + made.stderr

    assert made.returncode == 0, said
    [orders, fills] = map(int, re.findall(r"traded +(\d+) orders, (\d+) fills", said)[0])
    assert fills >= orders > 0
    verdict = f"parity with a backtest of the same rows: {fills} fills exact, 0 one row apart"
    assert f"{verdict}, 0 unexplained" in said
    [report] = re.findall(r"report +(\S+)", said)
    assert (checkout / report).is_file()
    [picture] = re.findall(r"equity of both: (\S+)", said)
    assert (checkout / picture).is_file()
