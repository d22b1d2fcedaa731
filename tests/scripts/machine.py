"""A PATH that holds nothing but the shell's own tools and the fakes that a test lays into it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = (
    "bash",
    "cat",
    "chmod",
    "dirname",
    "env",
    "grep",
    "mkdir",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tail",
)


class Machine:
    """A machine with only the shell's tools and the programs that a test gives it."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder
        folder.mkdir()
        for tool in TOOLS:
            path = shutil.which(tool)
            assert path is not None, f"{tool} is needed by the scripts"
            (folder / tool).symlink_to(path)

    def has(self, program: str, script: str, *, below: str = ".") -> Path:
        """Lay a program, written in shell, onto the PATH, or into a folder beside its programs."""
        path = self.programs / below / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{self.programs / 'bash'}\n{script}\n")
        path.chmod(0o755)
        return path

    def has_python(self, program: str, *, usable: bool = True, below: str = ".") -> Path:
        """Lay a fake Python: it passes the check or fails it, and tells its own path."""
        verdict = "exit 0" if usable else "exit 1"
        return self.has(
            program, f'case "$2" in *ensurepip*) {verdict} ;; *) echo "$0" ;; esac', below=below
        )

    def run(self, script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script of this project on the machine."""
        return subprocess.run(
            [self.programs / "bash", script, *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={"PATH": str(self.programs), "HOME": str(self.programs)},
        )
