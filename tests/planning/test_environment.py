"""What is installed and runs here enters every identity: versions, platform, the runtime's code."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans import COMMON
from trading_runtime.errors import UsageError
from trading_runtime.planning import distributions, environment
from trading_runtime.records.inputs import CommonInputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Modules that a task imports and that change no byte of its result, each with the reason.
EXEMPT = {
    "__init__.py": "is empty",
    "config/__init__.py": "is empty",
    "config/statistic_names.py": "names the columns of tables",
    "datasets/__init__.py": "is empty",
    "execution/__init__.py": "is empty",
    "execution/workers/__init__.py": "is empty",
    "planning/__init__.py": "is empty",
    "results/__init__.py": "is empty",
    "datasets/fetching.py": "moves files that are verified before they are used",
    "records/__init__.py": "is empty",
    "records/planned_data.py": "reads the data of a plan, which the ids of its tasks cover",
    "records/run_files.py": "names the files of a run",
    "storage/__init__.py": "is empty",
    "storage/s3.py": "moves bytes that are verified",
    "storage/object_store.py": "says what a place of bytes does",
    "storage/s3_faults.py": "tells one error of storage from another",
    "storage/s3_settings.py": "finds the storage",
    "execution/executor.py": "says what happened to a task",
    "execution/workers/answers.py": "what a worker says, which its parent reads",
    "execution/workers/requests.py": "what a worker is asked for: tasks of the plan, by number",
    "execution/workers/descendants.py": "ends processes",
    "execution/workers/fence.py": "keeps a process from others",
    "redaction.py": "hides secrets in what is said of a failure",
    "sequences.py": "goes through the data of a plan, which the ids of its tasks cover",
    "execution/workers/memory.py": "says when a process has to end, not what it computes",
    "planning/distributions.py": "looks up what the identity itself holds",
    "planning/environment.py": "looks up what the identity itself holds",
    "results/artifacts.py": "verifies what is read",
    "storage/scratch.py": "makes empty folders",
    "results/task_places.py": "moves bytes that are verified",
    "storage/working_copy.py": "moves bytes that are verified",
    "storage/files.py": "moves bytes that are verified",
    "storage/folders.py": "moves bytes that are verified",
    "results/packs.py": "copies what is verified when it is read",
    "results/store.py": "moves bytes that are verified",
    "text.py": "says how a failure is shown",
}


def test_the_runtime_digest_covers_every_module_that_a_task_imports() -> None:
    code = (
        "import sys, trading_runtime.execution.workers.worker, trading_runtime.execution.task\n"
        "from trading_runtime.results.store import open_store\n"
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
    assert found["packages"] == {name: metadata.version(name) for name in ("numpy", "pyarrow")}


def test_packages_are_those_that_the_requirements_pin_by_lower_case_name() -> None:
    pinned = environment.pinned_packages()

    assert {"nautilus-trader", "polars", "pyarrow", "pydantic"} <= set(pinned)
    assert list(pinned) == sorted(set(pinned))


def test_a_package_that_the_strategy_requires_is_added_with_its_version() -> None:
    found = environment.environment(["pytest"])

    assert found["packages"]["pytest"] == metadata.version("pytest")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with made-up packages, of which one needs another."""
    place = tmp_path / "lib" / "site-packages"
    for name, version, module, needs in [
        (
            "Used.Signals",
            "1.0",
            "signals_used",
            ["needed_one>=1", "absent", "extra_one; extra == 'x'"],
        ),
        ("needed-one", "2.0", "needed", []),
        ("extra-one", "3.0", "extra_one", []),
        ("unrelated", "4.0", "unrelated", []),
    ]:
        install(place, name, version, module, needs)
    monkeypatch.syspath_prepend(str(place))
    forget()
    yield place
    monkeypatch.undo()
    forget()


def install(place: Path, name: str, version: str, module: str, needs: list[str]) -> None:
    """Lay out a distribution as an installer does."""
    (place / module).mkdir(parents=True, exist_ok=True)
    (place / module / "__init__.py").write_text(f"VERSION = {version!r}\n")
    for old in place.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(old)
    described = place / f"{name.replace('-', '_')}-{version}.dist-info"
    described.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {item}" for item in needs]
    (described / "METADATA").write_text("\n".join(lines) + "\n\nWords.\n")
    (described / "RECORD").write_text(f"{module}/__init__.py,,\n{described.name}/METADATA,,\n")


def forget() -> None:
    """Let what is installed be looked up again, as a new process would."""
    for value in vars(distributions).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def test_packages_are_what_the_strategy_imports_with_what_that_needs(site: Path) -> None:
    found = environment.environment([], ["signals_used.fast", "not_installed", "json"])

    assert site.is_dir()
    assert found["packages"] == {
        "needed-one": "2.0",
        "numpy": metadata.version("numpy"),
        "pyarrow": metadata.version("pyarrow"),
        "used-signals": "1.0",
    }


@pytest.mark.parametrize(
    ("name", "module", "is_used"),
    [
        ("unrelated", "unrelated", False),
        ("extra-one", "extra_one", False),
        ("needed-one", "needed", True),
        ("Used.Signals", "signals_used", True),
    ],
)
def test_an_upgrade_changes_what_ids_hold_where_the_package_is_used_and_nowhere_else(
    site: Path, name: str, module: str, *, is_used: bool
) -> None:
    before = environment.environment([], ["signals_used"])
    install(site, name, "9.9", module, ["needed_one"] if name == "Used.Signals" else [])
    forget()

    assert (environment.environment([], ["signals_used"]) != before) is is_used


def test_a_file_belongs_to_the_distribution_that_lists_it(site: Path) -> None:
    (site / "by_hand.py").touch()

    assert distributions.distributions_of_file(str(site / "needed" / "__init__.py")) == {
        "needed-one"
    }
    assert distributions.distributions_of_file(str(site / "by_hand.py")) == frozenset()


def test_a_worker_imports_no_package_but_those_in_every_id() -> None:
    code = (
        "import sys\nstarted = set(sys.modules)\n"
        "from trading_runtime.execution.workers.worker import import_engine\nimport_engine()\n"
        "import trading_runtime.results.store\n"
        "from trading_runtime.planning.distributions import distributions_of_file\n"
        "new = [sys.modules[name] for name in set(sys.modules) - started]\n"
        "files = [getattr(module, '__file__', None) for module in new]\n"
        "print(*sorted(set().union(*(distributions_of_file(file) for file in files if file))))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=environment.PACKAGE.parent,
    ).stdout.split()

    # Arrow imports cloudpickle where it is installed, for functions in Python that none of us uses.
    ours = set(found) - {"trading-runtime", "cloudpickle"}
    assert ours == {"nautilus-trader", *environment.WORKER_PACKAGES}


def test_a_required_package_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"strategy\.requirements: 'no-such-package' is not inst"):
        environment.environment(["no-such-package"])


def test_the_runtime_digest_is_the_same_each_time() -> None:
    first = environment.runtime_digest()
    environment.runtime_digest.cache_clear()

    assert environment.runtime_digest() == first
    assert len(first) == 64


def common(**changes: Any) -> CommonInputs:
    """Return what the tasks of a plan that was made here share, with some of the keys changed."""
    here = {
        **environment.environment(["pytest"]),
        "code": {"runtime": environment.runtime_digest(), "strategy": "b" * 64},
    }
    return CommonInputs.from_document(COMMON | here | changes)


def test_a_plan_made_here_can_be_computed_here() -> None:
    environment.refuse_other_environment(common())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"python": "3.12"}, r"another python \(3\.12, here 3\."),
        ({"machine": "riscv64"}, r"another machine \(riscv64, here "),
        ({"code": {"runtime": "0" * 64, "strategy": "b" * 64}}, r"another runtime \(0{64}, here "),
        ({"engine": {"nautilus_trader": "1.0"}}, r"another engine \(nautilus_trader 1\.0, here 2"),
    ],
    ids=["Python", "machine", "runtime", "engine"],
)
def test_a_plan_made_with_other_versions_is_refused_with_both(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        environment.refuse_other_environment(common(**change))


def test_a_package_that_is_no_longer_installed_is_a_difference() -> None:
    packages = {**common().packages, "gone-package": "1.0"}

    with pytest.raises(UsageError, match=r"another packages \(gone-package 1\.0, here None\)"):
        environment.refuse_other_environment(common(packages=packages))
