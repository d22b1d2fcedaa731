"""The first worker checks what needs the engine, while the run is still being planned."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import ENTRYPOINT
from trading_runtime.errors import CrashError, StrategyError, UsageError
from trading_runtime.execution.preparation import PreparedRun, prepare_run
from trading_runtime.execution.workers.prestarted import PrestartedWorker

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def prepared(small: SmallExperiment) -> PreparedRun:
    with PrestartedWorker() as prestarted:
        return prepare_run(small.path, 1, prestarted.check)


def put_first(small: SmallExperiment, line: str) -> None:
    """Put a line in front of the strategy's module."""
    path = small.folder / "counting.py"
    path.write_text(path.read_text().replace("import random", f"{line}\nimport random", 1))


def test_it_plans_what_this_process_would_plan(small: SmallExperiment) -> None:
    assert prepared(small).plan.digest == prepare_run(small.path, 1).plan.digest


def test_a_run_needs_no_engine_in_the_process_that_plans(small: SmallExperiment) -> None:
    program = (
        "import sys\n"
        "from trading_runtime.cli.main import invoke\n"
        "from trading_runtime.cli.run import run\n"
        f"code = invoke(run, [{str(small.path)!r}, '--run-id', 'run'])\n"
        "sys.exit(code or 'nautilus_trader' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, cwd=ENTRYPOINT.parent, check=False, capture_output=True)

    assert finished.returncode == 0, finished.stderr.decode()


def test_what_the_strategy_refuses_is_told_as_in_this_process(small: SmallExperiment) -> None:
    small.use("counting.py:Missing")

    with pytest.raises(UsageError, match="has no class 'Missing'"):
        prepared(small)


def test_what_the_strategy_raises_while_it_is_imported_is_told(small: SmallExperiment) -> None:
    put_first(small, "1 / 0;")

    with pytest.raises(StrategyError, match=r"counting\.py:\d+: .*ZeroDivisionError"):
        prepared(small)


def test_a_strategy_that_ends_the_process_that_imports_it_is_told(small: SmallExperiment) -> None:
    put_first(small, "import os; os._exit(9);")

    with pytest.raises(CrashError, match=r"counting\.py: importing .* \(exit code 9\)"):
        prepared(small)


def test_what_the_strategy_prints_while_it_is_imported_stays_out_of_the_output(
    small: SmallExperiment,
) -> None:
    put_first(small, "print('hello');")
    command = [sys.executable, str(ENTRYPOINT), "--config", str(small.path), "--json"]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)

    assert finished.stdout.startswith("{")
