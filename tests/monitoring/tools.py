"""The programs of Prometheus, where this machine has them."""

from __future__ import annotations

import shutil

import pytest

from tests.small_experiment import ROOT

_UNPACKED = ROOT / ".tools" / "bin"


def tool(name: str) -> str:
    """Return the path of a program, from the PATH or from ``scripts/prometheus-tools.sh``.

    Skips the test where there is none.
    """
    found = shutil.which(name) or shutil.which(name, path=str(_UNPACKED))
    if found is None:
        pytest.skip(f"{name} is not on this machine; scripts/prometheus-tools.sh fetches it")
    return found
