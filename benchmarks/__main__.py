"""Measure the figures and print their table: ``make bench``, or ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.bench import ROOT, Bench
from benchmarks.figures import FIGURES
from benchmarks.measuring import FailedProgramError
from benchmarks.table import as_text, cells, machine, write


def main() -> int:
    """Measure what the command line asks for; return 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=FIGURES,
        metavar="NAME",
        help="measure this figure; may be repeated: " + ", ".join(FIGURES),
    )
    parser.add_argument(
        "--skip",
        action="append",
        choices=FIGURES,
        metavar="NAME",
        default=[],
        help="leave this figure out; may be repeated",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a smoke run with small sizes; its numbers mean nothing",
    )
    parser.add_argument("--repeats", type=int, default=3, help="pairs of a sweep (default: 3)")
    parser.add_argument("--write", action="store_true", help="keep the table in docs/benchmarks.md")
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("--quick measures nothing that is worth keeping; leave out --write")
    lines, missed, failed = [], 0, []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for name in options.only or FIGURES:
            if name in options.skip:
                continue
            sys.stderr.write(f"{name}: {(FIGURES[name].__doc__ or '').splitlines()[0]}\n")
            try:
                rows = FIGURES[name](Bench(Path(scratch) / name, options.quick, options.repeats))
            except FailedProgramError as error:
                failed.append(name)
                sys.stderr.write(f"{name} failed: {error}\n")
                continue
            lines += [cells(row) for row in rows]
            missed += sum(not row.mark.reached(row.measured.value) for row in rows)
            sys.stderr.write(as_text(lines[-len(rows) :]) + "\n")
    sys.stdout.write(f"{machine()}\n\n{as_text(lines)}\n")
    if options.write:
        write(ROOT / "docs" / "benchmarks.md", lines)
    return 1 if failed or (missed and not options.quick) else 0


if __name__ == "__main__":
    sys.exit(main())
