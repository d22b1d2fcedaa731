"""Where a strategy's code lies, which files belong to it, and the digest over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime.config import strategy_code
from trading_runtime.config.strategy_code import find_strategy_code, python_files
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n")


def names(folder: Path, path: str, *code: str) -> list[str]:
    return [
        item.relative_to(folder).as_posix() for item in find_strategy_code(path, folder, code).files
    ]


def test_a_file_brings_what_it_imports_from_its_folder_and_no_other_file(tmp_path: Path) -> None:
    write(tmp_path, "mine/beside.py", "mine/deep/more.py", "mine/deep/less.py", "other/x.py")
    (tmp_path / "mine" / "strategy.py").write_text("import other.x, signals\n")
    (tmp_path / "mine" / "signals.py").write_text("from deep import more\n")

    assert names(tmp_path, "mine/strategy.py:Mine") == [
        "mine/deep/more.py",
        "mine/signals.py",
        "mine/strategy.py",
    ]


def test_hidden_folders_and_environments_do_not_belong_to_a_strategy(tmp_path: Path) -> None:
    write(tmp_path, "a.py", ".hidden/b.py", "__pycache__/c.py", "node_modules/d.py", "venv/e.py")
    write(tmp_path, "venv/pyvenv.cfg", "notes.txt")

    assert [path.name for path in python_files(tmp_path)] == ["a.py"]


def test_naming_its_folder_brings_all_of_it(tmp_path: Path) -> None:
    write(tmp_path, "mine/strategy.py", "mine/signals.py", "mine/deep/more.py", "other/x.py")

    assert names(tmp_path, "mine/strategy.py:Mine", "mine") == [
        "mine/deep/more.py",
        "mine/signals.py",
        "mine/strategy.py",
    ]


def test_a_module_brings_what_it_imports_from_its_package(tmp_path: Path) -> None:
    write(tmp_path, "pack/__init__.py", "pack/sub/__init__.py", "pack/other.py", "pack/top.py")
    write(tmp_path, "pack/sub/beside.py", "pack/sub/idle.py", "alone.py", "outside.py")
    (tmp_path / "pack" / "sub" / "cross.py").write_text(
        "import outside\nfrom . import beside\nfrom .. import top\n"
    )

    assert names(tmp_path, "pack.sub.cross:Cross") == [
        "pack/__init__.py",
        "pack/sub/__init__.py",
        "pack/sub/beside.py",
        "pack/sub/cross.py",
        "pack/top.py",
    ]
    assert names(tmp_path, "alone:Alone") == ["alone.py"]


def test_further_code_is_named(tmp_path: Path) -> None:
    write(tmp_path, "mine/strategy.py", "shared/tools.py", "lib/pack/__init__.py", "one.py")

    assert names(tmp_path, "mine/strategy.py:Mine", "shared", "lib/pack", "one.py") == [
        "lib/pack/__init__.py",
        "mine/strategy.py",
        "one.py",
        "shared/tools.py",
    ]
    found = find_strategy_code("mine/strategy.py:Mine", tmp_path, ["shared", "lib/pack", "one.py"])
    assert [path.relative_to(tmp_path).as_posix() for path in found.search_paths] == [
        "mine",
        "shared",
        "lib",
        ".",
    ]


def test_the_digest_is_of_names_and_content_and_of_nothing_else(tmp_path: Path) -> None:
    for place in ("here", "there/deeper"):
        write(tmp_path / place, "signals.py")
        (tmp_path / place / "strategy.py").write_text("import signals\n")
    here = find_strategy_code("strategy.py:Mine", tmp_path / "here")
    there = find_strategy_code("strategy.py:Mine", tmp_path / "there" / "deeper")
    by_folder = find_strategy_code("here/strategy.py:Mine", tmp_path)

    assert (here.digest, here.path) == (there.digest, there.path)
    assert (by_folder.digest, by_folder.path) == (here.digest, "strategy.py:Mine")
    (tmp_path / "here" / "signals.py").write_text("# changed\n")
    assert find_strategy_code("strategy.py:Mine", tmp_path / "here").digest != here.digest


def test_an_unrelated_file_beside_the_strategy_changes_no_digest(tmp_path: Path) -> None:
    write(tmp_path, "signals.py", "notebook.py")
    (tmp_path / "strategy.py").write_text("import signals\n")
    before = find_strategy_code("strategy.py:Mine", tmp_path).digest
    (tmp_path / "notebook.py").write_text("# changed\n")
    write(tmp_path, "more.py")

    assert find_strategy_code("strategy.py:Mine", tmp_path).digest == before


def test_renaming_or_adding_a_file_of_a_named_folder_changes_the_digest(tmp_path: Path) -> None:
    write(tmp_path, "strategy.py", "signals.py")
    before = find_strategy_code("strategy.py:Mine", tmp_path, ["."]).digest
    (tmp_path / "signals.py").rename(tmp_path / "signal.py")
    renamed = find_strategy_code("strategy.py:Mine", tmp_path, ["."]).digest
    write(tmp_path, "more.py")
    added = find_strategy_code("strategy.py:Mine", tmp_path, ["."]).digest

    assert len({before, renamed, added}) == 3


def test_the_module_of_the_config_belongs_to_the_strategy(tmp_path: Path) -> None:
    write(tmp_path, "strategy.py", "settings.py", "other.py")
    found = find_strategy_code("strategy.py:Mine", tmp_path, (), "settings:Settings")

    assert sorted(found.sha256) == ["settings.py", "strategy.py"]


def test_what_comes_from_elsewhere_is_listed_without_pythons_own_modules(tmp_path: Path) -> None:
    (tmp_path / "strategy.py").write_text(
        "import json, scipy.stats\nfrom ruamel import yaml\nimport nautilus_trader.model\n"
    )

    assert find_strategy_code("strategy.py:Mine", tmp_path).imported == (
        "ruamel.yaml",
        "scipy.stats",
    )


def test_a_builtin_strategy_has_no_code(tmp_path: Path) -> None:
    found = find_strategy_code("builtin:EmaCross", tmp_path)

    assert (found.is_builtin, found.files, found.class_name) == (True, (), "EmaCross")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.py:Mine", "no such file: nowhere.py"),
        ("json.py:Mine", "'json' cannot be imported"),
        ("my-file.py:Mine", "'my-file' cannot be imported"),
        ("nowhere.at_all:Mine", "no module named 'nowhere'"),
        ("pack.nowhere:Mine", "no module named 'pack.nowhere'"),
        ("alone.deeper:Mine", "'alone' is not a package"),
    ],
)
def test_what_cannot_be_found_is_told(tmp_path: Path, path: str, message: str) -> None:
    write(tmp_path, "json.py", "my-file.py", "pack/__init__.py", "alone.py")

    with pytest.raises(UsageError) as refusal:
        find_strategy_code(path, tmp_path)

    assert str(refusal.value).startswith("strategy.path: ")
    assert message in str(refusal.value)


def test_further_code_that_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.py")

    with pytest.raises(UsageError, match=r"strategy\.code: no such file or folder: shared"):
        find_strategy_code("a.py:A", tmp_path, ["shared"])


def test_a_folder_with_too_much_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_code, "_MOST_FILES", 2)
    write(tmp_path, "a.py", "b.py", "c.py")

    with pytest.raises(UsageError, match="3 Python files belong to the strategy"):
        find_strategy_code("a.py:A", tmp_path, ["."])


def test_an_example_strategy_does_not_bring_the_runtime_itself(tmp_path: Path) -> None:
    found = find_strategy_code("trading_runtime.strategies.ema_cross:EMACross", tmp_path)

    assert {path.parent.name for path in found.files} == {"strategies"}


def test_a_file_with_relative_imports_is_a_module_of_its_package(tmp_path: Path) -> None:
    write(tmp_path, "lib/pack/__init__.py", "lib/pack/sub/__init__.py", "lib/pack/idle.py")
    write(tmp_path, "lib/pack/helper.py")
    (tmp_path / "lib" / "pack" / "sub" / "cross.py").write_text("from .. import helper\n")
    found = find_strategy_code("lib/pack/sub/cross.py:Cross", tmp_path)
    by_module = find_strategy_code("pack.sub.cross:Cross", tmp_path / "lib")

    assert (found.module, found.path) == ("pack.sub.cross", "pack/sub/cross.py:Cross")
    assert (found.search_paths, found.sha256) == (by_module.search_paths, by_module.sha256)
    assert sorted(found.sha256) == [
        "pack/__init__.py",
        "pack/helper.py",
        "pack/sub/__init__.py",
        "pack/sub/cross.py",
    ]


@pytest.mark.parametrize(
    ("files", "text", "path", "message"),
    [
        ([], "\nfrom . import helper\n", "p/s.py", "line 2 has 'from . import helper', and {0}/p"),
        (
            ["p/__init__.py"],
            "from ..up import helper\n",
            "p/s.py",
            "'from ..up import helper', and {0}",
        ),
        (
            ["json/__init__.py"],
            "from . import helper\n",
            "json/s.py",
            "json/s.py: 'json.s' cannot be",
        ),
    ],
)
def test_a_relative_import_that_leads_to_no_package_is_refused(
    tmp_path: Path, files: list[str], text: str, path: str, message: str
) -> None:
    write(tmp_path, *files, path)
    (tmp_path / path).write_text(text)

    with pytest.raises(UsageError, match=r"^strategy\.path: ") as refused:
        find_strategy_code(f"{path}:S", tmp_path)
    assert message.format(tmp_path) in str(refused.value)
