"""Stands in for the ``argo`` command where there is no cluster: notes what it is told.

The end-to-end tests use the real one. Beside it lies ``answers.json``: for each command the texts
to print, one a call and the last one again and again; a text that begins with ``Error`` fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Answer one call."""
    folder = Path(__file__).parent
    calls = folder / "calls.jsonl"
    command = sys.argv[1]
    before = calls.read_text().splitlines() if calls.exists() else []
    with calls.open("a") as file:
        file.write(json.dumps(sys.argv[1:]) + "\n")
    answers = json.loads((folder / "answers.json").read_text())[command]
    answer = answers[min(sum(json.loads(line)[0] == command for line in before), len(answers) - 1)]
    failed = answer.startswith("Error")
    print(answer, file=sys.stderr if failed else sys.stdout)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
