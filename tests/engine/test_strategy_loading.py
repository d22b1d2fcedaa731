"""Strategies are imported anew, checked before they run, and forgotten afterwards."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.strategy.loading import check_configs, imported_strategy
from trading_runtime.engine.strategy.seeding import numpy_seeded
from trading_runtime.errors import StrategyError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = (
    "from dataclasses import dataclass\n"
    "from nautilus_trader.trading import Strategy, StrategyConfig\n"
)
SOUND = f"{HEAD}class Mine(Strategy):\n    pass\n"


def loaded(folder: Path, source: str, name: str = "Mine", config_path: str | None = None) -> Any:
    (folder / "mine_alone.py").write_text(source)
    code = find_strategy_code(f"mine_alone.py:{name}", folder)
    with imported_strategy(code, config_path, seed=1) as strategy:
        return strategy


def refusal(folder: Path, source: str, name: str = "Mine") -> str:
    with pytest.raises(UsageError) as refused:
        loaded(folder, source, name)
    return str(refused.value)


def test_a_class_that_is_missing_is_told_what_there_is(tmp_path: Path) -> None:
    message = refusal(tmp_path, SOUND, "Yours")

    assert message.endswith("mine_alone.py has no class 'Yours'; it has Mine")


def test_a_file_in_a_package_may_import_what_is_beside_it_by_a_dot(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("SIZE = 3\n")
    (tmp_path / "pack" / "helper.py").write_text("from . import SIZE\n")
    source = f"from .helper import SIZE\n{SOUND}    size = SIZE\n"
    (tmp_path / "pack" / "mine.py").write_text(source)
    code = find_strategy_code("pack/mine.py:Mine", tmp_path)
    with imported_strategy(code, None, seed=1) as strategy:
        found = vars(strategy.strategy_class)
        assert (found["__module__"], found["size"]) == ("pack.mine", 3)
    assert not {"pack", "pack.mine", "pack.helper"} & sys.modules.keys()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = " + "-" * 200_000 + "1\n", "MemoryError: Parser stack overflowed"),
        ("x = " + "(" * 5_000 + ")" * 5_000 + "\n", "SyntaxError: too many nested parentheses"),
        ("x = '\0'\n", "SyntaxError: source code string cannot contain null bytes"),
        ("class E(Exception):\n def __str__(self): raise E\nraise E\n", "E: its text cannot be"),
    ],
)
def test_a_file_that_cannot_be_imported_is_named(tmp_path: Path, source: str, why: str) -> None:
    with pytest.raises(StrategyError) as refused:
        loaded(tmp_path, source + SOUND)

    assert str(refused.value).startswith(str(tmp_path / "mine_alone.py"))
    assert f": importing the strategy failed: {why}" in str(refused.value)


def test_a_class_that_is_no_strategy_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "class Mine:\n    pass\n")

    assert "Mine in" in message
    assert message.endswith(
        "is not a subclass of nautilus_trader.trading.Strategy; it has no strategy"
    )


@pytest.mark.parametrize(
    "callback",
    ["def on_bar(self):", "def on_quote(self, quote, more):", "def on_trade():"],
)
def test_a_callback_with_the_wrong_arguments_is_refused(tmp_path: Path, callback: str) -> None:
    message = refusal(tmp_path, f"{HEAD}class Mine(Strategy):\n    {callback}\n        pass\n")

    assert "must take one argument besides self" in message


@pytest.mark.parametrize("callback", ["on_bar", "on_start", "on_order_filled"])
def test_a_callback_that_the_engine_would_never_run_is_refused(
    tmp_path: Path, callback: str
) -> None:
    source = f"{HEAD}class Mine(Strategy):\n    async def {callback}(self, *_):\n        pass\n"

    assert f"Mine.{callback} in" in refusal(tmp_path, source)
    assert "is async" in refusal(tmp_path, source)


def test_a_module_that_raises_names_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(StrategyError) as failure:
        loaded(tmp_path, "import sys\nsys.exit(3)\n")

    assert str(failure.value) == (
        f"{tmp_path / 'mine_alone.py'}:2: importing the strategy failed: SystemExit: 3"
    )


def test_a_syntax_error_is_a_failure_of_the_strategy(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="SyntaxError"):
        loaded(tmp_path, "class Mine(\n")


def test_the_config_class_is_the_annotation_of_init(tmp_path: Path) -> None:
    source = (
        f"{HEAD}@dataclass\nclass Settings(StrategyConfig):\n    fast: int = 3\n"
        "class Mine(Strategy):\n"
        "    def __init__(self, config: Settings | None = None):\n"
        "        super().__init__(config)\n"
    )

    assert loaded(tmp_path, source).config_class.__name__ == "Settings"


def test_without_an_annotation_the_config_class_goes_by_its_name(tmp_path: Path) -> None:
    source = f"{HEAD}@dataclass\nclass MineConfig(StrategyConfig):\n    fast: int = 3\n"

    assert (
        loaded(tmp_path, f"{source}class Mine(Strategy):\n    pass\n").config_class.__name__
        == "MineConfig"
    )


def test_the_config_class_may_be_named(tmp_path: Path) -> None:
    source = f"{SOUND}@dataclass\nclass Settings(StrategyConfig):\n    fast: int = 3\n"

    named = loaded(tmp_path, source, config_path="mine_alone.py:Settings")
    assert named.config_class.__name__ == "Settings"
    with pytest.raises(UsageError, match=r"strategy\.config_path: mine_alone\.py has no class 'X'"):
        loaded(tmp_path, source, config_path="mine_alone.py:X")


def test_configs_are_checked_for_every_point(tmp_path: Path) -> None:
    (tmp_path / "mine_alone.py").write_text(SOUND)
    code = find_strategy_code("mine_alone.py:Mine", tmp_path)

    check_configs(code, None, [{"order_id_tag": "001"}], [])
    with pytest.raises(UsageError, match="StrategyConfig has no field 'fast'"):
        check_configs(code, None, [{}, {"fast": 3}], [])


def test_nothing_of_a_strategy_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    # Seeding imports a part of numpy, once in a process.
    loaded(tmp_path, SOUND)
    paths, modules = list(sys.path), set(sys.modules)
    (tmp_path / "beside_it.py").write_text("ONE = 1\n")

    loaded(tmp_path, f"import beside_it\n{SOUND}")

    assert sys.path == paths
    assert set(sys.modules) - modules == set()
    assert not (tmp_path / "__pycache__").exists()
    assert not sys.dont_write_bytecode


DRAWS = """
import sys
from pathlib import Path

from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.strategy.loading import imported_strategy

code = find_strategy_code("mine_alone.py:Mine", Path(sys.argv[1]))
with imported_strategy(code, None, seed=1) as strategy:
    print(strategy.strategy_class.draw())
"""


def test_a_strategy_may_empty_the_list_of_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    with numpy_seeded(1):
        sys.meta_path.clear()


@pytest.mark.parametrize(
    "lines",
    [
        "import sys, pyarrow; return sys.modules['num' + 'py'].random.random()",
        "import importlib; return importlib.import_module('num' + 'py').random.random()",
        "return getattr(__import__('numpy.random'), 'random').mtrand._rand.random_sample()",
    ],
)
def test_numpy_imported_late_under_any_name_draws_from_the_seed(tmp_path: Path, lines: str) -> None:
    (tmp_path / "mine_alone.py").write_text(
        f"{SOUND}    @staticmethod\n    def draw():\n        {lines}\n"
    )
    drawn = subprocess.run(
        [sys.executable, "-c", DRAWS, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout

    # The first number of numpy.random.RandomState(1).
    assert float(drawn) == 0.417022004702574


@pytest.mark.parametrize("name", ["polars", "pytest"])
def test_a_module_whose_name_is_already_in_use_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(SOUND)
    code = find_strategy_code(f"{name}.py:Mine", tmp_path)
    __import__(name)

    with (
        pytest.raises(UsageError, match=f"a module named '{name}' is already in use .*; rename"),
        imported_strategy(code, None, seed=1),
    ):
        pass


def test_a_helper_module_whose_name_is_already_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytest.py").write_text("")

    assert "a module named 'pytest' is already in use" in refusal(
        tmp_path, f"import pytest\n{SOUND}"
    )


def test_the_class_itself_says_which_example_strategy_it_is(tmp_path: Path) -> None:
    code = find_strategy_code("trading_runtime.strategies.ema_cross:EMACross", tmp_path)

    with imported_strategy(code, None, seed=1) as strategy:
        assert strategy.config_class.__name__ == "EMACrossConfig"
