"""What is installed and runs here enters every identity: versions, platform, the runtime's code."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

from trading_runtime.errors import UsageError
from trading_runtime.planning import environment

# Modules that a task imports and that change no byte of its result, each with the reason.
EXEMPT = {
    "__init__.py": "is empty",
    "config/__init__.py": "is empty",
    "datasets/__init__.py": "is empty",
    "execution/__init__.py": "is empty",
    "execution/workers/__init__.py": "is empty",
    "planning/__init__.py": "is empty",
    "results/__init__.py": "is empty",
    "datasets/fetching.py": "moves files that are verified before they are used",
    "records/__init__.py": "is empty",
    "records/run_files.py": "names the files of a run",
    "storage/__init__.py": "is empty",
    "storage/files.py": "moves bytes that are verified",
    "object_storage.py": "moves bytes that are verified",
    "s3_faults.py": "tells one error of storage from another",
    "s3_settings.py": "finds the storage",
    "execution/workers/memory.py": "says when a process has to end, not what it computes",
    "planning/environment.py": "looks up what the identity itself holds",
    "results/artifacts.py": "verifies what is read",
    "results/opening.py": "chooses a store",
    "results/scratch.py": "makes empty folders",
    "results/s3_store.py": "moves bytes that are verified",
    "results/folders.py": "moves bytes that are verified",
    "results/store.py": "moves bytes that are verified",
}


def test_the_runtime_digest_covers_every_module_that_a_task_imports() -> None:
    code = (
        "import sys, trading_runtime.execution.workers.worker, trading_runtime.execution.task\n"
        "from trading_runtime.results.opening import open_store\n"
        "for name, module in sorted(sys.modules.items()):\n"
        "    if name.split('.')[0] == 'trading_runtime': print(module.__file__)\n"
    )
    imported = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=environment.PACKAGE.parent,
    ).stdout.split()
    names = [path.removeprefix(f"{environment.PACKAGE}/") for path in imported]
    covered = tuple(
        name if name.endswith(".py") else f"{name}/" for name in environment.RUNTIME_CODE
    )

    assert len(names) > len(environment.RUNTIME_CODE)
    assert {name for name in names if not name.startswith(covered)} <= EXEMPT.keys()


def test_every_name_of_the_runtime_code_is_there() -> None:
    assert [
        name for name in environment.RUNTIME_CODE if not (environment.PACKAGE / name).exists()
    ] == []


def test_the_environment_states_what_is_installed_and_where_it_runs() -> None:
    found = environment.environment([])

    assert found["engine"] == {"nautilus_trader": metadata.version("nautilus_trader")}
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (found["system"], found["machine"]) == (platform.system(), platform.machine())
    assert found["packages"]["polars"] == metadata.version("polars")


def test_packages_are_those_that_the_requirements_pin_by_lower_case_name() -> None:
    pinned = environment.pinned_packages()

    assert {"nautilus-trader", "polars", "pyarrow", "pydantic"} <= set(pinned)
    assert list(pinned) == sorted(set(pinned))


def test_a_package_that_the_strategy_requires_is_added_with_its_version() -> None:
    found = environment.environment(["pytest"])

    assert found["packages"]["pytest"] == metadata.version("pytest")


def test_a_required_package_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"strategy\.requirements: 'no-such-package' is not inst"):
        environment.environment(["no-such-package"])


def test_the_runtime_digest_is_the_same_each_time() -> None:
    first = environment.runtime_digest()
    environment.runtime_digest.cache_clear()

    assert environment.runtime_digest() == first
    assert len(first) == 64


def common() -> dict[str, Any]:
    """Return what tasks share, as far as it is about where they run."""
    return {
        **environment.environment(["pytest"]),
        "code": {"runtime": environment.runtime_digest()},
    }


def test_a_plan_made_here_can_be_computed_here() -> None:
    environment.refuse_other_environment(common())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"python": "3.12"}, r"another python \(3\.12, here 3\."),
        ({"machine": "riscv64"}, r"another machine \(riscv64, here "),
        ({"code": {"runtime": "0" * 64}}, r"another runtime \(0{64}, here "),
        ({"engine": {"nautilus_trader": "1.0"}}, r"another engine \(nautilus_trader 1\.0, here 2"),
    ],
    ids=["Python", "machine", "runtime", "engine"],
)
def test_a_plan_made_with_other_versions_is_refused_with_both(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        environment.refuse_other_environment(common() | change)


def test_a_package_that_is_no_longer_installed_is_a_difference() -> None:
    then = common()
    then["packages"]["gone-package"] = "1.0"

    with pytest.raises(UsageError, match=r"another packages \(gone-package 1\.0, here None\)"):
        environment.refuse_other_environment(then)
