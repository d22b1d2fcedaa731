"""A task that imports a package which its id does not hold fails, whatever ran before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime import api

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

IMPORTING = "__import__('importlib').import_module('jmespath')"


def test_only_the_tasks_that_import_it_fail_in_a_worker_that_runs_all(
    small: SmallExperiment,
) -> None:
    file = small.folder / "counting.py"
    started = "        self.subscribe_bars(self.settings.bar_type)\n"
    text = file.read_text()
    assert started in text
    condition = f"        if self.settings.every in (20, 40):\n            {IMPORTING}\n"
    file.write_text(text.replace(started, started + condition))

    summary = small.summary("--workers", "1", "--run-id", "late")
    failures = api.open_run("late", small.results).failures

    assert summary["counts"] == {"planned": 12, "ok": 6, "failed": 6, "missing": 0}
    assert {failure["kind"] for failure in failures} == {"strategy"}
    for failure in failures:
        assert "of the package jmespath, whose version is not part" in failure["message"]
        assert "add 'jmespath' to strategy.requirements" in failure["message"]
    small.write(strategy=small.content["strategy"] | {"requirements": ["jmespath"]})
    assert small.summary("--workers", "1")["counts"]["ok"] == 12


def test_one_that_is_imported_with_the_strategy_is_refused_before_anything_runs(
    small: SmallExperiment,
) -> None:
    with (small.folder / "counting.py").open("a") as file:
        file.write(f"{IMPORTING}\n")

    ended = small.run()

    assert ended.returncode == 4
    assert "add 'jmespath' to strategy.requirements" in ended.stderr
    assert not small.results.exists()


def test_one_that_the_strategy_imports_by_a_statement_needs_no_declaring(
    small: SmallExperiment,
) -> None:
    with (small.folder / "counting.py").open("a") as file:
        file.write("import jmespath\n")

    assert "jmespath" in api.plan(small.path).plan.common.packages
    assert small.summary()["counts"]["ok"] == 12


def test_what_the_engine_imports_for_its_pictures_is_no_fault_of_the_strategy(
    small: SmallExperiment,
) -> None:
    """Where plotly is installed, as for these tests, the engine's module imports it."""
    with (small.folder / "counting.py").open("a") as file:
        file.write("from nautilus_trader.config import StrategyConfig as _Config\n")

    assert small.summary()["counts"]["ok"] == 12


@pytest.mark.parametrize("declared", [False, True])
def test_pandas_that_is_merely_installed_is_hidden_from_a_task(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch, *, declared: bool
) -> None:
    """The engine imports it where it finds it, and then gives other objects as times."""
    site = small.folder / "site"
    (site / "pandas").mkdir(parents=True)
    (site / "pandas" / "__init__.py").write_text("raise RuntimeError('pandas was imported')\n")
    found = site / "pandas-3.0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 3.0\n")
    (found / "RECORD").write_text("pandas/__init__.py,,\n")
    monkeypatch.syspath_prepend(site)
    requirements = ["pandas"] if declared else []
    small.write(
        parameters={"every": [20]},
        strategy=small.content["strategy"] | {"requirements": requirements},
    )

    ended = small.run(environment={"PYTHONPATH": str(site)})

    assert ("pandas was imported" in ended.stdout + ended.stderr) == declared, ended.stderr
    assert (ended.returncode == 0) != declared
