"""The documentation site is built without a warning, and gives its pages as Markdown too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_site_is_built_strictly_with_the_markdown_of_every_page(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_site.py", site],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    index = (site / "llms.txt").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs")
        assert (site / name).read_bytes() == page.read_bytes()
        assert f"]({name.as_posix()})" in index
        folder = name.parent if name.name == "index.md" else name.with_suffix("")
        assert (site / folder / "index.html").is_file()
