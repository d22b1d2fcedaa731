"""Which files a module imports, told from its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime.config.import_closure import Area, import_closure

if TYPE_CHECKING:
    from pathlib import Path

BESIDE = (
    "helper.py",
    "pack/__init__.py",
    "pack/inner.py",
    "pack/deep/__init__.py",
    "pack/deep/leaf.py",
    "space/mod.py",
    "pack.py",
)

IMPORTS = {
    "import helper": ["helper.py"],
    "import helper as h": ["helper.py"],
    "from helper import anything": ["helper.py"],
    "from helper import *": ["helper.py"],
    "import pack": ["pack/__init__.py"],
    "import pack.deep.leaf": ["pack/__init__.py", "pack/deep/__init__.py", "pack/deep/leaf.py"],
    "from pack import inner": ["pack/__init__.py", "pack/inner.py"],
    "from pack import a_name": ["pack/__init__.py"],
    "from pack.deep import leaf": [
        "pack/__init__.py",
        "pack/deep/__init__.py",
        "pack/deep/leaf.py",
    ],
    "import space.mod": ["space/mod.py"],
    "from space import mod": ["space/mod.py"],
    "def late():\n    import helper": ["helper.py"],
    "try:\n    import helper\nexcept ImportError:\n    pass": ["helper.py"],
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helper": [],
    "import typing as t\nif t.TYPE_CHECKING:\n    import helper": [],
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import helper": [
        "helper.py"
    ],
    "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import helper": ["helper.py"],
    "TYPE_CHECKING = True\nif TYPE_CHECKING:\n    import helper": ["helper.py"],
    "import typing as t\nt.TYPE_CHECKING = True\nif t.TYPE_CHECKING:\n    import helper": [
        "helper.py"
    ],
    "import importlib\nimportlib.import_module('helper')": [],
    "from . import helper": [],
    "import json, numpy": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in BESIDE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def reached(folder: Path, text: str, name: str = "main.py") -> list[str]:
    """The files that a module of this text reaches, besides itself."""
    (folder / name).write_text(f"{text}\n")
    area = Area(folder, folder)
    closure = import_closure([(folder / name, area)], [area])
    return sorted(
        path.relative_to(folder).as_posix() for path in closure.files.keys() - {folder / name}
    )


@pytest.mark.parametrize("text", IMPORTS)
def test_an_import_reaches_the_files_that_python_would_run(folder: Path, text: str) -> None:
    assert reached(folder, text) == IMPORTS[text]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("from . import inner", ["pack/__init__.py", "pack/inner.py"]),
        (
            "from .deep import leaf",
            ["pack/__init__.py", "pack/deep/__init__.py", "pack/deep/leaf.py"],
        ),
        ("from . import deep", ["pack/__init__.py", "pack/deep/__init__.py"]),
        ("from .. import helper", []),
        ("import helper", ["helper.py"]),
    ],
)
def test_a_relative_import_begins_at_the_package(folder: Path, text: str, files: list[str]) -> None:
    assert reached(folder, text, "pack/main.py") == files


def test_a_relative_import_in_a_package_itself_begins_there(folder: Path) -> None:
    (folder / "pack" / "__init__.py").write_text("from .deep import leaf\n")

    assert reached(folder, "import pack") == [
        "pack/__init__.py",
        "pack/deep/__init__.py",
        "pack/deep/leaf.py",
    ]


def test_a_star_reaches_the_modules_that_the_package_offers(folder: Path) -> None:
    (folder / "pack" / "__init__.py").write_text("__all__ = ['inner', 'a_name']\n")

    assert reached(folder, "from pack import *") == ["pack/__init__.py", "pack/inner.py"]


def test_imports_in_a_circle_come_to_an_end(folder: Path) -> None:
    (folder / "helper.py").write_text("import main\n")

    assert reached(folder, "import helper") == ["helper.py"]


def test_a_file_that_cannot_be_parsed_is_reached_and_leads_nowhere(folder: Path) -> None:
    (folder / "helper.py").write_text("import pack\nthis is no Python\n")

    assert reached(folder, "import helper") == ["helper.py"]
