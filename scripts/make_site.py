"""Build the documentation site: pages by mkdocs, strictly, beside the raw Markdown and llms.txt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(target: Path) -> None:
    """Write the site into the folder ``target``."""
    build = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target.absolute())]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([sys.executable, "-m", *build], check=True, cwd=ROOT, env=quiet)
    lines = ["# Trading Runtime", "", "> Backtests of NautilusTrader strategies that repeat.", ""]
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = page.relative_to(ROOT / "docs")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target / name)
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{title}]({name.as_posix()})")
    (target / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site"))
