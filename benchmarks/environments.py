"""The peers' own environments, made on first use from requirements with hashes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE / ".environments"


def peer(name: str) -> Path:
    """Return the Python of the environment of ``requirements-NAME.txt``; create it when needed."""
    requirements = HERE / f"requirements-{name}.txt"
    folder = ENVIRONMENTS / name
    stamp = folder / "stamp"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        sys.stderr.write(f"making the environment of {name} ...\n")
        # Both peers have wheels for the Python that runs this.
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run(
            [
                *(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--no-input", "--require-hashes"),
                *("--only-binary", ":all:", "-r", str(requirements)),
            ],
            check=True,
        )
        stamp.write_text(digest)
    return folder / "bin" / "python"
